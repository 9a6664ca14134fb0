//! The figures, for people and programs.

use std::time::Duration;

use serde::Serialize;

use super::kills::{Outcome, Pause};
use crate::load::payload::PAYLOAD;
use crate::machine::Machine;
use crate::peer::Peer;

/// What Folkmoot's pause is wanted to be below, at the 99th percentile.
const WANTED: f64 = 1_000.0;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) rate: u32,
    pub(super) publishers: usize,
    pub(super) payload_bytes: usize,
    pub(super) rows: Vec<Row>,
}

/// One peer.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) peer: &'static str,
    pub(super) version: String,
    pub(super) durability: String,
    pub(super) kills: usize,
    /// From the kill to the first new commit.
    pub(super) first_commit_ms: Times,
    /// From the kill until every publisher had a new commit.
    pub(super) all_publishers_ms: Times,
    /// From the restart until the killed server has caught up.
    pub(super) caught_up_ms: Times,
    pub(super) acknowledged: usize,
    pub(super) lost: usize,
    pub(super) doubled: usize,
    /// Whether the 99th percentile of the first commit is what is wanted;
    /// `None`: nothing is wanted of it.
    pub(super) met: Option<bool>,
}

/// A distribution, in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Times {
    pub(super) min: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Times {
    /// By nearest rank.
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut ms: Vec<f64> = times.map(|time| time.as_secs_f64() * 1_000.0).collect();
        ms.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let rank = (ms.len() * percent).div_ceil(100).max(1);
            ms.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            min: at(0),
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: at(100),
        }
    }
}

impl Row {
    pub(super) fn new(peer: &dyn Peer, version: String, outcome: &Outcome) -> Self {
        let times = |part: fn(&Pause) -> Duration| Times::of(outcome.pauses.iter().map(part));
        let first = times(|pause| pause.first);
        Self {
            peer: peer.name(),
            version,
            durability: peer.durability(3),
            kills: outcome.pauses.len(),
            met: (peer.name() == "folkmoot").then_some(first.p99 < WANTED),
            first_commit_ms: first,
            all_publishers_ms: times(|pause| pause.all),
            caught_up_ms: times(|pause| pause.whole),
            acknowledged: outcome.acknowledged,
            lost: outcome.lost,
            doubled: outcome.doubled,
        }
    }
}

impl Report {
    pub(super) fn new(machine: Machine, rate: u32, publishers: usize, rows: Vec<Row>) -> Self {
        Self {
            machine,
            rate,
            publishers,
            payload_bytes: PAYLOAD,
            rows,
        }
    }

    /// What of Folkmoot's must never be.
    pub(super) fn wrong(&self) -> Option<String> {
        let ours = self.rows.iter().find(|row| row.peer == "folkmoot")?;
        let wrong = ours.lost > 0 || ours.doubled > 0;
        wrong.then(|| format!("{} messages lost, {} doubled", ours.lost, ours.doubled))
    }
}

#[cfg(test)]
mod tests;
