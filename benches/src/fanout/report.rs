//! All measurements together, for people and programs.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::load::{Heard, Pace, Plan};
use crate::crowd::{Floor, Host, Kind};
use crate::load::payload::PAYLOAD;
use crate::machine::{Limit, Machine, Usage};
use crate::stats::Percentiles;

impl Pace {
    pub(super) fn name(self) -> String {
        match self {
            Self::Rate(rate) => format!("{rate} messages/s"),
            Self::Most => "as fast as it goes".to_owned(),
        }
    }
}

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) seconds: f64,
    pub(super) payload_bytes: usize,
    pub(super) cells: Vec<Cell>,
}

/// Who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Size {
    pub(super) listeners: usize,
    /// Of them: those who read nothing, to whom no delivery counts.
    pub(super) slow: usize,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", self.listeners)?;
        match self.slow {
            0 => Ok(()),
            slow => write!(f, ", {slow} of which read nothing"),
        }
    }
}

/// One host under one load.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Cell {
    pub(super) host: String,
    pub(super) kind: Kind,
    /// The bare loop that writes the same frames.
    pub(super) floor: Option<&'static str>,
    pub(super) version: String,
    pub(super) notes: String,
    #[serde(flatten)]
    pub(super) size: Size,
    /// Messages a second; none: as fast as it goes.
    pub(super) rate: Option<f64>,
    pub(super) deliveries_per_second: f64,
    /// Of the server, for a million deliveries.
    pub(super) cpu_seconds_per_million: f64,
    pub(super) delay_ms: Percentiles,
    /// What of it is the generator's own: from due to said.
    pub(super) late_ms: Percentiles,
    pub(super) lost: u64,
    /// Of the server at the end of the measured time, in bytes.
    pub(super) memory: u64,
    pub(super) usage: Usage,
    /// Whose core was full.
    pub(super) limit: Limit,
}

impl Cell {
    pub(super) fn new(
        host: &dyn Host,
        version: &str,
        size: Size,
        plan: Plan,
        heard: &Heard,
    ) -> Self {
        let seconds = plan.time.as_secs_f64();
        let millions = heard.deliveries as f64 / 1e6;
        Self {
            host: host.name(),
            kind: host.kind(),
            floor: host.floor().map(Floor::title),
            version: version.to_owned(),
            notes: host.notes(),
            size,
            rate: match plan.pace {
                Pace::Rate(rate) => Some(rate),
                Pace::Most => None,
            },
            deliveries_per_second: heard.deliveries as f64 / seconds,
            cpu_seconds_per_million: heard.usage.server / 100.0 * seconds / millions,
            delay_ms: Percentiles::of(&heard.delay),
            late_ms: Percentiles::of(&heard.late),
            lost: heard.lost,
            memory: heard.memory,
            usage: heard.usage,
            limit: Limit::of(&heard.usage),
        }
    }

    /// What is compared.
    pub(super) fn cost(&self) -> f64 {
        self.cpu_seconds_per_million
    }

    /// Whether it is of the same load.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.size == other.size && self.rate == other.rate
    }
}

impl Report {
    pub(super) fn new(machine: Machine, time: Duration) -> Self {
        Self {
            machine,
            seconds: time.as_secs_f64(),
            payload_bytes: PAYLOAD,
            cells: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, cell: Cell) {
        self.cells.push(cell);
    }

    /// The one that costs least under the same load.
    pub(super) fn best_peer(&self, of: &Cell) -> Option<&Cell> {
        let peers = self.beside(of).filter(|cell| cell.kind == Kind::Peer);
        peers.min_by(|a, b| a.cost().total_cmp(&b.cost()))
    }

    /// The bare loop that writes the same frames under the same load.
    pub(super) fn floor(&self, of: &Cell) -> Option<&Cell> {
        let floor = of.floor?;
        self.beside(of).find(|cell| cell.host == floor)
    }

    fn beside(&self, of: &Cell) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.is_beside(of))
    }
}
