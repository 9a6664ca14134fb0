//! All measurements together, for people and programs.

#[cfg(test)]
mod tests;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::load::Round;
use crate::crowd::{Archive, Floor, Kind};
use crate::machine::{Limit, Machine};
use crate::stats::{Percentiles, Spread};

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) clients: usize,
    /// Messages that each reads.
    pub(super) newest: usize,
    pub(super) rows: Vec<Row>,
}

/// One host.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) host: String,
    pub(super) kind: Kind,
    /// The bare loop that writes the same bytes.
    pub(super) floor: Option<&'static str>,
    pub(super) version: String,
    pub(super) notes: String,
    /// Until the last client had everything.
    pub(super) messages_per_second: Spread,
    /// Of the server, for a million messages, over all rounds.
    pub(super) cpu_seconds_per_million: f64,
    /// Of the clients in all rounds, from when all asked.
    pub(super) wait_ms: Percentiles,
    /// Of the server, in bytes: before the first round, and how far above what
    /// it had before a round it was during one.
    pub(super) memory_before: u64,
    pub(super) memory_more: u64,
    /// Whose core was full in the round in the middle.
    pub(super) limit: Limit,
    pub(super) others_percent: f64,
}

impl Row {
    pub(super) fn new(
        host: &dyn Archive,
        version: String,
        messages: usize,
        rounds: &[Round],
    ) -> anyhow::Result<Self> {
        let first = rounds.first().context("no rounds")?;
        let mut waits = Histogram::new_from(&first.waits);
        for round in rounds {
            waits.add(&round.waits)?;
        }
        let messages = messages as f64;
        let rates: Vec<f64> = rounds
            .iter()
            .map(|round| messages / round.time.as_secs_f64())
            .collect();
        let cpu: f64 = rounds.iter().map(|round| round.cpu_seconds()).sum();
        let middle = &rounds[rounds.len() / 2].usage;
        Ok(Self {
            host: host.name(),
            kind: host.kind(),
            floor: host.floor().map(Floor::title),
            version,
            notes: host.notes(),
            messages_per_second: Spread::of(&rates).context("no rounds")?,
            cpu_seconds_per_million: cpu / (messages * rounds.len() as f64 / 1e6),
            wait_ms: Percentiles::of(&waits),
            memory_before: first.before,
            memory_more: rounds.iter().map(Round::more).max().unwrap_or(0),
            limit: Limit::of(middle),
            others_percent: middle.others,
        })
    }

    /// What is compared.
    pub(super) fn rate(&self) -> f64 {
        self.messages_per_second.median
    }
}

impl Report {
    /// How often as fast as another it is.
    pub(super) fn times(&self, row: &Row, other: &str) -> Option<f64> {
        let other = self.rows.iter().find(|row| row.host == other)?;
        Some(row.rate() / other.rate())
    }

    /// The peers, by their names.
    pub(super) fn peers(&self) -> impl Iterator<Item = &str> {
        let peers = self.rows.iter().filter(|row| row.kind == Kind::Peer);
        peers.map(|row| row.host.as_str())
    }
}
