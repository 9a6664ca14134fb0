//! The report of a replay, for people and programs.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::regions;
use super::replay::Quantiles;
use super::wan::Sample;

/// The log of a group in one region.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadReport {
    pub seq: u64,
    pub chain: String,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupReport {
    pub name: String,
    pub id: String,
    pub home: String,
    /// Lines of its file.
    pub lines: usize,
    /// Lines that change nothing and make no entry.
    pub unchanged: usize,
    pub kinds: BTreeMap<String, u64>,
    /// By region.
    pub heads: BTreeMap<String, HeadReport>,
    /// Encoded entries of one copy of the log.
    pub entry_bytes: u64,
}

/// Clients by transport.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Clients {
    pub(super) quic: u64,
    pub(super) websocket: u64,
}

/// Bytes from one region to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Way {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) quic: u64,
    pub(super) gossip: u64,
}

/// Bytes between regions: UDP payload, as the nodes sent it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Bytes {
    /// From the first line until all regions agree.
    pub(super) between_regions: u64,
    pub(super) ways: Vec<Way>,
    /// Encoded entries, each once.
    pub(super) entries: u64,
    /// Encoded entries, each once for every region but its home.
    pub(super) entries_to_other_regions: u64,
    /// Encoded entries of the users' own groups, each once; every region of
    /// the demo gets a copy of them too.
    pub(super) other_entries: u64,
    /// `between_regions` to all entries' copies, those of users' own groups
    /// included.
    pub(super) ratio_to_all_entries: Option<f64>,
    /// `between_regions / entries_to_other_regions`; none with one region.
    pub(super) ratio: Option<f64>,
    /// The same with gossip left out.
    pub(super) ratio_without_gossip: Option<f64>,
    /// From the first node's start, joining and the groups' creation included.
    pub(super) whole_run: u64,
    /// Packets that the demo's own queues dropped.
    pub(super) packets_dropped: u64,
}

impl Bytes {
    /// `before`, `after`: at the replay's first line and when all agreed.
    /// `entries` and `others`: of the replayed and of all other groups.
    pub(super) fn of(before: &Sample, after: &Sample, entries: u64, others: u64) -> Self {
        let regions = after.quic.len();
        let mut ways = Vec::new();
        let (mut quic_sum, mut gossip_sum, mut whole_run) = (0, 0, 0);
        for from in 0..regions {
            for to in (0..regions).filter(|to| *to != from) {
                let quic = after.quic[from][to] - before.quic[from][to];
                let gossip = after.gossip[from][to] - before.gossip[from][to];
                quic_sum += quic;
                gossip_sum += gossip;
                whole_run += after.quic[from][to] + after.gossip[from][to];
                ways.push(Way {
                    from: regions::NAMES[from].to_owned(),
                    to: regions::NAMES[to].to_owned(),
                    quic,
                    gossip,
                });
            }
        }
        let times = regions.saturating_sub(1) as u64;
        let copies = entries * times;
        let to = |bytes: u64, copies: u64| (copies > 0).then(|| bytes as f64 / copies as f64);
        let ratio = |bytes: u64| to(bytes, copies);
        Self {
            between_regions: quic_sum + gossip_sum,
            ways,
            entries,
            entries_to_other_regions: copies,
            other_entries: others,
            ratio_to_all_entries: to(quic_sum + gossip_sum, copies + others * times),
            ratio: ratio(quic_sum + gossip_sum),
            ratio_without_gossip: ratio(quic_sum),
            whole_run,
            packets_dropped: after.dropped,
        }
    }
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Report {
    /// Every region's log is whole, identical, and what was said.
    pub(super) ok: bool,
    pub(super) problems: Vec<String>,
    pub(super) pipelined: bool,
    pub(super) regions: Vec<String>,
    pub(super) nodes: usize,
    /// Round trips as they were, in milliseconds.
    pub(super) round_trips_ms: Vec<(String, String, f64)>,
    pub(super) lines: usize,
    pub(super) entries: u64,
    pub(super) kinds: BTreeMap<String, u64>,
    pub(super) clients: Clients,
    /// From the first line until the last was committed.
    pub(super) replay_seconds: f64,
    /// And until all regions agreed.
    pub(super) wall_seconds: f64,
    pub(super) bytes: Bytes,
    pub(super) send_to_commit: Vec<Quantiles>,
    pub(super) send_to_deliver: Vec<Quantiles>,
    pub(super) groups: Vec<GroupReport>,
}

/// Round trips between the first `regions` regions, in milliseconds.
pub(super) fn round_trips(regions: usize, scale: f64) -> Vec<(String, String, f64)> {
    let mut all = Vec::new();
    for a in 0..regions {
        for b in a + 1..regions {
            let ms = regions::round_trip_ms(a, b) as f64 * scale;
            all.push((
                regions::NAMES[a].to_owned(),
                regions::NAMES[b].to_owned(),
                ms,
            ));
        }
    }
    all
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.pipelined {
            "pipelined"
        } else {
            "line by line"
        };
        writeln!(
            f,
            "{} lines, {order}, made {} entries in {} groups, at {} nodes in {} regions",
            self.lines,
            self.entries,
            self.groups.len(),
            self.nodes,
            self.regions.len()
        )?;
        let kinds: Vec<String> = self
            .kinds
            .iter()
            .map(|(kind, n)| format!("{n} {kind}"))
            .collect();
        writeln!(f, "entries: {}", kinds.join(", "))?;
        writeln!(
            f,
            "clients: {} over QUIC, {} over WebSocket",
            self.clients.quic, self.clients.websocket
        )?;
        writeln!(
            f,
            "time: {:.1} s until all was committed, {:.1} s until all regions agreed",
            self.replay_seconds, self.wall_seconds
        )?;
        write!(
            f,
            "bytes between regions: {} for {} of entries",
            self.bytes.between_regions, self.bytes.entries_to_other_regions
        )?;
        match self.bytes.ratio {
            Some(ratio) => writeln!(
                f,
                ", {ratio:.2} to 1 ({:.2} to 1 with the entries of users' own groups)",
                self.bytes.ratio_to_all_entries.unwrap_or(ratio)
            )?,
            None => writeln!(f)?,
        }
        for (what, rows) in [
            ("commit", &self.send_to_commit),
            ("deliver", &self.send_to_deliver),
        ] {
            writeln!(f, "send to {what}, ms:  p50     p99")?;
            for row in rows {
                let way = format!("{} to {}", row.from, row.to);
                writeln!(f, "  {way:<16} {:>7.1} {:>7.1}", row.p50_ms, row.p99_ms)?;
            }
        }
        if self.ok {
            return writeln!(f, "every region's log is whole, and all are the same");
        }
        writeln!(f, "NOT as it should be:")?;
        self.problems
            .iter()
            .try_for_each(|problem| writeln!(f, "  {problem}"))
    }
}
