//! The queue of one group.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Item, LocalId, State};

/// Messages of one group, in order of the calls.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) items: VecDeque<Item>,
    /// How many are in flight.
    pub(super) sending: usize,
    /// How many have failed before.
    pub(super) failed: usize,
    /// Nothing is sent before this time.
    pub(super) held_until: Option<Duration>,
    /// It is held because the home could not be reached.
    pub(super) for_home: bool,
}

impl Lane {
    /// The message that may be sent now: the first one queued among the first
    /// `window`, and nothing behind one that has failed before.
    pub(super) fn next(&mut self, window: usize) -> Option<&mut Item> {
        let at = self.next_at(window)?;
        self.items.get_mut(at)
    }

    fn next_at(&self, window: usize) -> Option<usize> {
        if self.held_until.is_some() {
            return None;
        }
        // Messages are sent in order: while none has failed, those in flight
        // are the first ones.
        if self.failed == 0 {
            let at = self.sending;
            debug_assert!(
                self.items
                    .iter()
                    .take(at)
                    .all(|i| i.state == State::Sending)
            );
            debug_assert!(self.items.iter().skip(at).all(|i| i.state == State::Queued));
            return (at < window && at < self.items.len()).then_some(at);
        }
        for (at, item) in self.items.iter().take(window).enumerate() {
            if item.state == State::Queued {
                return Some(at);
            }
            if item.failures > 0 {
                return None;
            }
        }
        None
    }

    /// Where a message is.
    pub(super) fn find(&self, local: LocalId) -> Option<usize> {
        self.items
            .binary_search_by_key(&local, |item| item.local)
            .ok()
    }

    /// Takes a message out.
    pub(super) fn remove(&mut self, local: LocalId) -> Option<Item> {
        let item = self.items.remove(self.find(local)?)?;
        self.sending -= usize::from(item.state == State::Sending);
        self.failed -= usize::from(item.failures > 0);
        Some(item)
    }

    /// Puts back what was accepted, to be sent again: in order of the calls.
    pub(super) fn put_back(&mut self, items: VecDeque<Item>) {
        let queued = items.into_iter().map(|item| Item {
            state: State::Queued,
            ..item
        });
        self.items.extend(queued);
        let all = self.items.make_contiguous();
        all.sort_by_key(|item| item.local);
    }

    /// Nothing is in flight any more.
    pub(super) fn disconnected(&mut self) {
        for item in &mut self.items {
            item.state = State::Queued;
        }
        self.sending = 0;
    }
}
