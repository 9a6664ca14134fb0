//! The figures that are wanted, from what the parts say.

#[cfg(test)]
mod tests;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use crate::crowd::OVER_TLS;

/// How a figure is to stand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wanted {
    /// At most this, itself.
    Most(f64),
    /// At least this, itself.
    Least(f64),
    /// At most so many times the peer's.
    MostTimes(f64),
    /// At least so many times the peer's.
    LeastTimes(f64),
}

/// A figure of others, and how often as large ours is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Beside {
    pub(super) name: String,
    pub(super) figure: f64,
    pub(super) times: f64,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) ours: f64,
    pub(super) wanted: Wanted,
    /// Best of those who do the same, or the one that is named.
    pub(super) peer: Option<Beside>,
    /// The bare loop that writes the same bytes.
    pub(super) floor: Option<Beside>,
    pub(super) holds: bool,
}

impl Row {
    fn new(what: impl Into<String>, unit: &'static str, ours: f64, wanted: Wanted) -> Self {
        Self {
            what: what.into(),
            unit,
            ours,
            wanted,
            peer: None,
            floor: None,
            holds: false,
        }
        .judged()
    }

    fn beside(mut self, peer: Option<(String, f64)>) -> Self {
        self.peer = peer.map(|(name, figure)| self.times(name, figure));
        self.judged()
    }

    fn over(mut self, floor: Option<(String, f64)>) -> Self {
        self.floor = floor.map(|(name, figure)| self.times(name, figure));
        self.judged()
    }

    fn times(&self, name: String, figure: f64) -> Beside {
        Beside {
            name,
            figure,
            times: self.ours / figure,
        }
    }

    fn judged(mut self) -> Self {
        let times = self.peer.as_ref().map(|peer| peer.times);
        self.holds = match self.wanted {
            Wanted::Most(most) => self.ours <= most,
            Wanted::Least(least) => self.ours >= least,
            // Without the peer nobody knows.
            Wanted::MostTimes(most) => times.is_some_and(|times| times <= most),
            Wanted::LeastTimes(least) => times.is_some_and(|times| times >= least),
        };
        self
    }
}

fn number(value: &Value, path: &str) -> anyhow::Result<f64> {
    let found = value.pointer(path).and_then(Value::as_f64);
    found.with_context(|| format!("no number at {path}"))
}

fn list<'a>(report: &'a Value, name: &str) -> anyhow::Result<&'a [Value]> {
    let found = report[name].as_array().map(Vec::as_slice);
    found.with_context(|| format!("no {name}"))
}

/// The rows of a report that are about one host.
struct Hosts<'a> {
    of: Vec<&'a Value>,
}

impl<'a> Hosts<'a> {
    fn new(rows: &'a [Value], like: impl Fn(&Value) -> bool) -> Self {
        Self {
            of: rows.iter().filter(|row| like(row)).collect(),
        }
    }

    fn figure(&self, host: &str, path: &str) -> anyhow::Result<f64> {
        let row = self.of.iter().find(|row| row["host"] == host);
        number(row.with_context(|| format!("no {host}"))?, path)
    }

    /// The figure of a peer, if that was measured.
    fn named(&self, host: &str, path: &str) -> Option<(String, f64)> {
        let figure = self.figure(host, path).ok()?;
        Some((host.to_owned(), figure))
    }

    /// The peer with the smallest, or else the largest, figure, of those over
    /// TLS or of those without.
    fn best(&self, path: &str, smallest: bool, tls: bool) -> Option<(String, f64)> {
        let is_one = |row: &&&Value| {
            let name = row["host"].as_str().unwrap_or_default();
            row["kind"] == "peer" && name.ends_with(OVER_TLS) == tls
        };
        let peers = self.of.iter().filter(is_one);
        let figures = peers.filter_map(|row| {
            let host = row["host"].as_str()?;
            Some((host.to_owned(), row.pointer(path)?.as_f64()?))
        });
        let better = |a: &f64, b: &f64| match smallest {
            true => a.total_cmp(b),
            false => b.total_cmp(a),
        };
        figures.min_by(|a, b| better(&a.1, &b.1))
    }
}

const WEBSOCKET: &str = "folkmoot websocket";
const NO_WINDOW: &str = "folkmoot websocket, window 0";
const QUIC: &str = "folkmoot quic";
const NATS: &str = "nats core";
const COST: &str = "/cpu_seconds_per_million";
const RATE: &str = "/deliveries_per_second";
const P99: &str = "/delay_ms/p99";
const CPU: &str = "CPU s a million";

pub(super) fn fanout(report: &Value) -> anyhow::Result<Vec<Row>> {
    let cells = list(report, "cells")?;
    let mut sizes: Vec<u64> = cells
        .iter()
        .filter_map(|c| c["listeners"].as_u64())
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut rows = Vec::new();
    for size in sizes {
        let paced = Hosts::new(cells, |c| c["listeners"] == size && !c["rate"].is_null());
        let most = Hosts::new(cells, |c| c["listeners"] == size && c["rate"].is_null());
        let cost = |host, name: &str, wanted| {
            let ours = paced.figure(host, COST)?;
            let what = format!("fan-out to {size}, busy group, {name}");
            anyhow::Ok(Row::new(what, CPU, ours, wanted))
        };
        rows.push(
            cost(WEBSOCKET, "WebSocket over TLS", Wanted::MostTimes(0.5))?
                .beside(paced.best(COST, true, false))
                .over(paced.named("floor, tls", COST)),
        );
        rows.push(
            cost(QUIC, "QUIC", Wanted::MostTimes(1.0))?
                .beside(paced.named(NATS, COST))
                .over(paced.named("floor, quic", COST)),
        );
        rows.push(
            cost(NO_WINDOW, "WebSocket, no window", Wanted::MostTimes(1.0))?
                .beside(paced.best(COST, true, true)),
        );
        let ours = most.figure(WEBSOCKET, RATE)?;
        // The others' without TLS are more: ours has to be twice those.
        let what = format!("most deliveries to {size}, WebSocket over TLS");
        rows.push(
            Row::new(what, "a second", ours, Wanted::LeastTimes(2.0))
                .beside(most.best(RATE, false, false))
                .over(most.named("floor, tls", RATE)),
        );
    }
    Ok(rows)
}

pub(super) fn quiet(report: &Value) -> anyhow::Result<Vec<Row>> {
    let hosts = Hosts::new(list(report, "cells")?, |_| true);
    let mut rows = Vec::new();
    for (host, name) in [(WEBSOCKET, "WebSocket over TLS"), (QUIC, "QUIC")] {
        for (path, unit) in [(COST, CPU), (P99, "ms at p99")] {
            let what = format!("quiet group, {name}");
            rows.push(
                Row::new(
                    what,
                    unit,
                    hosts.figure(host, path)?,
                    Wanted::MostTimes(1.0),
                )
                .beside(hosts.named(NATS, path)),
            );
        }
    }
    Ok(rows)
}

pub(super) fn slow(report: &Value) -> anyhow::Result<Vec<Row>> {
    let cells = list(report, "cells")?;
    let all = Hosts::new(cells, |cell| cell["slow"] == 0);
    let some = Hosts::new(cells, |cell| cell["slow"] != 0);
    let before = all.figure(WEBSOCKET, P99)?;
    let what = "the others' p99, while a tenth reads nothing";
    let row = Row::new(
        what,
        "ms",
        some.figure(WEBSOCKET, P99)?,
        Wanted::MostTimes(1.1),
    );
    Ok(vec![
        row.beside(Some(("while all read".to_owned(), before))),
    ])
}

pub(super) fn herd(report: &Value) -> anyhow::Result<Vec<Row>> {
    const RATE: &str = "/messages_per_second/median";
    let hosts = Hosts::new(list(report, "rows")?, |_| true);
    let ours = hosts.figure(WEBSOCKET, RATE)?;
    let what = "catch-up of a herd, WebSocket over TLS";
    let row = |wanted| Row::new(what, "messages a second", ours, wanted);
    let floor = || hosts.named("floor, tls", RATE);
    let memory = hosts.figure(WEBSOCKET, "/memory_more")? / (1024.0 * 1024.0);
    Ok(vec![
        row(Wanted::LeastTimes(3.0))
            .beside(hosts.named("jetstream", RATE))
            .over(floor()),
        row(Wanted::LeastTimes(1.0))
            .beside(hosts.named("redis streams", RATE))
            .over(floor()),
        Row::new(
            "the longest wait in it",
            "ms",
            hosts.figure(WEBSOCKET, "/wait_ms/most")?,
            Wanted::Most(2_000.0),
        ),
        Row::new("memory above before", "MiB", memory, Wanted::Most(64.0)),
    ])
}

pub(super) fn connections(report: &Value) -> anyhow::Result<Vec<Row>> {
    let hosts = list(report, "rows")?;
    let peers = hosts.iter().filter_map(|row| {
        let host = row["host"].as_str()?;
        let is_peer = !host.starts_with("folkmoot") && !host.starts_with("floor");
        is_peer.then(|| Some((host.to_owned(), row["server"].as_f64()? / 1024.0)))?
    });
    let best = peers.min_by(|a, b| a.1.total_cmp(&b.1));
    let hosts = Hosts::new(hosts, |_| true);
    let row = |host, name: &str, most| {
        let ours = hosts.figure(host, "/server")? / 1024.0;
        let what = format!("an idle connection in 10 groups, {name}");
        anyhow::Ok(Row::new(what, "KiB", ours, Wanted::Most(most)).beside(best.clone()))
    };
    Ok(vec![
        row(WEBSOCKET, "WebSocket over TLS", 12.0)?,
        row(QUIC, "QUIC", 24.0)?,
    ])
}

pub(super) fn members(report: &Value) -> anyhow::Result<Vec<Row>> {
    let count = number(report, "/members")?;
    let of = |what: &str| format!("{what}, of {count} members");
    let mut rows = vec![
        Row::new(
            of("a member's rows on disk"),
            "bytes",
            number(report, "/disk/rows")?,
            Wanted::Most(100.0),
        ),
        Row::new(
            of("joins into one group"),
            "a second",
            number(report, "/joins/taken")?,
            // What was asked for, within what rounding and an end take.
            Wanted::Least(0.99 * 10_000.0),
        ),
    ];
    for page in list(report, "pages")? {
        let what = page["what"].as_str().unwrap_or_default();
        let p99 = number(page, P99)?;
        rows.push(Row::new(of(what), "ms at p99", p99, Wanted::Most(5.0)));
    }
    Ok(rows)
}

pub(super) fn cursors(report: &Value) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for run in list(report, "rows")? {
        let carrier = run["carrier"].as_str().unwrap_or_default();
        rows.push(Row::new(
            format!("cursors taken by one edge, {carrier}"),
            "a second",
            number(run, "/taken")?,
            Wanted::Least(0.99 * 100_000.0),
        ));
        rows.push(Row::new(
            format!("payloads upstream for 1,000 of them, {carrier}"),
            "",
            number(run, "/payloads_per_thousand")?,
            Wanted::Most(10.0),
        ));
    }
    Ok(rows)
}

pub(super) fn counts(report: &Value) -> anyhow::Result<Vec<Row>> {
    let groups = number(report, "/groups")?;
    let counts = list(report, "rows")?.first().context("no rows")?;
    let what = |what: &str| format!("{what}, of {groups} groups");
    Ok(vec![
        Row::new(
            what("unread, the server's time"),
            "ms",
            number(counts, "/server_ms")?,
            Wanted::Most(5.0),
        ),
        Row::new(
            what("unread, round trips"),
            "",
            number(counts, "/round_trips")?,
            Wanted::Most(1.0),
        ),
    ])
}
