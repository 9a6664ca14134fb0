//! How long things take: from sending to the answer that it is committed, and
//! to the entry at an observer in each region.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

/// Longest time that is told apart, in microseconds.
const LONGEST: u64 = 600_000_000;

/// Entries that are seen at one side only. More: no more are measured.
const OPEN_MAX: usize = 200_000;

/// Times of one pair of regions, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quantiles {
    pub from: String,
    pub to: String,
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Times of all pairs of regions.
#[derive(Debug)]
pub(super) struct Delays {
    regions: usize,
    commit: Vec<Mutex<Histogram<u64>>>,
    deliver: Vec<Mutex<Histogram<u64>>>,
    /// Entries seen at one side only, by group and seq.
    open: Mutex<HashMap<(usize, u64), Open>>,
}

/// What is known of an entry.
#[derive(Debug, Default)]
struct Open {
    /// From where, and when.
    sent: Option<(usize, Instant)>,
    /// Where it was seen, and when, before its sender knew its seq.
    seen: Vec<(usize, Instant)>,
    matched: usize,
}

impl Delays {
    pub(super) fn new(regions: usize) -> Self {
        let empty = || {
            (0..regions * regions)
                .map(|_| Mutex::new(histogram()))
                .collect()
        };
        Self {
            regions,
            commit: empty(),
            deliver: empty(),
            open: Mutex::default(),
        }
    }

    /// Its sender, in `from`, learns that it is committed at `home`.
    pub(super) fn committed(
        &self,
        group: usize,
        seq: u64,
        from: usize,
        home: usize,
        sent: Instant,
    ) {
        let now = Instant::now();
        record(&self.commit[from * self.regions + home], sent, now);
        let mut all = self.open.lock();
        let open = all.entry((group, seq)).or_default();
        open.sent = Some((from, sent));
        for (to, at) in std::mem::take(&mut open.seen) {
            record(&self.deliver[from * self.regions + to], sent, at);
            open.matched += 1;
        }
        if open.matched == self.regions {
            all.remove(&(group, seq));
        }
    }

    /// The observer in `to` sees an entry.
    pub(super) fn delivered(&self, group: usize, seq: u64, to: usize) {
        let now = Instant::now();
        let mut all = self.open.lock();
        if all.len() >= OPEN_MAX {
            return;
        }
        let open = all.entry((group, seq)).or_default();
        match open.sent {
            None => open.seen.push((to, now)),
            Some((from, sent)) => {
                record(&self.deliver[from * self.regions + to], sent, now);
                open.matched += 1;
            }
        }
        if open.matched == self.regions {
            all.remove(&(group, seq));
        }
    }

    /// From sending to the answer, by the sender's region and the home.
    pub(super) fn commit(&self, names: &[&str]) -> Vec<Quantiles> {
        table(&self.commit, names)
    }

    /// From sending to delivery, by the sender's region and the reader's.
    pub(super) fn deliver(&self, names: &[&str]) -> Vec<Quantiles> {
        table(&self.deliver, names)
    }
}

fn histogram() -> Histogram<u64> {
    // These bounds are constants that the library takes.
    Histogram::new_with_max(LONGEST, 3).unwrap_or_else(|_| unreachable!("fixed bounds"))
}

fn record(cell: &Mutex<Histogram<u64>>, from: Instant, to: Instant) {
    let micros = to.duration_since(from).as_micros();
    let micros = u64::try_from(micros).unwrap_or(LONGEST);
    cell.lock().saturating_record(micros.min(LONGEST));
}

fn table(cells: &[Mutex<Histogram<u64>>], names: &[&str]) -> Vec<Quantiles> {
    let mut rows = Vec::new();
    for (from, row) in names.iter().zip(cells.chunks(names.len().max(1))) {
        for (to, cell) in names.iter().zip(row) {
            let times = cell.lock();
            if !times.is_empty() {
                let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
                rows.push(Quantiles {
                    from: (*from).to_owned(),
                    to: (*to).to_owned(),
                    count: times.len(),
                    p50_ms: ms(0.5),
                    p99_ms: ms(0.99),
                });
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn entries_seen_before_and_after_the_answer_are_matched() {
        let delays = Delays::new(2);
        let sent = Instant::now();
        advance(Duration::from_millis(10)).await;
        delays.delivered(0, 7, 0);
        advance(Duration::from_millis(10)).await;
        delays.committed(0, 7, 1, 0, sent);
        advance(Duration::from_millis(10)).await;
        delays.delivered(0, 7, 1);
        let names = ["eu", "us"];
        let commit = delays.commit(&names);
        assert_eq!(commit.len(), 1);
        assert_eq!(
            (commit[0].from.as_str(), commit[0].to.as_str()),
            ("us", "eu")
        );
        assert!((commit[0].p50_ms - 20.0).abs() < 0.1);
        let deliver = delays.deliver(&names);
        let found: Vec<_> = deliver
            .iter()
            .map(|q| (q.to.as_str(), q.p99_ms.round() as u64))
            .collect();
        assert_eq!(found, [("eu", 10), ("us", 30)]);
        assert!(delays.open.lock().is_empty());
    }
}
