//! An open loop: messages are due at fixed times, whatever became of those
//! before. A message's delay counts from when it was due, so a server that
//! stalls is charged for every message that it kept from being sent
//! (coordinated omission).

#[cfg(test)]
mod tests;

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::machine::{Cores, Meter, Usage};
use crate::peer::{Publisher, Subscriber, Tag};

/// Longest delay that is told apart, in microseconds.
const LONGEST: u64 = 120_000_000;
/// The last messages are acknowledged and delivered within this time.
const DRAIN: Duration = Duration::from_secs(30);
/// From the call to the first message.
const RUN_UP: Duration = Duration::from_millis(50);

/// What load, all of it to the first target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Messages a second.
    pub(crate) rate: u32,
    /// Not measured.
    pub(crate) warmup: Duration,
    pub(crate) time: Duration,
    /// The first message's number.
    pub(crate) first: Tag,
}

impl Plan {
    fn count(&self, time: Duration) -> u64 {
        (time.as_secs_f64() * f64::from(self.rate)).round() as u64
    }

    /// All messages.
    pub(crate) fn total(&self) -> u64 {
        self.count(self.warmup) + self.count(self.time)
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Delays {
    /// From when a message was due to its acknowledgement.
    pub(crate) commit: Histogram<u64>,
    /// And to the subscriber.
    pub(crate) deliver: Histogram<u64>,
    /// And to its sending: what of the two above is the generator's own.
    pub(crate) late: Histogram<u64>,
    pub(crate) usage: Usage,
}

/// When which message is due, and how long it took.
struct Clock {
    start: Instant,
    plan: Plan,
    commit: Mutex<Histogram<u64>>,
    deliver: Mutex<Histogram<u64>>,
    late: Mutex<Histogram<u64>>,
}

impl Clock {
    fn new(plan: Plan, start: Instant) -> anyhow::Result<Self> {
        let empty = || anyhow::Ok(Mutex::new(Histogram::new_with_max(LONGEST, 3)?));
        Ok(Self {
            start,
            plan,
            commit: empty()?,
            deliver: empty()?,
            late: empty()?,
        })
    }

    fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / f64::from(self.plan.rate))
    }

    fn record(&self, times: &Mutex<Histogram<u64>>, tags: &[Tag], now: Instant) {
        let warm = self.plan.count(self.plan.warmup);
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        for tag in tags {
            let number = tag.wrapping_sub(self.plan.first);
            if (warm..self.plan.total()).contains(&number) {
                let delay = now.saturating_duration_since(self.due(number));
                let micros = u64::try_from(delay.as_micros()).unwrap_or(LONGEST);
                times.saturating_record(micros.min(LONGEST));
            }
        }
    }

    fn times(times: &Mutex<Histogram<u64>>) -> Histogram<u64> {
        times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs the load.
pub(crate) async fn run(
    publishers: Vec<Box<dyn Publisher>>,
    subscriber: Box<dyn Subscriber>,
    plan: Plan,
    pids: Vec<u32>,
    cores: Cores,
) -> anyhow::Result<Delays> {
    let clock = Arc::new(Clock::new(plan, Instant::now() + RUN_UP)?);
    let mut tasks = JoinSet::new();
    let mut queues = Vec::new();
    for publisher in publishers {
        // Holds at most the plan's messages.
        let (queue, due) = mpsc::unbounded_channel();
        queues.push(queue);
        tasks.spawn(publish(publisher, due, Arc::clone(&clock)));
    }
    tasks.spawn(receive(subscriber, Arc::clone(&clock)));
    let pacer = {
        let clock = Arc::clone(&clock);
        std::thread::spawn(move || pace(&clock, &queues))
    };
    let metered = async {
        sleep_until((clock.start + plan.warmup).into()).await;
        let meter = Meter::start(pids, cores)?;
        sleep_until((clock.start + plan.warmup + plan.time).into()).await;
        meter.stop()
    };
    let finished = async {
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        anyhow::Ok(())
    };
    let all = async { tokio::try_join!(metered, finished) };
    let (usage, ()) = timeout(RUN_UP + plan.warmup + plan.time + DRAIN, all)
        .await
        .context("messages were not acknowledged and delivered in time")??;
    if pacer.join().is_err() {
        bail!("the thread that keeps time has failed");
    }
    Ok(Delays {
        commit: Clock::times(&clock.commit),
        deliver: Clock::times(&clock.deliver),
        late: Clock::times(&clock.late),
        usage,
    })
}

/// Tells the publishers in turn what is due. A thread of its own, because the
/// runtime's timers go by whole milliseconds.
fn pace(clock: &Clock, queues: &[mpsc::UnboundedSender<u64>]) {
    // Refused: wake-ups are some 50 microseconds late, which `late` shows.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    for number in 0..clock.plan.total() {
        let wait = clock.due(number).saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        let queue = &queues[number as usize % queues.len()];
        if queue.send(number).is_err() {
            // Its publisher has failed, and says why.
            return;
        }
    }
}

async fn publish(
    mut publisher: Box<dyn Publisher>,
    mut due: mpsc::UnboundedReceiver<u64>,
    clock: Arc<Clock>,
) -> anyhow::Result<()> {
    let mut outstanding = 0;
    let mut is_open = true;
    let mut tags = Vec::new();
    while is_open || outstanding > 0 {
        tokio::select! {
            biased;
            number = due.recv(), if is_open => match number {
                Some(number) => {
                    let tag = clock.plan.first + number;
                    clock.record(&clock.late, &[tag], Instant::now());
                    publisher.send(0, tag).await?;
                    publisher.flush().await?;
                    outstanding += 1;
                }
                None => is_open = false,
            },
            done = publisher.done(&mut tags), if outstanding > 0 => {
                done?;
                clock.record(&clock.commit, &tags, Instant::now());
                outstanding -= tags.len();
                tags.clear();
            }
        }
    }
    publisher.close().await;
    Ok(())
}

/// Receives every message, each once.
async fn receive(mut subscriber: Box<dyn Subscriber>, clock: Arc<Clock>) -> anyhow::Result<()> {
    let total = clock.plan.total();
    let mut seen = Seen::new(total);
    let mut tags = Vec::new();
    while seen.left > 0 {
        subscriber.next(&mut tags).await?;
        clock.record(&clock.deliver, &tags, Instant::now());
        for tag in tags.drain(..) {
            seen.take(tag.wrapping_sub(clock.plan.first))?;
        }
    }
    subscriber.close().await;
    Ok(())
}

/// Which messages were delivered.
struct Seen {
    all: Vec<bool>,
    left: u64,
}

impl Seen {
    fn new(total: u64) -> Self {
        Self {
            all: vec![false; total as usize],
            left: total,
        }
    }

    fn take(&mut self, number: u64) -> anyhow::Result<()> {
        match self.all.get_mut(number as usize) {
            None => bail!("a message was delivered that was not sent"),
            Some(seen) if *seen => bail!("message {number} was delivered twice"),
            Some(seen) => *seen = true,
        }
        self.left -= 1;
        Ok(())
    }
}
