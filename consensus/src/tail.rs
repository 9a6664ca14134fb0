//! The end of the log in memory: entries that were appended and may not have
//! reached the store yet, and the recent ones that followers and the state
//! machine are about to read.

use std::collections::BTreeMap;

use crate::codec::entry_len;
use crate::types::{Entry, LogId};

/// The log's ends and its recent entries, which are always its last ones,
/// without a gap.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    entries: BTreeMap<u64, (u64, Entry)>,
    bytes: usize,
    max_bytes: usize,
    /// Appends are numbered; those up to this one are in the store.
    stored: u64,
    appends: u64,
    last: Option<LogId>,
    /// Up to here the log is on disk.
    held: u64,
    purged: Option<LogId>,
    committed: Option<LogId>,
    committed_is_new: bool,
}

impl Tail {
    pub(crate) fn new(
        max_bytes: usize,
        last: Option<LogId>,
        purged: Option<LogId>,
        committed: Option<LogId>,
    ) -> Self {
        Self {
            max_bytes,
            last: last.max(purged),
            held: last.max(purged).map_or(0, |last| last.index),
            purged,
            committed,
            ..Self::default()
        }
    }

    /// Adds entries behind the last one. Returns the number of the append,
    /// for [`stored`](Self::stored).
    pub(crate) fn append(&mut self, entries: impl IntoIterator<Item = Entry>) -> u64 {
        self.appends += 1;
        for entry in entries {
            self.last = Some(entry.log_id);
            self.bytes += entry_len(&entry);
            self.entries
                .insert(entry.log_id.index, (self.appends, entry));
        }
        self.appends
    }

    /// Append `number` and those before it are in the store.
    pub(crate) fn stored(&mut self, number: u64) {
        self.stored = self.stored.max(number);
        self.evict();
    }

    /// The append that has yet to reach the store before the entry at `index`
    /// is there.
    pub(crate) fn awaits(&self, index: u64) -> Option<u64> {
        let (number, _) = self.entries.get(&index)?;
        (*number > self.stored).then_some(*number)
    }

    fn evict(&mut self) {
        while self.bytes > self.max_bytes {
            match self.entries.first_entry() {
                Some(first) if first.get().0 <= self.stored => {
                    self.bytes -= entry_len(&first.remove().1);
                }
                _ => return,
            }
        }
    }

    /// Forgets the entries behind `last`.
    pub(crate) fn truncate(&mut self, last: Option<LogId>) {
        let from = last.map_or(0, |last| last.index + 1);
        for (_, (_, entry)) in self.entries.split_off(&from) {
            self.bytes -= entry_len(&entry);
        }
        self.last = last;
        self.held = self.held.min(last.map_or(0, |last| last.index));
    }

    /// The append that ends at `index` is on disk. What was cut off meanwhile
    /// does not count.
    pub(crate) fn hold(&mut self, index: u64) {
        self.held = index.min(self.last.map_or(0, |last| last.index));
    }

    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Forgets the entries up to `upto`. Returns the first index that was
    /// not purged before.
    pub(crate) fn purge(&mut self, upto: LogId) -> u64 {
        let from = self.first();
        let kept = self.entries.split_off(&(upto.index + 1));
        for (_, (_, entry)) in std::mem::replace(&mut self.entries, kept) {
            self.bytes -= entry_len(&entry);
        }
        self.purged = self.purged.max(Some(upto));
        self.last = self.last.max(self.purged);
        from
    }

    pub(crate) fn last(&self) -> Option<LogId> {
        self.last
    }

    pub(crate) fn purged(&self) -> Option<LogId> {
        self.purged
    }

    /// The last known commit, never behind the end of the log: a crash can
    /// keep the mark and lose the entries it was learned with.
    pub(crate) fn committed(&self) -> Option<LogId> {
        self.committed
            .filter(|committed| Some(*committed) <= self.last)
    }

    pub(crate) fn set_committed(&mut self, committed: Option<LogId>) {
        if committed > self.committed {
            self.committed = committed;
            self.committed_is_new = true;
        }
    }

    /// The commit mark, if it was not taken since it changed.
    pub(crate) fn take_committed(&mut self) -> Option<LogId> {
        std::mem::take(&mut self.committed_is_new)
            .then_some(self.committed)
            .flatten()
    }

    /// The first index that was not purged.
    pub(crate) fn first(&self) -> u64 {
        self.purged.map_or(0, |purged| purged.index + 1)
    }

    /// What can be told about entries from `from` on without the store.
    pub(crate) fn read(&self, from: u64, to: u64, max_bytes: usize) -> Found {
        let end = self.last.map_or(0, |last| last.index + 1).min(to);
        if from >= end || from < self.first() {
            return Found::Nothing;
        }
        match self.entries.first_key_value() {
            Some((&first, _)) if first <= from => {
                let mut bytes = 0;
                let found = self
                    .entries
                    .range(from..end)
                    .map(|(_, (_, entry))| entry)
                    .take_while(|entry| {
                        let before = bytes;
                        bytes += entry_len(entry);
                        before == 0 || bytes <= max_bytes
                    });
                Found::Entries(found.cloned().collect())
            }
            Some((&first, _)) => Found::InStore(end.min(first)),
            None => Found::InStore(end),
        }
    }
}

/// Where entries are.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// The log ends before, or begins later.
    Nothing,
    /// Here: at least one.
    Entries(Vec<Entry>),
    /// In the store, up to this index, exclusive.
    InStore(u64),
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
