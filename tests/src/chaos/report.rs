//! What was injected, what was seen, and what was wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::faults::KINDS;
use super::ledger::{Ledger, Outcome};
use super::recovery::{Past, STEPS, Spans, histogram, of_kind, percentile, spans};

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing was wrong.
    pub ok: bool,
    /// What everything was drawn from.
    pub seed: u64,
    /// How to run it again.
    pub again: String,
    /// How long faults were injected, in seconds.
    pub seconds: f64,
    /// How long all of it took.
    pub wall_seconds: f64,
    /// Version of the node, and the one it was restarted with.
    pub versions: [String; 2],
    /// Nodes and regions.
    pub nodes: usize,
    /// Round trips were so many times the real world's.
    pub wan: f64,
    /// By kind of fault.
    pub faults: Vec<KindReport>,
    /// Each single one.
    pub events: Vec<EventReport>,
    /// All recovery times.
    pub histogram: Vec<Step>,
    /// The publishers' messages.
    pub messages: Messages,
    /// The replayed logs.
    pub replay: Replayed,
    /// Clients that read, and what they were given.
    pub listeners: usize,
    /// Entries that they were given.
    pub entries_read: u64,
    /// What was wrong.
    pub violations: Vec<String>,
    /// Where the nodes' logs are; none: thrown away.
    pub evidence: Option<String>,
}

/// One kind of fault.
#[derive(Debug, Serialize)]
pub struct KindReport {
    /// Its name.
    pub kind: String,
    /// How many there were.
    pub count: usize,
    /// Until messages were committed again.
    #[serde(flatten)]
    pub spans: Spans<Times>,
    /// From its end until every node was ready and saw all others.
    pub whole: Times,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Default, Serialize)]
pub struct Times {
    /// Median.
    pub p50: Option<u64>,
    /// 90th.
    pub p90: Option<u64>,
    /// Longest.
    pub max: Option<u64>,
}

/// One fault.
#[derive(Debug, Serialize)]
pub struct EventReport {
    /// Its number.
    pub number: usize,
    /// Its kind.
    pub kind: String,
    /// Whom it struck.
    pub whom: String,
    /// How long it lasted, in milliseconds.
    pub lasted_ms: u64,
    /// Until every group had a commit, from its beginning.
    pub groups_from_injection_ms: Option<u64>,
    /// Until everybody had, from its end.
    pub all_from_healing_ms: Option<u64>,
    /// Until every node was ready and saw all others, from its end.
    pub whole_ms: Option<u64>,
    /// What came of it.
    pub note: String,
}

/// A step of the histogram.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Up to so many milliseconds; none: longer than all.
    pub up_to_ms: Option<u64>,
    /// Faults after which messages were committed again so soon.
    #[serde(flatten)]
    pub spans: Spans<usize>,
}

/// What became of the publishers' messages.
#[derive(Debug, Default, Serialize)]
pub struct Messages {
    /// All.
    pub sent: usize,
    /// Committed.
    pub acknowledged: usize,
    /// Refused, by reason.
    pub refused: BTreeMap<String, usize>,
    /// May have been committed, by reason.
    pub unknown: BTreeMap<String, usize>,
    /// Never settled.
    pub open: usize,
}

/// What was replayed.
#[derive(Debug, Default, Serialize)]
pub struct Replayed {
    /// Acts that came to their end.
    pub acts: usize,
    /// Logs, each a group.
    pub logs: usize,
    /// Their lines.
    pub lines: usize,
    /// Their entries.
    pub entries: u64,
    /// Clients over QUIC and over WebSocket.
    pub clients: [u64; 2],
}

impl Messages {
    /// Those of a ledger.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        let mut all = Self::default();
        for message in ledger.messages() {
            all.sent += 1;
            match message.outcome {
                Outcome::Open => all.open += 1,
                Outcome::Acknowledged { .. } => all.acknowledged += 1,
                Outcome::Refused(why) => *all.refused.entry(why).or_default() += 1,
                Outcome::Unknown(why) => *all.unknown.entry(why).or_default() += 1,
            }
        }
        all
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Times {
    fn of(times: &[Duration]) -> Self {
        let at = |percent| percentile(times, percent).map(ms);
        Self {
            p50: at(50),
            p90: at(90),
            max: at(100),
        }
    }
}

/// One line for each kind that occurred.
#[must_use]
pub fn by_kind(pasts: &[Past]) -> Vec<KindReport> {
    let mut reports = Vec::new();
    for (kind, name) in KINDS {
        let count = of_kind(pasts, kind).count();
        if count > 0 {
            let whole = of_kind(pasts, kind).filter_map(|past| past.recovery.whole);
            reports.push(KindReport {
                kind: name.to_owned(),
                count,
                spans: spans(of_kind(pasts, kind)).each(|times| Times::of(times)),
                whole: Times::of(&whole.collect::<Vec<_>>()),
            });
        }
    }
    reports
}

/// Each single fault.
#[must_use]
pub fn events(pasts: &[Past]) -> Vec<EventReport> {
    let event = |past: &Past| EventReport {
        number: past.fault.number,
        kind: past.fault.kind.to_string(),
        whom: past.whom.clone(),
        lasted_ms: ms(past.struck.healed.duration_since(past.struck.injected)),
        groups_from_injection_ms: past.recovery.spans.groups_from_injection.map(ms),
        all_from_healing_ms: past.recovery.spans.all_from_healing.map(ms),
        whole_ms: past.recovery.whole.map(ms),
        note: past.struck.note.clone(),
    };
    pasts.iter().map(event).collect()
}

/// How many faults took how long.
#[must_use]
pub fn steps(pasts: &[Past]) -> Vec<Step> {
    let counts = spans(pasts.iter()).each(|times| histogram(times));
    let bounds = STEPS.iter().copied().map(Some).chain([None]);
    (bounds.enumerate())
        .map(|(at, up_to_ms)| Step {
            up_to_ms,
            spans: counts.each(|counts| counts[at]),
        })
        .collect()
}
