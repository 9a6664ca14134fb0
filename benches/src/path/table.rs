//! The report, for people.

use comfy_table::{Cell as TableCell, CellAlignment, Color, Table};

use super::cells::{Cell, Figure};
use super::report::{Column, Limit, Ratio, Report};
use crate::stats::Spread;
use crate::table::titled;

/// Others on the two cores that make figures doubtful, in percent.
const NOISE: f64 = 10.0;

/// Prints everything.
pub(super) fn print(report: &Report) {
    println!("{}", head(report));
    if report
        .columns(|cell| *cell == Cell::Latency)
        .next()
        .is_some()
    {
        let name = Cell::Latency.name();
        println!("\nDelays in ms, of {name}\n{}", delays(report));
    }
    if report
        .columns(|cell| *cell != Cell::Latency)
        .next()
        .is_some()
    {
        println!("\nHighest committed rate\n{}", rates(report));
    }
    if !report.ratios.is_empty() {
        println!(
            "\nFolkmoot's median to the other's, at as many replicas\n{}",
            ratios(report)
        );
    }
    println!("\n{}", notes(report));
}

fn head(report: &Report) -> String {
    let machine = &report.machine;
    let pinned = match (machine.server_core, machine.generator_core) {
        (Some(server), Some(generator)) => {
            format!("all servers on core {server}, generator on core {generator}")
        }
        _ => "NOT PINNED: there is one core only".to_owned(),
    };
    format!(
        "{}, {} cores, Linux {}; {pinned}\n{} runs in turns, {} s each, {} publishers, {} bytes; \
         medians, least to most in parentheses",
        machine.cpu,
        machine.cores,
        machine.kernel,
        report.runs,
        report.seconds,
        report.publishers,
        report.payload_bytes
    )
}

/// From when a message was due.
const WAYS: [(&str, [Figure; 3]); 2] = [
    (
        "send to commit",
        [Figure::CommitP50, Figure::CommitP99, Figure::CommitP999],
    ),
    (
        "send to deliver",
        [Figure::DeliverP50, Figure::DeliverP99, Figure::DeliverP999],
    ),
];

fn delays(report: &Report) -> Table {
    let mut table = titled(&[
        "peer",
        "measured",
        "p50",
        "p99",
        "p99.9",
        "late p99",
        "server",
        "generator",
        "others",
    ]);
    for (row, column) in report.columns(|cell| *cell == Cell::Latency) {
        for (way, figures) in WAYS {
            let mut cells = vec![TableCell::new(row.label()), TableCell::new(way)];
            let figures = figures.into_iter().chain([Figure::LateP99]);
            cells.extend(figures.map(|figure| number(column.spread(figure), 2)));
            cells.extend(cpu(column));
            table.add_row(cells);
        }
    }
    table
}

fn rates(report: &Report) -> Table {
    let mut table = titled(&[
        "peer",
        "measured",
        "committed/s",
        "server",
        "generator",
        "others",
        "limit",
    ]);
    for (row, column) in report.columns(|cell| *cell != Cell::Latency) {
        let mut cells = vec![
            TableCell::new(row.label()),
            TableCell::new(column.cell.name()),
            number(column.spread(Figure::PerSecond), 0),
        ];
        cells.extend(cpu(column));
        cells.push(limit(column.limit));
        table.add_row(cells);
    }
    table
}

fn ratios(report: &Report) -> Table {
    let mut table = titled(&["beside", "measured", "figure", "ratio", "wanted"]);
    for ratio in &report.ratios {
        table.add_row(vec![
            TableCell::new(format!("{} x{}", ratio.to, ratio.replicas)),
            TableCell::new(ratio.cell.name()),
            TableCell::new(figure_name(ratio.figure)),
            TableCell::new(format!("{:.2}", ratio.ratio))
                .set_alignment(CellAlignment::Right)
                .fg(match ratio.met {
                    Some(true) => Color::Green,
                    Some(false) => Color::Red,
                    None => Color::Reset,
                }),
            TableCell::new(wanted(ratio)),
        ]);
    }
    table
}

fn wanted(ratio: &Ratio) -> String {
    match (ratio.wanted, ratio.figure) {
        (None, _) => String::new(),
        (Some(wanted), Figure::PerSecond) => format!("at least {wanted}"),
        (Some(wanted), _) => format!("below {wanted}"),
    }
}

fn figure_name(figure: Figure) -> &'static str {
    match figure {
        Figure::PerSecond => "committed/s",
        Figure::CommitP50 => "send to commit p50",
        Figure::CommitP99 => "send to commit p99",
        Figure::CommitP999 => "send to commit p99.9",
        Figure::DeliverP50 => "send to deliver p50",
        Figure::DeliverP99 => "send to deliver p99",
        Figure::DeliverP999 => "send to deliver p99.9",
        Figure::LateP99 => "generator late p99",
    }
}

/// `4.2 (4.0-5.1)`.
fn number(spread: Option<&Spread>, digits: usize) -> TableCell {
    let text = spread.map_or_else(String::new, |spread| {
        let Spread {
            median, min, max, ..
        } = spread;
        format!("{median:.digits$} ({min:.digits$}-{max:.digits$})")
    });
    TableCell::new(text).set_alignment(CellAlignment::Right)
}

fn cpu(column: &Column) -> Vec<TableCell> {
    let percent = |spread: &Option<Spread>| spread.as_ref().map_or(0.0, |spread| spread.median);
    let cell = |value: f64, color| {
        TableCell::new(format!("{value:.0} %"))
            .set_alignment(CellAlignment::Right)
            .fg(color)
    };
    let others = percent(&column.other_cpu);
    let noisy = if others > NOISE {
        Color::Yellow
    } else {
        Color::Reset
    };
    vec![
        cell(percent(&column.server_cpu), Color::Reset),
        cell(percent(&column.generator_cpu), Color::Reset),
        cell(others, noisy),
    ]
}

fn limit(limit: Option<Limit>) -> TableCell {
    match limit {
        Some(Limit::Server) => TableCell::new("server"),
        Some(Limit::Both) => TableCell::new("server and generator"),
        Some(Limit::Generator) => TableCell::new("generator").fg(Color::Yellow),
        Some(Limit::Waiting) => TableCell::new("waiting"),
        None => TableCell::new(""),
    }
}

fn notes(report: &Report) -> String {
    let mut lines: Vec<String> = report
        .rows
        .iter()
        .map(|row| {
            let servers = if row.replicas == 1 {
                "process"
            } else {
                "processes"
            };
            format!(
                "{} {}: {} {servers}; {}",
                row.label(),
                row.version,
                row.replicas,
                row.durability
            )
        })
        .collect();
    lines.push(
        "A delay counts from when the message was due. Server, generator: percent of their core. \
         Others: what else used these two cores."
            .to_owned(),
    );
    if !report.machine.on_disk {
        lines.push("THE DATA IS NOT ON A DISK: nothing here was durable. Give --data.".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
