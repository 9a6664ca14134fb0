//! The report, for people.

use comfy_table::{Cell, Color};

use super::report::{Region, Report};
use crate::table::{NOISE, align, mib, thousands, titled};

/// Prints everything.
pub(super) fn print(report: &Report) {
    let machine = &report.machine;
    println!(
        "{}, {} cores, Linux {}; three servers and the generator share them",
        machine.cpu, machine.cores, machine.kernel
    );
    println!(
        "{} lines of {} speakers in {:.0} s, {} times as fast as they were, to {} listeners",
        thousands(report.lines as f64),
        thousands(report.speakers as f64),
        report.seconds,
        report.speed,
        thousands(report.listeners as f64)
    );
    println!(
        "{} deliveries, {} a second, {:.2} CPU s per million; nodes {:.0} %, generator {:.0} %, others {:.0} % of a core; {} of memory",
        thousands(report.deliveries as f64),
        thousands(report.deliveries_per_second),
        report.cpu_seconds_per_million,
        report.nodes_percent,
        report.generator_percent,
        report.others_percent,
        mib(report.memory)
    );
    if report.generator_is_the_limit {
        println!("The generator was full: delays are its own as well.");
    }
    if report.others_percent > NOISE {
        println!("Others used these cores too: the figures are doubtful.");
    }
    let mut table = titled(&[
        "region",
        "listeners",
        "deliveries",
        "sequenced to delivered, p50 ms",
        "p99",
        "p99.9",
        "most",
        "gaps",
        "fetched",
    ]);
    for region in &report.regions {
        table.add_row(row(region));
    }
    align(&mut table);
    println!("{table}");
    for (what, rows) in [
        ("due to committed", &report.due_to_commit),
        ("due to delivered", &report.due_to_deliver),
    ] {
        let mut table = titled(&[what, "lines", "p50 ms", "p99 ms"]);
        for row in rows {
            table.add_row([
                format!("{} to {}", row.from, row.to),
                thousands(row.count as f64),
                format!("{:.1}", row.p50_ms),
                format!("{:.1}", row.p99_ms),
            ]);
        }
        align(&mut table);
        println!("{table}");
    }
    for (region, head) in &report.heads {
        println!("{region} ends at {} {}", head.seq, head.chain);
    }
    match report.ok {
        true => println!("every listener was shown this log, each entry once"),
        false => println!("NOT as it should be:"),
    }
    for problem in &report.problems {
        println!("  {problem}");
    }
}

fn row(region: &Region) -> Vec<Cell> {
    let delay = &region.sequenced_to_delivered_ms;
    let delays = [delay.p50, delay.p99, delay.p999, delay.most];
    let mut cells = vec![
        Cell::new(region.region),
        Cell::new(thousands(region.listeners as f64)),
        Cell::new(thousands(region.deliveries as f64)),
    ];
    cells.extend(delays.map(|ms| Cell::new(format!("{ms:.0}"))));
    let gaps = Cell::new(region.gaps.to_string());
    cells.push(match region.gaps {
        0 => gaps,
        _ => gaps.fg(Color::Yellow),
    });
    cells.push(Cell::new(thousands(region.fetched as f64)));
    cells
}
