//! The report, for people.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};

use super::report::{Report, Row, Times};

/// Prints everything.
pub(super) fn print(report: &Report) {
    let machine = &report.machine;
    println!(
        "{}, {} cores, Linux {}; three servers on one core, generator on another",
        machine.cpu, machine.cores, machine.kernel
    );
    println!(
        "{} messages of {} bytes a second from {} publishers over all servers; the leader is killed with SIGKILL and started again\n",
        report.rate, report.payload_bytes, report.publishers
    );
    println!("{}\n", table(report));
    for row in &report.rows {
        println!("{} {}: {}", row.peer, row.version, row.durability);
    }
    if !machine.on_disk {
        println!("THE DATA IS NOT ON A DISK: nothing here was durable. Give --data.");
    }
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(
            [
                "peer",
                "kills",
                "in ms, from the kill to",
                "min",
                "p50",
                "p90",
                "p99",
                "max",
                "acknowledged",
                "lost",
                "doubled",
            ]
            .map(|name| Cell::new(name).add_attribute(Attribute::Bold)),
        );
    for row in &report.rows {
        let lines = [
            ("the first new commit", &row.first_commit_ms),
            ("a new commit of every publisher", &row.all_publishers_ms),
            ("(restart to caught up)", &row.caught_up_ms),
        ];
        for (at, (what, times)) in lines.into_iter().enumerate() {
            table.add_row(line(row, at == 0, what, times));
        }
    }
    table
}

fn line(row: &Row, is_first: bool, what: &str, times: &Times) -> Vec<Cell> {
    let number = |value: f64| Cell::new(format!("{value:.0}")).set_alignment(CellAlignment::Right);
    let Times {
        min,
        p50,
        p90,
        p99,
        max,
    } = *times;
    let met = match (is_first, row.met) {
        (true, Some(true)) => Color::Green,
        (true, Some(false)) => Color::Red,
        _ => Color::Reset,
    };
    let mut cells = if is_first {
        vec![Cell::new(row.peer), count(row.kills, Color::Reset)]
    } else {
        vec![Cell::new(""), Cell::new("")]
    };
    cells.push(Cell::new(what));
    cells.extend([
        number(min),
        number(p50),
        number(p90),
        number(p99).fg(met),
        number(max),
    ]);
    if is_first {
        let bad = |n: usize| if n == 0 { Color::Green } else { Color::Red };
        cells.push(count(row.acknowledged, Color::Reset));
        cells.push(count(row.lost, bad(row.lost)));
        cells.push(count(row.doubled, bad(row.doubled)));
    }
    cells
}

fn count(value: usize, color: Color) -> Cell {
    Cell::new(value.to_string())
        .set_alignment(CellAlignment::Right)
        .fg(color)
}
