//! The report, for people.

use comfy_table::{Cell as TableCell, Color, Table};

use super::load::Pace;
use super::report::{Cell, Report};
use crate::crowd::Kind;
use crate::table::{NOISE, align, mib, thousands, titled};

const TITLES: [&str; 12] = [
    "host",
    "deliveries/s",
    "CPU s/million",
    "to best peer",
    "to its floor",
    "p50 ms",
    "p99 ms",
    "server",
    "generator",
    "memory",
    "others",
    "limit",
];

/// Prints everything.
pub(super) fn print(report: &Report) {
    let machine = &report.machine;
    println!(
        "{}, {} cores, Linux {}; {} s each, {} bytes",
        machine.cpu, machine.cores, machine.kernel, report.seconds, report.payload_bytes
    );
    for load in loads(report) {
        let pace = load.rate.map_or(Pace::Most, Pace::Rate).name();
        println!("\n{}, {pace}\n{}", load.size, table(report, load));
    }
    println!();
    let mut named = Vec::new();
    for cell in &report.cells {
        if !named.contains(&&cell.host) {
            named.push(&cell.host);
            println!("{} {}: {}", cell.host, cell.version, cell.notes);
        }
    }
}

/// One cell of each load.
fn loads(report: &Report) -> Vec<&Cell> {
    let mut loads: Vec<&Cell> = Vec::new();
    for cell in &report.cells {
        if !loads.iter().any(|load| load.is_beside(cell)) {
            loads.push(cell);
        }
    }
    loads
}

fn table(report: &Report, load: &Cell) -> Table {
    let mut table = titled(&TITLES);
    for cell in report.cells.iter().filter(|cell| cell.is_beside(load)) {
        table.add_row(row(report, cell));
    }
    align(&mut table);
    table
}

fn row(report: &Report, cell: &Cell) -> Vec<TableCell> {
    let ours = cell.kind == Kind::Ours;
    let ratio = |other: Option<&Cell>| match other {
        Some(other) if ours => format!("{:.2}", cell.cost() / other.cost()),
        _ => String::new(),
    };
    let floor = report.floor(cell);
    let name = TableCell::new(&cell.host);
    let mut row = vec![
        if ours { name.fg(Color::Green) } else { name },
        TableCell::new(thousands(cell.deliveries_per_second)),
        TableCell::new(format!("{:.2}", cell.cpu_seconds_per_million)),
        TableCell::new(ratio(report.best_peer(cell))),
        TableCell::new(ratio(floor)),
        TableCell::new(format!("{:.1}", cell.delay_ms.p50)),
        TableCell::new(format!("{:.1}", cell.delay_ms.p99)),
        TableCell::new(format!("{:.0} %", cell.usage.server)),
        TableCell::new(format!("{:.0} %", cell.usage.generator)),
        TableCell::new(mib(cell.memory)),
    ];
    let others = TableCell::new(format!("{:.0} %", cell.usage.others));
    row.push(match cell.usage.others > NOISE {
        true => others.fg(Color::Red),
        false => others,
    });
    let limit = cell.limit.name();
    let lost = match cell.lost {
        0 => limit.to_owned(),
        lost => format!("{limit} LOST {lost}").trim().to_owned(),
    };
    row.push(TableCell::new(lost));
    row
}
