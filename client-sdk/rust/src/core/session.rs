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
        }
    }

    /// Takes over the heartbeat that the edge asks for; 0 keeps ours.
    pub fn set_heartbeat(&mut self, ms: u32) {
        if ms != 0 {
            let ms = ms.clamp(*HEARTBEAT_MS.start(), *HEARTBEAT_MS.end());
            self.heartbeat = Duration::from_millis(u64::from(ms));
        }
    }

    /// Makes the frame of a request that has to be answered by `deadline`.
    pub fn request(&mut self, request: Request, tag: T, deadline: Duration) -> ClientFrame {
        let id = self.next_id;
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
    }

    /// The request `id` was answered; `None` when it is not open (any more).
    pub fn answered(&mut self, id: u64) -> Option<T> {
        let (deadline, tag) = self.open.remove(&id)?;
        self.deadlines.remove(&(deadline, id));
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

    /// The heartbeat, when it is time for one.
    pub fn ping(&mut self, now: Duration, tag: T) -> Option<ClientFrame> {
        if now < self.pinged + self.heartbeat {
            return None;
        }
        self.pinged = now;
        let deadline = now + self.heartbeat * SILENT_HEARTBEATS;
        Some(self.request(Request::Ping(Ping {}), tag, deadline))
    }

    /// Whether nothing was heard for so long that the edge counts as gone.
    #[must_use]
    pub fn is_silent(&self, now: Duration) -> bool {
        now >= self.silent_at()
    }

    fn silent_at(&self) -> Duration {
        self.heard + self.heartbeat * (SILENT_HEARTBEATS + 1) / 2 + self.heartbeat
    }

    /// When to look at this session again.
    #[must_use]
    pub fn wake_at(&self) -> Duration {
        let next = self.silent_at().min(self.pinged + self.heartbeat);
        self.deadlines
            .first()
            .map_or(next, |&(deadline, _)| deadline.min(next))
    }

    /// Ends the session: everything still open, in the order of sending.
    pub fn end(self) -> Vec<T> {
        self.open.into_values().map(|(_, tag)| tag).collect()
    }
}
