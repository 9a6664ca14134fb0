//! The queue of one group.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Item, State};

/// Messages of one group, in order of the calls.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) items: VecDeque<Item>,
    /// Nothing is sent before this time.
    pub(super) held_until: Option<Duration>,
}

impl Lane {
    /// The message that may be sent now: the first one queued among the first
    /// `window`, and nothing behind one that has failed before.
    pub(super) fn next(&mut self, window: usize) -> Option<&mut Item> {
        if self.held_until.is_some() {
            return None;
        }
        for item in self.items.iter_mut().take(window) {
            if item.state == State::Queued {
                return Some(item);
            }
            if item.failures > 0 {
                return None;
            }
        }
        None
    }
}
