//! What can be done to a cluster, and a seed's plan of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::bail;

use super::lab::{PER_REGION, REGIONS};
use crate::sim::draw::Draw;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A node is killed and started again.
    Kill,
    /// A node is stopped beyond its lease, then goes on.
    Pause,
    /// Nothing gets from other nodes to one, or back.
    Isolate,
    /// A node does not hear the others.
    Deaf,
    /// The others do not hear a node.
    Mute,
    /// A third of what goes between a node and the others is lost.
    Loss,
    /// A node's clients cannot reach it, other nodes can.
    NoClients,
    /// A region is cut off from the others.
    RegionCut,
    /// A region hears another one no more, and is heard.
    RegionDeaf,
    /// A tenth of what goes between a region and the others is lost.
    RegionLoss,
    /// A node has no routes to other regions.
    NoRoutes,
    /// A node's clock is off by less than the bound.
    ClockNear,
    /// A node's clock is off by a minute.
    ClockFar,
    /// A node's disk is full.
    DiskFull,
    /// A node's disk is read-only.
    DiskReadOnly,
    /// Bytes of a stopped node's data are changed.
    Flip,
    /// All nodes are restarted in turn, with another version of the binary.
    Upgrade,
}

/// All, with their names.
pub const KINDS: [(Kind, &str); 17] = [
    (Kind::Kill, "kill"),
    (Kind::Pause, "pause"),
    (Kind::Isolate, "isolate"),
    (Kind::Deaf, "deaf"),
    (Kind::Mute, "mute"),
    (Kind::Loss, "loss"),
    (Kind::NoClients, "no-clients"),
    (Kind::RegionCut, "region-cut"),
    (Kind::RegionDeaf, "region-deaf"),
    (Kind::RegionLoss, "region-loss"),
    (Kind::NoRoutes, "no-routes"),
    (Kind::ClockNear, "clock-near"),
    (Kind::ClockFar, "clock-far"),
    (Kind::DiskFull, "disk-full"),
    (Kind::DiskReadOnly, "disk-read-only"),
    (Kind::Flip, "flip"),
    (Kind::Upgrade, "upgrade"),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(kind, _)| kind == self);
        f.pad(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match KINDS.iter().find(|(_, name)| *name == text) {
            Some((kind, _)) => Ok(*kind),
            None => {
                let names: Vec<&str> = KINDS.iter().map(|(_, name)| *name).collect();
                bail!("no fault is called {text}; there are {}", names.join(", "))
            }
        }
    }
}

/// One fault of a plan.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Its number, from 1.
    pub number: usize,
    /// What.
    pub kind: Kind,
    /// Whom: place of a machine.
    pub machine: usize,
    /// Which region, if it is one of a region's.
    pub region: usize,
    /// The other one, if it is between two.
    pub other: usize,
    /// How long it lasts.
    pub hold: Duration,
    /// A sign, for what may go two ways.
    pub back: bool,
}

/// The faults of a seed, without end: each kind once, in some order, then
/// again in another. One at a time, so that no shard misses two voters.
pub struct Schedule {
    kinds: Vec<Kind>,
    left: Vec<Kind>,
    draw: Draw,
    given: usize,
}

impl Schedule {
    /// That of a seed, of these kinds.
    #[must_use]
    pub fn of(seed: u64, kinds: Vec<Kind>) -> Self {
        Self {
            kinds,
            left: Vec::new(),
            draw: Draw::of(seed, "chaos"),
            given: 0,
        }
    }

    fn kind(&mut self) -> Kind {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
        }
        let at = self.draw.below(self.left.len());
        self.left.swap_remove(at)
    }
}

impl Iterator for Schedule {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        if self.kinds.is_empty() {
            return None;
        }
        let kind = self.kind();
        self.given += 1;
        let draw = &mut self.draw;
        let region = draw.below(REGIONS);
        let mut machine = region * PER_REGION + draw.below(PER_REGION);
        if kind == Kind::Flip && machine == 0 {
            // The founder does not come back without its store, which it would
            // lose as a node that joins does.
            machine = 1;
        }
        Some(Fault {
            number: self.given,
            kind,
            machine,
            region,
            other: (region + 1 + draw.below(REGIONS - 1)) % REGIONS,
            hold: draw.between(2_500, 7_000),
            back: draw.one_in(2),
        })
    }
}

#[cfg(test)]
mod tests;
