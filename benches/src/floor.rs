//! `folkmoot-bench floor`: the least that the same can cost on this machine, by
//! bare loops, and how often as much ours is.

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::child::report::{Cell, Report as Read};
use crate::child::{self, Said};
use crate::flags::Common;
use crate::progress::Progress;
use crate::run;
use crate::table::{align, thousands, titled};

/// Flags of `folkmoot-bench floor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Short runs, to see that it works; the figures mean little
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    common: Common,
}

const QUICK: [&str; 4] = [
    "fanout --listeners 200 --rates 100 --seconds 2 --only websocket,quic,floor-tcp,floor-tls,floor-quic",
    "herd --clients 100 --rounds 1 --only websocket,quic,floor-tcp,floor-tls,floor-quic",
    "commit",
    "path --only folkmoot --replicas 1 --cells window1,window256 --runs 1 --seconds 1",
];
const LONG: [&str; 4] = [
    "fanout --listeners 1000 --rates 100 --seconds 10 --only websocket,quic,floor-tcp,floor-tls,floor-quic",
    "herd --only websocket,quic,floor-tcp,floor-tls,floor-quic",
    "commit",
    "path --only folkmoot --replicas 1 --cells window1,window256 --runs 3 --seconds 3",
];
/// Publishers of `path`: with a window of one there are as many on their way.
const PUBLISHERS: u64 = 16;
/// Whose bare loop is whose.
const PAIRS: [(&str, Option<&str>); 3] = [
    ("floor, tls", Some("folkmoot websocket")),
    ("floor, quic", Some("folkmoot quic")),
    ("floor, tcp", None),
];

/// Everything.
#[derive(Debug, Serialize)]
struct Report {
    lines: Vec<Line>,
    parts: Vec<Said>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Line {
    what: String,
    unit: &'static str,
    floor: f64,
    /// None: nothing of ours does just this.
    ours: Option<f64>,
    times: Option<f64>,
}

impl Line {
    fn new(what: String, unit: &'static str, floor: f64, ours: Option<f64>) -> Self {
        Self {
            what,
            unit,
            floor,
            ours,
            times: ours.map(|ours| ours / floor),
        }
    }
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let report = run::until_interrupted(measure(options))?;
    match options.common.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print(&report.lines),
    }
    Ok(())
}

async fn measure(options: &Options) -> anyhow::Result<Report> {
    let parts = if options.quick { QUICK } else { LONG };
    let progress = Progress::show(parts.len());
    let mut said = Vec::new();
    for words in parts {
        progress.step(words);
        said.push(child::run(words, &options.common).await?);
    }
    Ok(Report {
        lines: lines(&Read::read(&said)?),
        parts: said,
    })
}

fn lines(read: &Read) -> Vec<Line> {
    [frames(read), pages(read), synced(read)].concat()
}

/// Shared frames, written to many.
fn frames(read: &Read) -> Vec<Line> {
    let mut lines = Vec::new();
    for (listeners, rate) in read.loads() {
        let of = |host: &str| {
            let mut cells = read.fanout.iter();
            cells.find(|c| c.listeners == listeners && c.rate == rate && c.host.name == host)
        };
        let (pace, unit, figure): (String, _, fn(&Cell) -> f64) = match rate {
            Some(rate) => (format!("{rate} messages/s"), "CPU s a million", |cell| {
                cell.cpu_seconds_per_million
            }),
            None => ("as fast as it goes".to_owned(), "deliveries/s", |cell| {
                cell.deliveries_per_second
            }),
        };
        for (floor, ours) in PAIRS {
            let ours = ours.and_then(of).map(figure);
            let what = format!("frames to {listeners}, {pace}: {floor}");
            lines.extend(of(floor).map(|cell| Line::new(what, unit, figure(cell), ours)));
        }
    }
    lines
}

/// Frames as long as a page of history.
fn pages(read: &Read) -> Vec<Line> {
    let rate = |host: &str| {
        let found = read.herd.iter().find(|herd| herd.of.host.name == host)?;
        Some((found, found.of.messages_per_second.median))
    };
    let line = |(floor, ours): (&str, Option<&str>)| {
        let (herd, figure) = rate(floor)?;
        let ours = ours.and_then(rate).map(|(_, rate)| rate);
        let what = format!(
            "{} messages to {} at once: {floor}",
            herd.newest, herd.clients
        );
        Some(Line::new(what, "messages/s", figure, ours))
    };
    PAIRS.into_iter().filter_map(line).collect()
}

/// Batches that are synced: by group commit alone, and by a whole node.
fn synced(read: &Read) -> Vec<Line> {
    let mut lines = Vec::new();
    for row in &read.commit {
        let what = format!("synced batches of {}: group commit", row.in_flight);
        lines.push(Line::new(
            what,
            "records/s",
            row.bare_loop,
            Some(row.group_commit),
        ));
    }
    for cell in read.path.iter().flat_map(|path| &path.cells) {
        let on_their_way = cell.window.map(|window| window * PUBLISHERS);
        let row = read
            .commit
            .iter()
            .find(|row| Some(row.in_flight) == on_their_way);
        let rate = cell.figure("per_second").map(|spread| spread.median);
        if let (Some(row), Some(rate)) = (row, rate) {
            let what = format!("synced batches of {}: committed by a node", row.in_flight);
            lines.push(Line::new(what, "messages/s", row.bare_loop, Some(rate)));
        }
    }
    lines
}

fn print(lines: &[Line]) {
    let mut table = titled(&["figure", "", "bare loop", "ours", "ours to it"]);
    let figure = |figure: f64| match figure < 100.0 {
        true => format!("{figure:.2}"),
        false => thousands(figure),
    };
    for line in lines {
        table.add_row([
            line.what.clone(),
            line.unit.to_owned(),
            figure(line.floor),
            line.ours.map_or_else(String::new, figure),
            line.times
                .map_or_else(String::new, |times| format!("{times:.2}×")),
        ]);
    }
    align(&mut table);
    println!("{table}");
}
