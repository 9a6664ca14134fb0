//! What is measured of each peer.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::load::{open, window};
use crate::machine::{Cores, Usage};
use crate::peer::{Servers, Tag};

/// Messages a second of the open loop.
const RATE: u32 = 1_000;
/// Outstanding messages of each publisher.
const WINDOWS: [usize; 2] = [1, 256];

/// Sizes that all measurements have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Groups, subjects or streams where there are many.
    pub(super) many: usize,
    pub(super) time: Duration,
    /// Before that, not counted.
    pub(super) warmup: Duration,
}

impl Shape {
    /// In the order they are made.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let mut cells = vec![Cell::Latency];
        for targets in [1, self.many] {
            for window in WINDOWS {
                let cell = Cell::Rate { window, targets };
                if !cells.contains(&cell) {
                    cells.push(cell);
                }
            }
        }
        cells
    }

    /// As many targets as these measurements need.
    pub(super) fn targets(&self, cells: &[Cell]) -> usize {
        cells.iter().map(Cell::targets).max().unwrap_or(1)
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Cell {
    /// Delays of an open loop to one target.
    Latency,
    /// The highest rate with closed windows.
    Rate { window: usize, targets: usize },
}

impl Cell {
    /// In flags: `window256-many`.
    pub(super) fn id(&self) -> String {
        match self {
            Self::Latency => "latency".to_owned(),
            Self::Rate { window, targets: 1 } => format!("window{window}"),
            Self::Rate { window, .. } => format!("window{window}-many"),
        }
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Latency => format!("latency at {RATE}/s, 1 target"),
            Self::Rate { window, targets } => {
                let s = if *targets == 1 { "" } else { "s" };
                format!("rate at window {window}, {targets} target{s}")
            }
        }
    }

    fn targets(&self) -> usize {
        match self {
            Self::Latency => 1,
            Self::Rate { targets, .. } => *targets,
        }
    }

    /// Measures; gives also how many numbers of messages, from `first` on, are
    /// used up.
    pub(super) async fn measure(
        &self,
        servers: &mut dyn Servers,
        shape: &Shape,
        cores: Cores,
        first: Tag,
    ) -> anyhow::Result<(Measured, u64)> {
        let publishers = servers.publishers(self.targets()).await?;
        match *self {
            Self::Latency => {
                let plan = open::Plan {
                    rate: RATE,
                    warmup: shape.warmup,
                    time: shape.time,
                    first,
                };
                let subscriber = servers.subscriber().await?;
                let pids = servers.pids();
                let delays = open::run(publishers, subscriber, plan, pids, cores).await?;
                Ok((Measured::of_delays(&delays), plan.total()))
            }
            Self::Rate { window, targets } => {
                let plan = window::Plan {
                    window,
                    targets,
                    warmup: shape.warmup,
                    time: shape.time,
                    first,
                };
                let rate = window::run(publishers, plan, servers.pids(), cores).await?;
                let figures = vec![(Figure::PerSecond, rate.per_second)];
                let measured = Measured {
                    figures,
                    usage: rate.usage,
                };
                Ok((measured, rate.numbers))
            }
        }
    }
}

/// What a figure says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figure {
    /// Committed messages per second.
    PerSecond,
    /// Milliseconds from when a message was due to its acknowledgement.
    CommitP50,
    CommitP99,
    CommitP999,
    /// Milliseconds from when a message was due to the subscriber.
    DeliverP50,
    DeliverP99,
    DeliverP999,
    /// Milliseconds from when a message was due to its being sent: the
    /// generator's own part in the others.
    LateP99,
}

/// One measurement's outcome in one run.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) figures: Vec<(Figure, f64)>,
    pub(super) usage: Usage,
}

impl Measured {
    fn of_delays(delays: &open::Delays) -> Self {
        let ms =
            |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
        let (commit, deliver) = (&delays.commit, &delays.deliver);
        Self {
            figures: vec![
                (Figure::CommitP50, ms(commit, 0.5)),
                (Figure::CommitP99, ms(commit, 0.99)),
                (Figure::CommitP999, ms(commit, 0.999)),
                (Figure::DeliverP50, ms(deliver, 0.5)),
                (Figure::DeliverP99, ms(deliver, 0.99)),
                (Figure::DeliverP999, ms(deliver, 0.999)),
                (Figure::LateP99, ms(&delays.late, 0.99)),
            ],
            usage: delays.usage,
        }
    }
}
