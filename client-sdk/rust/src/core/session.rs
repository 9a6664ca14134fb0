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
use prost::Message;

/// Heartbeats without an answer after which an edge counts as gone.
const SILENT_HEARTBEATS: u32 = 2;
/// An edge that says nothing for so long while a request is open is asked
/// whether it is there. An answer that goes on being waited for makes it ask
/// again, after twice as long each time...
const ASK_AFTER: Duration = Duration::from_millis(300);
/// ...up to this.
const ASK_AFTER_MAX: Duration = Duration::from_millis(1_500);
/// It is in doubt when it has not answered that for so many round trips, so
/// that others are tried beside it...
const DOUBT_ROUND_TRIPS: u32 = 4;
/// ...and for this long at least...
const DOUBT_MIN: Duration = Duration::from_millis(300);
/// ...and counts as gone after this, which is several of the longest round
/// trips.
const ASKED_WAIT: Duration = Duration::from_millis(2_500);
/// The slowest way up that is waited for, in bytes a second: before what was
/// sent has left, an edge can have no answer.
const SLOWEST_WAY_UP: u64 = 16 * 1024;
/// Bounds of what an edge may ask for as heartbeat, in milliseconds.
const HEARTBEAT_MS: std::ops::RangeInclusive<u32> = 100..=300_000;

/// A session.
#[derive(Debug)]
pub struct Session<T> {
    next_id: u64,
    open: BTreeMap<u64, Waiting<T>>,
    /// Bytes of all that is open.
    bytes: u64,
    deadlines: BTreeSet<(Duration, u64)>,
    heartbeat: Duration,
    heard: Duration,
    pinged: Duration,
    /// Before the Welcome there are no heartbeats.
    is_welcome: bool,
    /// Since when a request is open and nothing was heard, put off by the time
    /// that what was open then may take to leave.
    waits: Option<Duration>,
    /// When the edge was asked whether it is there; nothing was heard since.
    asked: Option<Duration>,
    ask_after: Duration,
    /// The last heartbeat, and when it left.
    beat: Option<(u64, Duration)>,
    /// The round trip, smoothed as in RFC 6298.
    round_trip: Option<Duration>,
}

/// A request that is open.
#[derive(Debug)]
struct Waiting<T> {
    deadline: Duration,
    bytes: u64,
    tag: T,
}

impl<T> Session<T> {
    /// A session that began at `now` (time since any fixed start).
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            next_id: 1,
            open: BTreeMap::new(),
            bytes: 0,
            deadlines: BTreeSet::new(),
            heartbeat: limits::HEARTBEAT,
            heard: now,
            pinged: now,
            is_welcome: false,
            waits: None,
            asked: None,
            ask_after: ASK_AFTER,
            beat: None,
            round_trip: None,
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
        self.next_id += 1;
        let frame = ClientFrame {
            id,
            request: Some(request),
        };
        let bytes = frame.encoded_len() as u64;
        self.bytes += bytes;
        if self.waits.is_none() {
            self.wait(now);
        }
        let waiting = Waiting {
            deadline,
            bytes,
            tag,
        };
        self.open.insert(id, waiting);
        self.deadlines.insert((deadline, id));
        frame
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
        self.waits = None;
        if !self.open.is_empty() {
            self.wait(now);
        }
    }

    fn wait(&mut self, now: Duration) {
        let leaving = self.bytes * 1_000 / SLOWEST_WAY_UP;
        self.waits = Some(now + Duration::from_millis(leaving));
    }

    /// The request `id` was answered; `None` when it is not open (any more).
    pub fn answered(&mut self, id: u64, now: Duration) -> Option<T> {
        if let Some((_, left)) = self.beat.take_if(|(beat, _)| *beat == id) {
            let sample = now.saturating_sub(left);
            let smoothed = self.round_trip.map(|held| (held * 7 + sample) / 8);
            self.round_trip = Some(smoothed.unwrap_or(sample));
        }
        self.close(id)
    }

    fn close(&mut self, id: u64) -> Option<T> {
        let waiting = self.open.remove(&id)?;
        self.deadlines.remove(&(waiting.deadline, id));
        self.bytes -= waiting.bytes;
        if self.open.is_empty() {
            self.waits = None;
            self.ask_after = ASK_AFTER;
        }
        Some(waiting.tag)
    }

    /// Takes out the requests whose deadline has passed, oldest first.
    pub fn expired(&mut self, now: Duration) -> Vec<T> {
        let mut tags = Vec::new();
        while let Some(&(deadline, id)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            tags.extend(self.close(id));
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
        if asks {
            self.asked = Some(now);
            self.ask_after = (self.ask_after * 2).min(ASK_AFTER_MAX);
        }
        let within = self.heartbeat * SILENT_HEARTBEATS;
        let frame = self.request(Request::Ping(Ping {}), tag, now, within);
        self.beat = Some((frame.id, now));
        Some(frame)
    }

    /// Whether others should be tried beside this edge: it was asked whether it
    /// is there, and had time to say so.
    #[must_use]
    pub fn is_in_doubt(&self, now: Duration) -> bool {
        self.doubt_at().is_some_and(|at| at <= now)
    }

    fn doubt_at(&self) -> Option<Duration> {
        let round_trip = self.round_trip.unwrap_or_default();
        let wait = (round_trip * DOUBT_ROUND_TRIPS).clamp(DOUBT_MIN, ASKED_WAIT);
        Some(self.asked? + wait)
    }

    /// When to ask the edge whether it is there.
    fn ask_at(&self) -> Option<Duration> {
        let asks = self.is_welcome && self.asked.is_none();
        let waits = self.waits.filter(|_| asks)?;
        Some(waits + self.ask_after)
    }

    /// Whether nothing was heard for so long that the edge counts as gone.
    #[must_use]
    pub fn is_silent(&self, now: Duration) -> bool {
        now >= self.silent_at()
    }

    /// When that will be, if nothing is heard before.
    #[must_use]
    pub fn silent_at(&self) -> Duration {
        let silent = self.heard + self.heartbeat * (SILENT_HEARTBEATS + 1) / 2 + self.heartbeat;
        self.asked
            .map_or(silent, |asked| silent.min(asked + ASKED_WAIT))
    }

    /// When to look at this session again. Doubt is looked at once: it does not
    /// end by waiting.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Duration {
        let next = self.silent_at().min(self.pinged + self.heartbeat);
        let deadline = self.deadlines.first().map(|&(deadline, _)| deadline);
        let doubt = self.doubt_at().filter(|at| *at > now);
        let sooner = [deadline, self.ask_at(), doubt].into_iter().flatten();
        sooner.fold(next, Duration::min)
    }

    /// Ends the session: everything still open, in the order of sending.
    pub fn end(self) -> Vec<T> {
        self.open.into_values().map(|waiting| waiting.tag).collect()
    }
}
