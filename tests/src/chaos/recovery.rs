//! How long it took until messages were committed again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::faults::{Fault, Kind};
use super::ledger::{Lane, Ledger};
use super::strike::Struck;

/// A fault that was, and what it did.
#[derive(Debug, Clone)]
pub struct Past {
    /// The fault.
    pub fault: Fault,
    /// Whom it struck, for people.
    pub whom: String,
    /// When, and what came of it.
    pub struck: Struck,
    /// How long it took.
    pub recovery: Recovery,
}

/// From a fault's beginning and from its end to what was committed next. A
/// message counts that was sent after that moment.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Spans<T> {
    /// Until each group had one, from its beginning.
    pub groups_from_injection: T,
    /// Until each publisher had one in each group, from its beginning.
    pub all_from_injection: T,
    /// Until each group had one, from its end.
    pub groups_from_healing: T,
    /// Until each publisher had one in each group, from its end.
    pub all_from_healing: T,
}

impl<T> Spans<T> {
    /// What `of` makes of each.
    pub fn each<'a, U>(&'a self, of: impl Fn(&'a T) -> U) -> Spans<U> {
        Spans {
            groups_from_injection: of(&self.groups_from_injection),
            all_from_injection: of(&self.all_from_injection),
            groups_from_healing: of(&self.groups_from_healing),
            all_from_healing: of(&self.all_from_healing),
        }
    }
}

/// How long a fault was felt.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recovery {
    /// Until messages were committed again.
    pub spans: Spans<Option<Duration>>,
    /// Until every node was ready and saw all others, from its end.
    pub whole: Option<Duration>,
}

impl Recovery {
    /// What the ledger says of it so far.
    #[must_use]
    pub fn of(ledger: &Ledger, lanes: &[Lane], struck: &Struck) -> Self {
        let from = |since| Since::of(ledger, lanes, since);
        let (injection, healing) = (from(struck.injected), from(struck.healed));
        Self {
            spans: Spans {
                groups_from_injection: injection.groups,
                all_from_injection: injection.all,
                groups_from_healing: healing.groups,
                all_from_healing: healing.all,
            },
            whole: None,
        }
    }
}

struct Since {
    groups: Option<Duration>,
    all: Option<Duration>,
}

impl Since {
    fn of(ledger: &Ledger, lanes: &[Lane], since: Instant) -> Self {
        let first = ledger.first_since(since, lanes);
        let mut groups: BTreeMap<usize, Option<Instant>> = BTreeMap::new();
        for (lane, first) in lanes.iter().zip(&first) {
            let best = groups.entry(lane.group).or_default();
            *best = match (*best, *first) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        let last = |all: Vec<Option<Instant>>| {
            let all: Option<Vec<Instant>> = all.into_iter().collect();
            let last = all?.into_iter().max();
            last.map(|last| last.duration_since(since))
        };
        Self {
            groups: last(groups.into_values().collect()),
            all: last(first),
        }
    }
}

/// Bounds of the histogram's steps, in milliseconds.
pub const STEPS: [u64; 9] = [100, 250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000];

/// How many of them fall into each step; behind the last: all others.
#[must_use]
pub fn histogram(times: &[Duration]) -> Vec<usize> {
    let mut counts = vec![0; STEPS.len() + 1];
    for time in times {
        let step = STEPS.partition_point(|bound| Duration::from_millis(*bound) < *time);
        counts[step] += 1;
    }
    counts
}

/// The value of which so many of a hundred are not greater.
#[must_use]
pub fn percentile(times: &[Duration], percent: usize) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The spans of all these, each with its own.
#[must_use]
pub fn spans<'a>(pasts: impl Iterator<Item = &'a Past>) -> Spans<Vec<Duration>> {
    let mut all = Spans::<Vec<Duration>>::default();
    for past in pasts {
        let one = past.recovery.spans;
        all.groups_from_injection.extend(one.groups_from_injection);
        all.all_from_injection.extend(one.all_from_injection);
        all.groups_from_healing.extend(one.groups_from_healing);
        all.all_from_healing.extend(one.all_from_healing);
    }
    all
}

/// Those of one kind.
pub fn of_kind(pasts: &[Past], kind: Kind) -> impl Iterator<Item = &Past> {
    pasts.iter().filter(move |past| past.fault.kind == kind)
}

#[cfg(test)]
mod tests;
