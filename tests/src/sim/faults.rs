//! What happens to the cluster, and when.

use std::fmt;
use std::time::Duration;

use folkmoot_storage::Crash;

use super::draw::Draw;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A machine loses power: its process, and what it had not synced.
    Crash { machine: usize, crash: Crash },
    /// It is there again.
    Start { machine: usize },
    /// Nothing gets from one region to another any more, or back.
    Cut { from: usize, to: usize },
    /// Nothing gets from one to the other; the other way is whole.
    CutOneWay { from: usize, to: usize },
    /// The regions reach each other again.
    Heal { from: usize, to: usize },
    /// A machine's clock is set.
    Step { machine: usize, by_ms: i64 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash { machine, crash } => write!(f, "machine {machine} crashes, {crash:?}"),
            Self::Start { machine } => write!(f, "machine {machine} starts"),
            Self::Cut { from, to } => write!(f, "regions {from} and {to} are cut"),
            Self::CutOneWay { from, to } => write!(f, "region {from} to {to} is cut"),
            Self::Heal { from, to } => write!(f, "regions {from} and {to} are healed"),
            Self::Step { machine, by_ms } => write!(f, "machine {machine} steps {by_ms} ms"),
        }
    }
}

/// A fault with its time, counted from when the people begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    pub at: Duration,
    pub fault: Fault,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.at, self.fault)
    }
}

/// Three crashes, two cuts and a step of a clock, in order of time. All is
/// whole again at the end.
#[must_use]
pub fn plan(draw: &mut Draw, machines: usize) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut add = |at: Duration, fault: Fault| planned.push(Planned { at, fault });
    let mut from = 2_000;
    for _ in 0..3 {
        let machine = draw.below(machines);
        let crash = match draw.below(3) {
            0 => Crash::LoseUnsynced,
            _ => Crash::KeepPrefix {
                seed: draw.number(),
            },
        };
        let at = draw.between(from, from + 5_000);
        let down = draw.between(200, 6_000);
        add(at, Fault::Crash { machine, crash });
        add(at + down, Fault::Start { machine });
        // One after the other: a machine that is down does not crash.
        from = (at + down).as_millis() as u64 + 500;
    }
    let mut from = 1_000;
    for _ in 0..2 {
        let region = draw.below(3);
        let (a, b) = (region, (region + 1 + draw.below(2)) % 3);
        let at = draw.between(from, from + 6_000);
        // Some are longer than connections last.
        let length = if draw.one_in(4) {
            draw.between(30_000, 40_000)
        } else {
            draw.between(500, 9_000)
        };
        let cut = match draw.one_in(3) {
            true => Fault::CutOneWay { from: a, to: b },
            false => Fault::Cut { from: a, to: b },
        };
        add(at, cut);
        add(at + length, Fault::Heal { from: a, to: b });
        from = (at + length).as_millis() as u64 + 500;
    }
    let by_ms = draw.below(400) as i64 - 200;
    let machine = draw.below(machines);
    add(draw.between(1_000, 20_000), Fault::Step { machine, by_ms });
    planned.sort_by_key(|planned| planned.at);
    planned
}
