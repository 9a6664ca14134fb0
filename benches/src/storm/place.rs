//! How far one listener is in the log.

#[cfg(test)]
mod tests;

use super::order::Batch;

/// Where a listener is. Pushes follow each other without holes but behind a gap,
/// which is fetched.
#[derive(Debug)]
pub(super) struct Place {
    /// All up to this seq has come.
    pub(super) last: u64,
    /// All up to this one is said to be there.
    told: u64,
    /// Up to here it may come again: it was fetched.
    fetched: u64,
}

/// What a batch is to a listener.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// From this one of its entries on it is new.
    New(usize),
    /// Behind a gap: it has to be fetched.
    Ahead,
    /// It was there before, rightly.
    Again,
    /// It was there before, or a hole is before it.
    Wrong,
}

impl Place {
    pub(super) fn at(last: u64) -> Self {
        Self {
            last,
            told: last,
            fetched: last,
        }
    }

    /// Entries up to `head` are there, which will not be pushed.
    pub(super) fn gap(&mut self, head: u64) {
        self.told = self.told.max(head);
    }

    /// Whether something is there that has to be fetched.
    pub(super) fn lacks(&self) -> bool {
        self.told > self.last
    }

    pub(super) fn pushed(&mut self, batch: &Batch) -> Came {
        let lacked = self.lacks();
        if batch.from > self.last + 1 {
            self.gap(batch.to());
            return if lacked { Came::Ahead } else { Came::Wrong };
        }
        if batch.from <= self.last && self.last > self.fetched {
            return Came::Wrong;
        }
        self.came(batch)
    }

    pub(super) fn fetched(&mut self, batch: &Batch) -> Came {
        if batch.from > self.last + 1 {
            return Came::Wrong;
        }
        let came = self.came(batch);
        self.fetched = self.last;
        came
    }

    fn came(&mut self, batch: &Batch) -> Came {
        if batch.to() <= self.last {
            return Came::Again;
        }
        let new = (self.last + 1 - batch.from) as usize;
        self.last = batch.to();
        self.told = self.told.max(self.last);
        Came::New(new)
    }
}
