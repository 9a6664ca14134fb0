//! Pushes that came ahead of a fetch.

use std::collections::VecDeque;

use folkmoot_wire::proto::{Deliver, SealedEntry};

/// Entries kept at most. More: all are dropped, and fetched.
const ENTRIES_MAX: usize = 1_024;
/// Bytes kept at most. More: as for entries.
const BYTES_MAX: usize = 1024 * 1024;

/// One unbroken run of pushes.
#[derive(Debug, Default)]
pub(super) struct Held {
    run: VecDeque<Deliver>,
    to: u64,
    entries: usize,
    bytes: usize,
}

impl Held {
    /// Keeps a push. One that does not continue the run begins a new one.
    pub(super) fn keep(&mut self, deliver: Deliver) {
        let Some(covers) = deliver.covers else {
            return;
        };
        if !self.run.is_empty() && covers.to <= self.to {
            return;
        }
        if covers.from > self.to + 1 {
            self.clear();
        }
        self.entries += deliver.entries.len();
        self.bytes += bytes(&deliver);
        self.to = covers.to;
        self.run.push_back(deliver);
        if self.entries > ENTRIES_MAX || self.bytes > BYTES_MAX {
            self.clear();
        }
    }

    /// The next push, when it has what comes behind `seq`; ones that are
    /// behind the position already are dropped.
    pub(super) fn take_following(&mut self, seq: u64) -> Option<Deliver> {
        loop {
            let covers = self.run.front()?.covers?;
            if covers.to > seq && covers.from > seq + 1 {
                return None;
            }
            let deliver = self.run.pop_front()?;
            self.entries -= deliver.entries.len();
            self.bytes -= bytes(&deliver);
            if covers.to > seq {
                return Some(deliver);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn bytes(deliver: &Deliver) -> usize {
    let entry = |e: &SealedEntry| e.header.len() + e.salt.len() + e.body.len() + e.chain.len();
    deliver.entries.iter().map(entry).sum()
}
