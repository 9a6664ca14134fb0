//! The send queue. A message is in one of five states: queued, sending,
//! accepted, committed or failed; the last two take it out of the queue.
//!
//! An accepted message is durable at the edge's region, whose nodes hand it
//! over (D9): it holds nothing up and is not sent again, except in the next
//! session and when nothing was heard of it for long. The edge then says what
//! became of it, and a repetition is harmless.
//!
//! Its `client_msg_id` is made when it is first sent, from the newest stamp
//! that an edge issued, and stays the same for every retry, so that the log
//! holds the message at most once (design decision D9).
//!
//! Order within a group: with a window of 1, message n+1 is sent only when n
//! is settled, so the log has the order of the calls. With a larger window
//! several are in flight on one session, in order, and the edge proposes them
//! in that order. When n fails for the moment, the edge refuses later ones that
//! are in flight until n comes again, and the window is closed until n is
//! settled. So the order is that of the calls here too.

mod accepted;
mod lane;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::Send;
use folkmoot_wire::{ClientMsgId, Code, Fault, GroupId};
use rand::RngCore;

use super::backoff::Backoff;
use accepted::Accepted;
use lane::Lane;

/// The number of a message in this device's queue; rises with each call.
pub type LocalId = u64;

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for its turn, a connection, or the next attempt.
    Queued,
    /// Sent in this session, not answered.
    Sending,
    /// Durable in a region, in no log yet.
    Accepted,
}

/// A message that is not settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its number in this queue.
    pub local: LocalId,
    /// Where it goes.
    pub group: GroupId,
    /// Its id, once it was sent.
    pub id: Option<ClientMsgId>,
    /// What is sent.
    pub send: Send,
    /// Where it is.
    pub state: State,
    /// Temporary failures so far.
    pub failures: u32,
}

/// One sending of one message.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The message.
    pub local: LocalId,
    /// Its id.
    pub id: ClientMsgId,
    /// Whether this is the first attempt ever: the id has to be persisted
    /// before the frame leaves.
    pub first: bool,
    /// What to send.
    pub send: Send,
}

/// What a failure means for a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is tried again at this time.
    Retry(Duration),
    /// It failed for good and is out of the queue.
    Settled(Box<Item>),
    /// It is not in flight: a late answer.
    Unknown,
}

/// The queue has as many messages as it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} messages are waiting to be sent: wait until some are settled")]
pub struct Full {
    /// How many it may hold.
    pub limit: usize,
}

/// The bounds of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxOptions {
    /// Messages of one group in flight at once; at least 1.
    pub window: usize,
    /// Messages of all groups in flight at once.
    pub in_flight: usize,
    /// Messages in the queue.
    pub capacity: usize,
    /// Between attempts.
    pub backoff: Backoff,
}

impl Default for OutboxOptions {
    fn default() -> Self {
        Self {
            window: 1,
            // Leaves room for other requests under `limits::SESSION_REQUESTS`.
            in_flight: 384,
            capacity: 10_000,
            backoff: Backoff::default(),
        }
    }
}

/// The send queue of a client.
#[derive(Debug)]
pub struct Outbox {
    options: OutboxOptions,
    lanes: BTreeMap<GroupId, Lane>,
    groups: BTreeMap<LocalId, GroupId>,
    /// Lanes with something to send now.
    ready: BTreeSet<GroupId>,
    /// Lanes that wait for the next attempt.
    held: BTreeSet<(Duration, GroupId)>,
    accepted: Accepted,
    /// The lane that sent last: the others come first.
    turn: Option<GroupId>,
    next_local: LocalId,
    in_flight: usize,
}

/// A message's own part of its id. It rises within the queue, which spares the
/// home a look-up; chance tells it from another queue's of the same device.
fn unique(local: LocalId, rng: &mut dyn RngCore) -> u64 {
    (local << 32) | u64::from(rng.next_u32())
}

impl Outbox {
    /// An empty queue.
    #[must_use]
    pub fn new(options: OutboxOptions) -> Self {
        Self {
            options,
            lanes: BTreeMap::new(),
            groups: BTreeMap::new(),
            ready: BTreeSet::new(),
            held: BTreeSet::new(),
            accepted: Accepted::default(),
            turn: None,
            next_local: 1,
            in_flight: 0,
        }
    }

    /// Puts a message at the end of its group's queue.
    ///
    /// # Errors
    /// When the queue is full.
    pub fn push(&mut self, group: GroupId, send: Send) -> Result<LocalId, Full> {
        if self.groups.len() >= self.options.capacity {
            return Err(Full {
                limit: self.options.capacity,
            });
        }
        let local = self.next_local;
        self.insert(local, group, None, send);
        Ok(local)
    }

    /// Puts a message back that was kept over a restart. Call in order of
    /// `local`; the capacity does not apply: nothing promised is dropped.
    pub fn restore(&mut self, local: LocalId, group: GroupId, id: Option<ClientMsgId>, send: Send) {
        self.insert(local, group, id, send);
    }

    fn insert(&mut self, local: LocalId, group: GroupId, id: Option<ClientMsgId>, send: Send) {
        self.next_local = self.next_local.max(local + 1);
        self.groups.insert(local, group);
        self.lanes.entry(group).or_default().items.push_back(Item {
            local,
            group,
            id,
            send,
            state: State::Queued,
            failures: 0,
        });
        self.refresh(group);
    }

    /// The next message to send in this session at `now`, if any. `stamp` is
    /// the newest stamp of an edge.
    pub fn next(&mut self, now: Duration, stamp: Hlc, rng: &mut dyn RngCore) -> Option<Attempt> {
        self.release(now);
        if self.in_flight >= self.options.in_flight {
            return None;
        }
        // Round robin, so that a busy group does not keep the others waiting.
        let after = self.turn.and_then(|turn| {
            let later = (std::ops::Bound::Excluded(turn), std::ops::Bound::Unbounded);
            self.ready.range(later).next().copied()
        });
        let group = after.or_else(|| self.ready.first().copied())?;
        self.turn = Some(group);
        let window = self.options.window.max(1);
        let lane = self.lanes.get_mut(&group)?;
        let item = lane.next(window)?;
        let first = item.id.is_none();
        let id = *item
            .id
            .get_or_insert_with(|| ClientMsgId::new(stamp, unique(item.local, rng)));
        item.send.client_msg_id = id.to_bytes();
        item.state = State::Sending;
        let attempt = Attempt {
            local: item.local,
            id,
            first,
            send: item.send.clone(),
        };
        lane.sending += 1;
        self.in_flight += 1;
        self.refresh(group);
        Some(attempt)
    }

    /// The edge says that the message is committed: takes it out. `None` when
    /// it is not in flight.
    pub fn committed(&mut self, local: LocalId) -> Option<Item> {
        self.sending(local)?;
        self.take(local)
    }

    /// The group of a message that is not settled.
    #[must_use]
    pub fn group(&self, local: LocalId) -> Option<GroupId> {
        self.groups.get(&local).copied()
    }

    /// The edge refused the message, or did not answer in time.
    pub fn failed(
        &mut self,
        local: LocalId,
        fault: &Fault,
        now: Duration,
        rng: &mut dyn RngCore,
    ) -> Verdict {
        let backoff = self.options.backoff;
        let Some((lane, at)) = self.sending(local) else {
            return Verdict::Unknown;
        };
        if !may_pass(fault) {
            return match self.take(local) {
                Some(item) => Verdict::Settled(Box::new(item)),
                None => Verdict::Unknown,
            };
        }
        let item = &mut lane.items[at];
        lane.failed += usize::from(item.failures == 0);
        lane.sending -= 1;
        item.failures = item.failures.saturating_add(1);
        item.state = State::Queued;
        let asked = Duration::from_millis(fault.retry_after_ms);
        let until = now + backoff.delay(item.failures, asked, rng);
        let group = item.group;
        let earlier = lane.held_until;
        let held = until.max(earlier.unwrap_or(until));
        lane.held_until = Some(held);
        lane.for_home = fault.code == Code::Unavailable;
        self.in_flight -= 1;
        if let Some(earlier) = earlier {
            self.held.remove(&(earlier, group));
        }
        self.held.insert((held, group));
        self.refresh(group);
        Verdict::Retry(until)
    }

    /// The session ended: what was in flight is sent again, in order, in the
    /// next one. Not a failure of the messages, so their backoff stays.
    pub fn disconnected(&mut self) {
        self.lanes.values_mut().for_each(Lane::disconnected);
        self.in_flight = 0;
        for (group, items) in self.accepted.all() {
            self.lanes.entry(group).or_default().put_back(items);
        }
        let groups: Vec<GroupId> = self.lanes.keys().copied().collect();
        for group in groups {
            self.refresh(group);
        }
    }

    /// When a held lane may go on.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let held = self.held.first().map(|&(until, _)| until);
        held.into_iter().chain(self.accepted.ask_at()).min()
    }

    /// Everything that is not settled, by group and in order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        let waiting = self.lanes.values().flat_map(|lane| &lane.items);
        waiting.chain(self.accepted.items())
    }

    /// How many messages are not settled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether all are settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn release(&mut self, now: Duration) {
        while let Some(&(until, group)) = self.held.first() {
            if until > now {
                break;
            }
            self.held.pop_first();
            if let Some(lane) = self.lanes.get_mut(&group) {
                lane.held_until = None;
            }
            self.refresh(group);
        }
        self.ask(now);
    }

    /// The lane of a message in flight, and where in it that is.
    fn sending(&mut self, local: LocalId) -> Option<(&mut Lane, usize)> {
        let lane = self.lanes.get_mut(self.groups.get(&local)?)?;
        let at = lane.find(local)?;
        (lane.items[at].state == State::Sending).then_some((lane, at))
    }

    fn take(&mut self, local: LocalId) -> Option<Item> {
        let item = self.take_out(local)?;
        self.groups.remove(&local);
        Some(item)
    }

    /// Takes a message out of its lane.
    fn take_out(&mut self, local: LocalId) -> Option<Item> {
        let group = *self.groups.get(&local)?;
        let lane = self.lanes.get_mut(&group)?;
        let item = lane.remove(local)?;
        if item.state == State::Sending {
            self.in_flight -= 1;
        }
        if lane.items.is_empty() {
            let held = lane.held_until;
            self.lanes.remove(&group);
            if let Some(until) = held {
                self.held.remove(&(until, group));
            }
        }
        self.refresh(group);
        Some(item)
    }

    fn refresh(&mut self, group: GroupId) {
        let window = self.options.window.max(1);
        let is_ready = self
            .lanes
            .get_mut(&group)
            .is_some_and(|lane| lane.next(window).is_some());
        if is_ready {
            self.ready.insert(group);
        } else {
            self.ready.remove(&group);
        }
    }
}

/// Whether the same message may succeed soon, perhaps at another edge. Being
/// muted passes too, but nobody wants to be heard hours later unasked.
fn may_pass(fault: &Fault) -> bool {
    let code = fault.code;
    (code.temporary() && code != Code::Muted) || code == Code::StorageFailed
}
