//! The report, for people.

use comfy_table::{Cell, Color};

use super::report::{Report, Row};
use crate::crowd::Kind;
use crate::table::{NOISE, align, mib, thousands, titled};

/// Prints everything.
pub(super) fn print(report: &Report) {
    let machine = &report.machine;
    println!(
        "{}, {} cores, Linux {}; {} clients at once, each the newest {} messages",
        machine.cpu, machine.cores, machine.kernel, report.clients, report.newest
    );
    let peers: Vec<&str> = report.peers().collect();
    let mut titles: Vec<String> = ["host", "messages/s", "CPU s/million"]
        .map(str::to_owned)
        .to_vec();
    titles.extend(peers.iter().map(|peer| format!("to {peer}")));
    let rest = [
        "to its floor",
        "p50 ms",
        "p99 ms",
        "most ms",
        "memory",
        "more",
        "others",
        "limit",
    ];
    titles.extend(rest.map(str::to_owned));
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let mut table = titled(&titles);
    for row in &report.rows {
        table.add_row(cells(report, row, &peers));
    }
    align(&mut table);
    println!("{table}");
    for row in &report.rows {
        println!("{} {}: {}", row.host, row.version, row.notes);
    }
}

fn cells(report: &Report, row: &Row, peers: &[&str]) -> Vec<Cell> {
    let ours = row.kind == Kind::Ours;
    let times = |other: Option<&str>| {
        let other = other.filter(|_| ours);
        let times = other.and_then(|other| report.times(row, other));
        Cell::new(times.map_or_else(String::new, |times| format!("{times:.2}")))
    };
    let name = Cell::new(&row.host);
    let mut cells = vec![
        if ours { name.fg(Color::Green) } else { name },
        Cell::new(thousands(row.rate())),
        Cell::new(format!("{:.2}", row.cpu_seconds_per_million)),
    ];
    cells.extend(peers.iter().map(|peer| times(Some(peer))));
    cells.push(times(row.floor));
    let waits = [row.wait_ms.p50, row.wait_ms.p99, row.wait_ms.most];
    cells.extend(waits.map(|wait| Cell::new(format!("{wait:.0}"))));
    cells.extend([row.memory_before, row.memory_more].map(|bytes| Cell::new(mib(bytes))));
    let others = Cell::new(format!("{:.0} %", row.others_percent));
    cells.push(match row.others_percent > NOISE {
        true => others.fg(Color::Red),
        false => others,
    });
    cells.push(Cell::new(row.limit.name()));
    cells
}
