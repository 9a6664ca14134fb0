//! All come at one moment, and each is done when it has read all it asked for:
//! nobody waits for another before it asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::crowd::{Reader, Shelf};
use crate::machine::{Cores, Memory, Meter, Usage};
use crate::peer::Tag;

/// Longest wait that is told apart, in microseconds.
const LONGEST: u64 = 120_000_000;
/// Who has not read everything by then never will.
const GIVE_UP: Duration = Duration::from_secs(120);
/// Between two looks at the server's memory.
const LOOK: Duration = Duration::from_millis(50);
/// Servers settle for so long before a round.
const SETTLE: Duration = Duration::from_millis(500);

/// Those who come.
pub(super) struct Herd {
    pub(super) readers: Vec<Box<dyn Reader>>,
    /// What each has to get.
    pub(super) wanted: Vec<Tag>,
}

/// What came of it once.
#[derive(Debug, Clone)]
pub(super) struct Round {
    /// From when all asked to when one had everything.
    pub(super) waits: Histogram<u64>,
    /// Until the last had everything.
    pub(super) time: Duration,
    /// What was used until all were seen to have it, and how long that was.
    pub(super) usage: Usage,
    pub(super) metered: Duration,
    /// The server's memory before, and at its most, in bytes.
    pub(super) before: u64,
    pub(super) most: u64,
}

impl Herd {
    /// All ask at once.
    pub(super) async fn come(
        &mut self,
        shelf: &mut dyn Shelf,
        cores: Cores,
    ) -> anyhow::Result<Round> {
        sleep(SETTLE).await;
        let (gate, wanted) = (watch::Sender::new(false), Arc::new(self.wanted.clone()));
        let mut tasks = JoinSet::new();
        for reader in self.readers.drain(..) {
            tasks.spawn(read(reader, gate.subscribe(), Arc::clone(&wanted)));
        }
        let pids = shelf.pids();
        let before = Memory::of(&pids)?.server;
        let meter = Meter::start(pids.clone(), cores)?;
        let start = Instant::now();
        gate.send_replace(true);
        shelf.begin().await?;
        let mut waits = Histogram::new_with_max(LONGEST, 3)?;
        let (mut most, mut last) = (before, start);
        let all = async {
            loop {
                tokio::select! {
                    biased;
                    done = tasks.join_next() => {
                        let Some(done) = done else { return anyhow::Ok(()) };
                        let (reader, at) = done??;
                        waits.saturating_record((at - start).as_micros() as u64);
                        last = last.max(at);
                        self.readers.push(reader);
                    }
                    () = sleep(LOOK) => most = most.max(Memory::of(&pids)?.server),
                }
            }
        };
        timeout(GIVE_UP, all)
            .await
            .context("some never got everything")??;
        Ok(Round {
            waits,
            time: last - start,
            metered: start.elapsed(),
            usage: meter.stop()?,
            before,
            most,
        })
    }
}

impl Round {
    /// Of the server.
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.usage.server / 100.0 * self.metered.as_secs_f64()
    }

    /// Bytes of the server's memory that the round took.
    pub(super) fn more(&self) -> u64 {
        self.most.saturating_sub(self.before)
    }
}

async fn read(
    mut reader: Box<dyn Reader>,
    mut gate: watch::Receiver<bool>,
    wanted: Arc<Vec<Tag>>,
) -> anyhow::Result<(Box<dyn Reader>, Instant)> {
    gate.wait_for(|open| *open).await?;
    let mut got = Vec::with_capacity(wanted.len());
    reader.catch_up(&mut got).await.context("a reader")?;
    let at = Instant::now();
    if got != *wanted {
        bail!(
            "a reader got {} messages that are not the newest {} in their order",
            got.len(),
            wanted.len()
        );
    }
    Ok((reader, at))
}
