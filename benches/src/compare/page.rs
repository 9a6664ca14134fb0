//! The page: every table, in Markdown.

use std::fmt::Write;

use crate::child::report::{Cell, Herd, Host, Idle, Path, PathCell, Report, Spread};
use crate::table::thousands;

/// Ours, whose figures stand over the others'.
const OURS: [&str; 2] = ["folkmoot websocket", "folkmoot quic"];

/// What each does of what a room needs.
const DOES: [[&str; 6]; 7] = [
    ["folkmoot", "one, for all", "all", "yes", "yes", "yes"],
    [
        "redis pub/sub",
        "one, on one server",
        "none",
        "no",
        "no",
        "no",
    ],
    ["redis streams", "one in a stream", "all", "no", "no", "no"],
    ["nats core", "of each speaker", "none", "no", "no", "no"],
    ["jetstream", "one in a stream", "all", "no", "no", "yes"],
    ["mosquitto", "of each speaker", "the last", "no", "no", "no"],
    [
        "ejabberd MUC",
        "one in a room",
        "the last few, or an archive",
        "no",
        "of a room",
        "no",
    ],
];
const DOING: [&str; 6] = [
    "",
    "order",
    "history",
    "unread and receipts",
    "members, checked",
    "no doubles",
];

/// All of it. `plots`: names of files, and what they show.
pub(super) fn page<'a>(report: &Report, plots: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut page = String::from("# Folkmoot beside others\n\n");
    head(&mut page, report);
    for (name, title) in plots {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(page, "![{title}]({name})\n");
    }
    for (listeners, rate) in report.loads() {
        fanout(&mut page, report, listeners, rate);
    }
    for clients in report.herds() {
        herd(&mut page, report, clients);
    }
    idle(&mut page, &report.idle);
    path(&mut page, &report.path);
    page
}

fn head(page: &mut String, report: &Report) {
    if let Some(machine) = &report.machine {
        let _ = writeln!(
            page,
            "{}, {} cores, Linux {}: servers on one core, the generator on another.\n",
            machine.cpu, machine.cores, machine.kernel
        );
    }
    let _ = writeln!(page, "```sh\n{}\n```\n", report.commands.join("\n"));
    let fanout = report.fanout.iter().map(|cell| &cell.host);
    let hosts = fanout.chain(report.herd.iter().map(|herd| &herd.of.host));
    let set_up = |host: &Host| vec![host.name.clone(), host.version.clone(), host.notes.clone()];
    let durable = |path: &Path| vec![label(path), path.version.clone(), path.durability.clone()];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for row in hosts.map(set_up).chain(report.path.iter().map(durable)) {
        if !rows.iter().any(|other| other[0] == row[0]) {
            rows.push(row);
        }
    }
    table(page, &["", "version", "how it is set up"], rows);
    let does = DOES.iter().map(|row| row.map(str::to_owned).to_vec());
    table(page, &DOING, does);
}

fn label(path: &Path) -> String {
    format!("{} x{}", path.peer, path.replicas)
}

fn fanout(page: &mut String, report: &Report, listeners: u64, rate: Option<f64>) {
    let pace = match rate {
        Some(rate) => format!("{rate} messages/s"),
        None => "as fast as it goes".to_owned(),
    };
    let _ = writeln!(
        page,
        "## {} listeners, {pace}\n",
        thousands(listeners as f64)
    );
    let is_beside = |cell: &&Cell| cell.listeners == listeners && cell.rate == rate;
    let cells: Vec<&Cell> = report.fanout.iter().filter(is_beside).collect();
    let figure = |cell: &Cell| match rate {
        Some(_) => cell.cpu_seconds_per_million,
        None => cell.deliveries_per_second,
    };
    let rows = cells.iter().map(|cell| {
        let mut row = vec![
            cell.host.name.clone(),
            thousands(cell.deliveries_per_second),
            format!("{:.2}", cell.cpu_seconds_per_million),
        ];
        row.extend(ratios(&cells, |cell| &cell.host, figure, cell));
        row.extend([cell.delay_ms.p50, cell.delay_ms.p99].map(|ms| format!("{ms:.1}")));
        row.push(match cell.lost {
            0 => limit(&cell.limit),
            lost => format!("{} did not come in time", thousands(lost as f64)),
        });
        row
    });
    let ratio = match rate {
        Some(_) => "WebSocket's CPU to it",
        None => "WebSocket's deliveries to it",
    };
    let titles = [
        "",
        "deliveries/s",
        "CPU s a million",
        ratio,
        "QUIC's",
        "p50 ms",
        "p99 ms",
        "limit",
    ];
    table(page, &titles, rows);
}

/// Ours, each over this one; over ours there is none.
fn ratios<R>(
    all: &[&R],
    host: impl Fn(&R) -> &Host,
    figure: impl Fn(&R) -> f64,
    of: &R,
) -> [String; 2] {
    OURS.map(|name| {
        let ours = all.iter().find(|one| host(one).name == name);
        match ours {
            Some(ours) if host(of).kind != "ours" => format!("{:.2}", figure(ours) / figure(of)),
            _ => String::new(),
        }
    })
}

fn herd(page: &mut String, report: &Report, clients: u64) {
    let is_of = |herd: &&Herd| herd.clients == clients;
    let herds: Vec<&Herd> = report.herd.iter().filter(is_of).collect();
    let newest = herds.first().map_or(0, |herd| herd.newest);
    let _ = writeln!(
        page,
        "## {} clients ask at once for the newest {newest}\n",
        thousands(clients as f64)
    );
    let rate = |herd: &Herd| herd.of.messages_per_second.median;
    let rows = herds.iter().map(|herd| {
        let mut row = vec![
            herd.of.host.name.clone(),
            thousands(rate(herd)),
            format!("{:.2}", herd.of.cpu_seconds_per_million),
        ];
        row.extend(ratios(&herds, |herd| &herd.of.host, rate, herd));
        let waits = &herd.of.wait_ms;
        row.extend([waits.p50, waits.most].map(|ms| format!("{ms:.0}")));
        let mib = herd.of.memory_more as f64 / (1024.0 * 1024.0);
        row.extend([format!("{mib:.0}"), limit(&herd.of.limit)]);
        row
    });
    let titles = [
        "",
        "messages/s",
        "CPU s a million",
        "WebSocket's rate to it",
        "QUIC's",
        "p50 ms",
        "longest",
        "MiB more",
        "limit",
    ];
    table(page, &titles, rows);
}

fn limit(limit: &str) -> String {
    match limit {
        "none" => String::new(),
        limit => limit.to_owned(),
    }
}

fn idle(page: &mut String, idle: &[Idle]) {
    if idle.is_empty() {
        return;
    }
    page.push_str("## A connection that does nothing, in ten groups\n\n");
    let kib = |bytes: f64| format!("{:.1}", bytes / 1024.0);
    let row = |row: &Idle| vec![row.host.name.clone(), kib(row.server), kib(row.slab)];
    let titles = ["", "server, KiB", "kernel, both ends, KiB"];
    table(page, &titles, idle.iter().map(row));
}

fn path(page: &mut String, paths: &[Path]) {
    let Some(first) = paths.first() else { return };
    page.push_str("## From a message's sending to where it is not lost\n\n");
    let title = |cell: &PathCell| match (cell.window, cell.targets) {
        (Some(window), Some(1)) => format!("window {window}, one group: a second"),
        (Some(window), Some(many)) => format!("window {window}, {many} groups: a second"),
        _ => "commit p50, p99 ms at 1,000/s".to_owned(),
    };
    let titles: Vec<String> = std::iter::once(String::new())
        .chain(first.cells.iter().map(title))
        .collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let rows = paths.iter().map(|path| {
        let name = std::iter::once(label(path));
        name.chain(path.cells.iter().map(committed)).collect()
    });
    table(page, &titles, rows);
}

fn committed(cell: &PathCell) -> String {
    let figure = |name| cell.figure(name);
    if let Some(Spread { median, min, max }) = figure("per_second") {
        let [median, min, max] = [median, min, max].map(thousands);
        return format!("{median} ({min}–{max})");
    }
    match (figure("commit_p50"), figure("commit_p99")) {
        (Some(p50), Some(p99)) => format!("{:.2}, {:.2}", p50.median, p99.median),
        _ => String::new(),
    }
}

fn table(page: &mut String, titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut line = |cells: Vec<String>| {
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    };
    line(titles.iter().map(|title| (*title).to_owned()).collect());
    line(vec!["---".to_owned(); titles.len()]);
    for row in rows {
        line(row);
    }
    page.push('\n');
}
