//! Pages of history on their way to the clients of an edge: bounded by their
//! bytes, of all sessions together, so that a herd that comes back at once
//! costs no more memory than a few do (D14).
//!
//! Who finds no room waits, in the order of asking; of those who wait there is
//! a bound too, and beyond it the answer is `busy`. A client that does not take
//! its pages holds room for a short time only, and gets no further ones: its
//! session's own bounds are what holds it then.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use folkmoot_wire::limits;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::line::Line;

/// Room is counted in these, in bytes: a semaphore's permits are few.
const UNIT: usize = 1_024;

/// The room for pages.
pub(super) struct Bulk {
    room: Arc<Semaphore>,
    most: usize,
    line: Line,
    /// Those that hold some, and since when, in that order.
    held: Mutex<VecDeque<(Instant, Weak<Room>)>>,
}

/// Given back when dropped, or when it was held for too long.
type Room = Mutex<Option<OwnedSemaphorePermit>>;

/// Room for one page.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Room>,
    /// Of the session.
    _turn: OwnedSemaphorePermit,
}

/// Whose turn it is in one session.
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(limits::SESSION_PAGES)))
    }
}

impl Default for Bulk {
    fn default() -> Self {
        Self::new(limits::PAGES_BYTES)
    }
}

impl Bulk {
    pub(super) fn new(bytes: usize) -> Self {
        let most = bytes.div_ceil(UNIT);
        Self {
            room: Arc::new(Semaphore::new(most)),
            most,
            line: Line::new(limits::PAGES_WAITING),
            held: Mutex::default(),
        }
    }

    /// Waits for room for a page of the largest size. `None`: too many wait.
    pub(super) async fn share(&self, turns: &Turns) -> Option<Share> {
        // Never closed, neither of them: so far it fails never.
        let turn = Arc::clone(&turns.0).acquire_owned().await.ok()?;
        let waiting = self.line.join()?;
        let permits = limits::CLIENT_FRAME_MAX.div_ceil(UNIT).min(self.most) as u32;
        let acquire = Arc::clone(&self.room).acquire_many_owned(permits);
        tokio::pin!(acquire);
        let permit = loop {
            let again = self.give_back(Instant::now());
            tokio::select! {
                biased;
                permit = &mut acquire => break permit.ok()?,
                () = sleep_until(again) => {}
            }
        };
        drop(waiting);
        let room = Arc::new(Mutex::new(Some(permit)));
        let held = (Instant::now(), Arc::downgrade(&room));
        self.held.lock().push_back(held);
        Some(Share { room, _turn: turn })
    }

    /// Gives back what was held for too long; says when there may be more.
    fn give_back(&self, now: Instant) -> Instant {
        let mut held = self.held.lock();
        while let Some((since, room)) = held.front() {
            let (room, due) = (room.upgrade(), *since + limits::PAGE_HELD);
            match room {
                Some(_) if now < due => return due,
                Some(room) => drop(room.lock().take()),
                None => {}
            }
            held.pop_front();
        }
        now + limits::PAGE_HELD
    }

    /// Requests that wait for room.
    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Bytes of pages on their way.
    pub(super) fn bytes(&self) -> usize {
        (self.most - self.room.available_permits()) * UNIT
    }
}

impl Share {
    /// The page, which holds its room until nobody has it any more.
    pub(super) fn carry(self, page: Bytes) -> Bytes {
        if let Some(permit) = &mut *self.room.lock() {
            let more = permit.num_permits() - page.len().div_ceil(UNIT).min(permit.num_permits());
            drop(permit.split(more));
        }
        Bytes::from_owner(Carried { page, _share: self })
    }
}

struct Carried {
    page: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Carried {
    fn as_ref(&self) -> &[u8] {
        &self.page
    }
}
