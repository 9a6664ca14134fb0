//! One speaks, many listen. At a fixed pace, as an open loop: messages are due
//! at fixed times, and a delay counts from then. As fast as it goes: so many
//! messages may be under way, and one is until the last listener has it.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::crowd::{Listener, Speaker};
use crate::machine::{Cores, Memory, Meter, Usage};
use crate::peer::Tag;

/// Longest delay that is told apart, in microseconds.
const LONGEST: u64 = 120_000_000;
/// What is under way at the end arrives within this time, or is lost.
const DRAIN: Duration = Duration::from_secs(10);
/// Between two looks at whether all have arrived.
const LOOK: Duration = Duration::from_millis(20);
/// From the call to the first message.
const RUN_UP: Duration = Duration::from_millis(200);
/// Messages under way at once when it goes as fast as it can. Less than the
/// entries that Folkmoot queues for a session before it makes a gap.
const UNDER_WAY: usize = 1_000;

/// How fast messages come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// So many a second.
    Rate(f64),
    /// As it can.
    Most,
}

/// Who is in the room.
pub(super) struct Crowd {
    pub(super) listeners: Vec<Box<dyn Listener>>,
    pub(super) speaker: Box<dyn Speaker>,
    /// The next message's number.
    pub(super) next: Tag,
}

/// What load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) pace: Pace,
    /// Not measured.
    pub(super) warmup: Duration,
    pub(super) time: Duration,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    /// From when a message was due, or said, to a listener.
    pub(super) delay: Histogram<u64>,
    /// From when a message was due to its saying.
    pub(super) late: Histogram<u64>,
    /// Deliveries in the measured time.
    pub(super) deliveries: u64,
    /// Deliveries, of all times, that never came.
    pub(super) lost: u64,
    pub(super) usage: Usage,
    /// Of the servers at the end of the measured time, in bytes.
    pub(super) memory: u64,
}

/// A message under way.
#[derive(Clone, Copy)]
struct Said {
    at: Instant,
    left: u32,
}

struct State {
    /// By number.
    said: Vec<Said>,
    delay: Histogram<u64>,
    late: Histogram<u64>,
    deliveries: u64,
    left: u64,
}

struct Hall {
    listeners: u32,
    /// The first message's number. Those before it came late.
    first: Tag,
    begin: Instant,
    end: Instant,
    /// Messages that may be said now.
    room: Semaphore,
    state: Mutex<State>,
}

impl Hall {
    fn say(&self, due: Instant) -> Tag {
        let mut state = self.state.lock();
        let now = Instant::now();
        if self.measured(due) {
            let late = micros(now.saturating_duration_since(due));
            state.late.saturating_record(late);
        }
        state.left += u64::from(self.listeners);
        state.said.push(Said {
            at: due,
            left: self.listeners,
        });
        self.first + state.said.len() as u64 - 1
    }

    fn measured(&self, at: Instant) -> bool {
        self.begin <= at && at < self.end
    }

    fn hear(&self, heard: &[Tag]) -> anyhow::Result<()> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let now = Instant::now();
        let ours = heard.iter().filter_map(|tag| tag.checked_sub(self.first));
        for number in ours {
            state.left -= 1;
            if self.measured(now) {
                state.deliveries += 1;
            }
            let said = state.said.get_mut(number as usize);
            let said = said.context("a message was delivered that was not sent")?;
            let left = said.left.checked_sub(1);
            said.left = left.context("a message was delivered twice")?;
            if said.left == 0 {
                self.room.add_permits(1);
            }
            if self.measured(said.at) {
                let delay = micros(now.saturating_duration_since(said.at));
                state.delay.saturating_record(delay);
            }
        }
        Ok(())
    }

    fn left(&self) -> u64 {
        self.state.lock().left
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).map_or(LONGEST, |time| time.min(LONGEST))
}

/// Runs the load.
pub(super) async fn run(
    crowd: &mut Crowd,
    plan: Plan,
    pids: Vec<u32>,
    cores: Cores,
) -> anyhow::Result<Heard> {
    let start = Instant::now() + RUN_UP;
    let begin = start + plan.warmup;
    let hall = Arc::new(Hall {
        listeners: u32::try_from(crowd.listeners.len())?,
        first: crowd.next,
        begin,
        end: begin + plan.time,
        room: Semaphore::new(UNDER_WAY),
        state: Mutex::new(State {
            said: Vec::new(),
            delay: Histogram::new_with_max(LONGEST, 3)?,
            late: Histogram::new_with_max(LONGEST, 3)?,
            deliveries: 0,
            left: 0,
        }),
    });
    let over = CancellationToken::new();
    let mut ears = JoinSet::new();
    for listener in crowd.listeners.drain(..) {
        ears.spawn(listen(listener, Arc::clone(&hall), over.clone()));
    }
    let speaker = &mut *crowd.speaker;
    let metered = async {
        sleep_until(begin.into()).await;
        let meter = Meter::start(pids.clone(), cores)?;
        sleep_until(hall.end.into()).await;
        let usage = meter.stop()?;
        anyhow::Ok((usage, Memory::of(&pids)?.server))
    };
    let spoken = async {
        match plan.pace {
            Pace::Rate(rate) => speak_at(speaker, start, rate, &hall).await,
            Pace::Most => speak(speaker, &hall).await,
        }
    };
    let done = async {
        let (measured, ()) = tokio::try_join!(metered, spoken)?;
        let arrived = async {
            while hall.left() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        // What is late then is lost.
        let _ = timeout(DRAIN, arrived).await;
        anyhow::Ok(measured)
    };
    let (usage, memory) = tokio::select! {
        measured = done => measured?,
        ended = ears.join_next() => match ended {
            Some(ended) => return Err(ended?.err().context("a listener has ended")?),
            None => bail!("nobody listens"),
        },
    };
    over.cancel();
    while let Some(listener) = ears.join_next().await {
        crowd.listeners.push(listener??);
    }
    let state = hall.state.lock();
    crowd.next += state.said.len() as u64;
    Ok(Heard {
        delay: state.delay.clone(),
        late: state.late.clone(),
        deliveries: state.deliveries,
        lost: state.left,
        usage,
        memory,
    })
}

/// Listens until it is over.
async fn listen(
    mut listener: Box<dyn Listener>,
    hall: Arc<Hall>,
    over: CancellationToken,
) -> anyhow::Result<Box<dyn Listener>> {
    let mut heard = Vec::new();
    loop {
        tokio::select! {
            biased;
            done = listener.hear(&mut heard) => done.context("a listener")?,
            () = over.cancelled() => return Ok(listener),
        }
        hall.hear(&heard)?;
        heard.clear();
    }
}

/// Says what is due, whatever became of what was said before.
async fn speak_at(
    speaker: &mut dyn Speaker,
    start: Instant,
    rate: f64,
    hall: &Hall,
) -> anyhow::Result<()> {
    let total = ((hall.end - start).as_secs_f64() * rate).round() as u64;
    let due = move |number: u64| start + Duration::from_secs_f64(number as f64 / rate);
    // A thread of its own: the runtime's timers go by whole milliseconds. Holds
    // at most what the plan has.
    let (queue, mut ready) = mpsc::unbounded_channel();
    let pacer = std::thread::spawn(move || {
        // Refused: wake-ups are some 50 microseconds late, which `late` shows.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        for number in 0..total {
            let wait = due(number).saturating_duration_since(Instant::now());
            std::thread::sleep(wait);
            if queue.send(due(number)).is_err() {
                return;
            }
        }
    });
    while let Some(due) = ready.recv().await {
        let tag = hall.say(due);
        speaker.say(tag).await?;
    }
    if pacer.join().is_err() {
        bail!("the thread that keeps time has failed");
    }
    Ok(())
}

/// Says the next as soon as there is room.
async fn speak(speaker: &mut dyn Speaker, hall: &Hall) -> anyhow::Result<()> {
    while Instant::now() < hall.end {
        match timeout(DRAIN, hall.room.acquire()).await {
            Ok(permit) => permit?.forget(),
            Err(_) => bail!("{} deliveries do not arrive", hall.left()),
        }
        let tag = hall.say(Instant::now());
        speaker.say(tag).await?;
    }
    Ok(())
}
