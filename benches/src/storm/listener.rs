//! Those who listen: each a member with a connection of its own, which has the
//! group active and fetches what is behind a gap.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use bytes::Bytes;
use folkmoot_client::GroupId;
use folkmoot_wire::limits;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{History, Ping, ServerFrame};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use prost::Message;
use tokio::time::{Instant, sleep_until};

use super::order::{Batch, Order};
use super::place::{Came, Place};
use crate::crowd::{Known, Session};

/// Longest delay that is told apart, in microseconds.
const LONGEST: u64 = 600_000_000;
/// What an edge does not have yet is asked for again after this time.
const AGAIN: Duration = Duration::from_millis(200);

/// What came to the listeners of a region.
pub(super) struct Tally {
    /// From when an entry was put in its place, in microseconds.
    pub(super) delay: Histogram<u64>,
    pub(super) deliveries: u64,
    /// How often a listener was told that it was too slow.
    pub(super) gaps: u64,
    /// Of the deliveries: those that had to be fetched.
    pub(super) fetched: u64,
}

/// What all listeners have together.
pub(super) struct Hall {
    pub(super) order: Mutex<Order>,
    pub(super) regions: Vec<Mutex<Tally>>,
    /// How far each is.
    pub(super) at: Vec<AtomicU64>,
}

impl Hall {
    pub(super) fn new(order: Order, regions: usize, listeners: usize) -> anyhow::Result<Self> {
        let tally = |_| {
            anyhow::Ok(Mutex::new(Tally {
                delay: Histogram::new_with_max(LONGEST, 3)?,
                deliveries: 0,
                gaps: 0,
                fetched: 0,
            }))
        };
        Ok(Self {
            order: Mutex::new(order),
            regions: (0..regions).map(tally).collect::<Result<_, _>>()?,
            at: (0..listeners).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// All have everything up to this seq.
    pub(super) fn all_at(&self) -> u64 {
        let at = self.at.iter().map(|at| at.load(Ordering::Relaxed));
        at.min().unwrap_or(0)
    }
}

/// One of them.
pub(super) struct Listener {
    pub(super) session: Session,
    pub(super) number: usize,
    pub(super) region: usize,
    pub(super) group: GroupId,
    pub(super) place: Place,
}

/// What a frame says.
#[derive(Clone)]
enum Told {
    Pushed(Batch),
    /// The answer to a question; none: there is nothing yet.
    Fetched(u64, Option<Batch>),
    Gap(u64),
    /// Ask again, after this time.
    Later(u64, Duration),
    Aside,
}

thread_local! {
    static TOLD: RefCell<Known<Told>> = const { RefCell::new(Known::new()) };
}

/// The question that a listener has asked, or will ask.
enum Question {
    None,
    Open(u64),
    Due(Instant),
}

impl Listener {
    /// Listens for as long as it can.
    pub(super) async fn listen(mut self, hall: Arc<Hall>) -> anyhow::Result<Infallible> {
        let mut question = Question::None;
        let mut heartbeat = Instant::now() + limits::HEARTBEAT;
        loop {
            if self.place.lacks() && matches!(question, Question::None) {
                question = Question::Due(Instant::now());
            }
            let now = Instant::now();
            if heartbeat <= now {
                heartbeat = now + limits::HEARTBEAT;
                self.session.begin(Request::Ping(Ping {})).await?;
            }
            let wake = match question {
                Question::Due(at) if at <= now => {
                    question = Question::Open(self.ask().await?);
                    heartbeat
                }
                Question::Due(at) => at.min(heartbeat),
                _ => heartbeat,
            };
            let frame = tokio::select! {
                biased;
                frame = self.session.rx.recv() => frame?,
                () = sleep_until(wake) => continue,
            };
            let frame = frame.context("the edge has ended")?;
            let told = TOLD.with_borrow_mut(|known| {
                known.read(frame, |frame| read(frame, &mut hall.order.lock()))
            })?;
            let answers = |id: u64| matches!(question, Question::Open(asked) if asked == id);
            match told {
                Told::Pushed(batch) => {
                    let came = self.place.pushed(&batch);
                    self.count(&hall, &batch, came, false)?;
                }
                Told::Fetched(id, batch) if answers(id) => {
                    question = match &batch {
                        Some(_) => Question::None,
                        None => Question::Due(Instant::now() + AGAIN),
                    };
                    if let Some(batch) = batch {
                        let came = self.place.fetched(&batch);
                        self.count(&hall, &batch, came, true)?;
                    }
                }
                Told::Later(id, wait) if answers(id) => {
                    question = Question::Due(Instant::now() + wait);
                }
                Told::Gap(head) => {
                    self.place.gap(head);
                    hall.regions[self.region].lock().gaps += 1;
                }
                Told::Fetched(..) | Told::Later(..) | Told::Aside => {}
            }
        }
    }

    /// Asks for what is behind its place.
    async fn ask(&mut self) -> anyhow::Result<u64> {
        let history = History {
            group: self.group.to_bytes(),
            after: self.place.last,
            limit: limits::PAGE_ENTRIES,
            ..History::default()
        };
        self.session.begin(Request::History(history)).await
    }

    fn count(&self, hall: &Hall, batch: &Batch, came: Came, fetched: bool) -> anyhow::Result<()> {
        let new = match came {
            Came::New(new) => &batch.sequenced[new..],
            Came::Ahead | Came::Again => return Ok(()),
            Came::Wrong => bail!(
                "a listener that had {} was given {} to {}",
                self.place.last,
                batch.from,
                batch.to()
            ),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let now = now.as_micros() as u64;
        let mut tally = hall.regions[self.region].lock();
        tally.deliveries += new.len() as u64;
        if fetched {
            tally.fetched += new.len() as u64;
        }
        for ms in new {
            let delay = now.saturating_sub(ms * 1_000).min(LONGEST);
            tally.delay.saturating_record(delay);
        }
        hall.at[self.number].store(self.place.last, Ordering::Relaxed);
        Ok(())
    }
}

fn read(frame: Bytes, order: &mut Order) -> anyhow::Result<Told> {
    let frame = ServerFrame::decode(frame)?;
    Ok(match frame.body {
        Some(Body::Deliver(deliver)) => Told::Pushed(order.take(&deliver.entries)?),
        Some(Body::Log(slice)) if slice.entries.is_empty() => Told::Fetched(frame.id, None),
        Some(Body::Log(slice)) => Told::Fetched(frame.id, Some(order.take(&slice.entries)?)),
        Some(Body::Gap(gap)) => Told::Gap(gap.head.context("a gap without a head")?.seq),
        Some(Body::Error(error)) if error.temporary => {
            let wait = Duration::from_millis(error.retry_after_ms);
            Told::Later(frame.id, wait.max(AGAIN))
        }
        Some(Body::Error(error)) => bail!("refused: {} ({})", error.name, error.message),
        Some(Body::Closing(closing)) => bail!("closed: {}", closing.reason),
        _ => Told::Aside,
    })
}
