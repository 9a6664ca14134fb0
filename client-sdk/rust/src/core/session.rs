//! One session with an edge: request ids, deadlines and heartbeats.
//!
//! `T` is what the owner wants to know again when a request is answered, or
//! when it was not in time.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use folkmoot_wire::limits;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{ClientFrame, Ping};

/// Heartbeats without an answer after which an edge counts as gone.
const SILENT_HEARTBEATS: u32 = 2;
/// An edge that says nothing for so long while a request is open is asked
/// whether it is there...
const ASK_AFTER: Duration = Duration::from_millis(1_500);
/// ...and counts as gone when it says nothing for so long after that. Both are
/// several of the longest round trips.
const ASKED_WAIT: Duration = Duration::from_millis(2_500);
/// Bounds of what an edge may ask for as heartbeat, in milliseconds.
const HEARTBEAT_MS: std::ops::RangeInclusive<u32> = 100..=300_000;

/// A session.
#[derive(Debug)]
pub struct Session<T> {
    next_id: u64,
    open: BTreeMap<u64, (Duration, T)>,
    deadlines: BTreeSet<(Duration, u64)>,
    heartbeat: Duration,
    heard: Duration,
    pinged: Duration,
    /// Before the Welcome there are no heartbeats.
    is_welcome: bool,
    /// Since when a request is open and nothing was heard.
    waits: Option<Duration>,
    /// When the edge was asked whether it is there; nothing was heard since.
    asked: Option<Duration>,
}

impl<T> Session<T> {
    /// A session that began at `now` (time since any fixed start).
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            next_id: 1,
            open: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            heartbeat: limits::HEARTBEAT,
            heard: now,
            pinged: now,
            is_welcome: false,
            waits: None,
            asked: None,
        }
    }

    /// The edge has welcomed the client. Takes over the heartbeat that it asks
    /// for; 0 keeps ours.
    pub fn welcomed(&mut self, ms: u32) {
        self.is_welcome = true;
        if ms != 0 {
            let ms = ms.clamp(*HEARTBEAT_MS.start(), *HEARTBEAT_MS.end());
            self.heartbeat = Duration::from_millis(u64::from(ms));
        }
    }

    /// Makes the frame of a request that has to be answered within `within`.
    pub fn request(
        &mut self,
        request: Request,
        tag: T,
        now: Duration,
        within: Duration,
    ) -> ClientFrame {
        let (id, deadline) = (self.next_id, now + within);
        self.waits.get_or_insert(now);
        self.next_id += 1;
        self.open.insert(id, (deadline, tag));
        self.deadlines.insert((deadline, id));
        ClientFrame {
            id,
            request: Some(request),
        }
    }

    /// Requests not answered yet.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Something arrived.
    pub fn heard(&mut self, now: Duration) {
        self.heard = now;
        self.asked = None;
        self.waits = (!self.open.is_empty()).then_some(now);
    }

    /// The request `id` was answered; `None` when it is not open (any more).
    pub fn answered(&mut self, id: u64) -> Option<T> {
        let (deadline, tag) = self.open.remove(&id)?;
        self.deadlines.remove(&(deadline, id));
        if self.open.is_empty() {
            self.waits = None;
        }
        Some(tag)
    }

    /// Takes out the requests whose deadline has passed, oldest first.
    pub fn expired(&mut self, now: Duration) -> Vec<T> {
        let mut tags = Vec::new();
        while let Some(&(deadline, id)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            tags.extend(self.answered(id));
        }
        tags
    }

    /// The heartbeat, when it is time for one, or when an answer is long in
    /// coming: an edge that died says nothing, and what one that lives is
    /// asked may take longer than it takes to say so.
    pub fn ping(&mut self, now: Duration, tag: T) -> Option<ClientFrame> {
        let asks = self.ask_at().is_some_and(|at| at <= now);
        if !asks && now < self.pinged + self.heartbeat {
            return None;
        }
        self.pinged = now;
        self.asked = asks.then_some(now).or(self.asked);
        let within = self.heartbeat * SILENT_HEARTBEATS;
        Some(self.request(Request::Ping(Ping {}), tag, now, within))
    }

    /// When to ask the edge whether it is there.
    fn ask_at(&self) -> Option<Duration> {
        let asks = self.is_welcome && self.asked.is_none();
        let waits = self.waits.filter(|_| asks)?;
        Some(waits + ASK_AFTER)
    }

    /// Whether nothing was heard for so long that the edge counts as gone.
    #[must_use]
    pub fn is_silent(&self, now: Duration) -> bool {
        now >= self.silent_at()
    }

    fn silent_at(&self) -> Duration {
        let silent = self.heard + self.heartbeat * (SILENT_HEARTBEATS + 1) / 2 + self.heartbeat;
        self.asked
            .map_or(silent, |asked| silent.min(asked + ASKED_WAIT))
    }

    /// When to look at this session again.
    #[must_use]
    pub fn wake_at(&self) -> Duration {
        let next = self.silent_at().min(self.pinged + self.heartbeat);
        let deadline = self.deadlines.first().map(|&(deadline, _)| deadline);
        let sooner = [deadline, self.ask_at()].into_iter().flatten();
        sooner.fold(next, Duration::min)
    }

    /// Ends the session: everything still open, in the order of sending.
    pub fn end(self) -> Vec<T> {
        self.open.into_values().map(|(_, tag)| tag).collect()
    }
}
