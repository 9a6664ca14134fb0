//! Group commit: many submitters share one sync (Gawlick and Kinkade, "Varieties
//! of Concurrency Control in IMS/VS Fast Path", 1985).

mod task;
mod thread;

pub use task::TaskCommit;
pub use thread::ThreadCommit;

use crate::{Batch, Store, StoreError};

/// Called once, when a batch is durable or will never be.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Commits batches, in the order they were submitted.
pub trait Commit: Send + Sync {
    /// Writes `batch`, and calls `done` once it and everything that was
    /// written to the store before this call is durable. An empty batch only
    /// waits for what was written before.
    ///
    /// `done` runs on the committer's own thread or task: it must not block.
    fn submit(&self, batch: Batch, done: Done);
}

/// Bounds of a committer's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitOptions {
    /// Batches that may wait.
    pub waiting: usize,
    /// Bytes of keys and values that may wait; one batch may always.
    pub waiting_bytes: usize,
    /// Batches that wait together are written as one up to this many bytes.
    pub merge_bytes: usize,
}

impl Default for CommitOptions {
    fn default() -> Self {
        Self {
            waiting: 16_384,
            waiting_bytes: 64 * 1024 * 1024,
            merge_bytes: 1024 * 1024,
        }
    }
}

/// A batch that waits.
struct Waiting {
    batch: Batch,
    done: Done,
}

/// Batches that wait, in order.
#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    bytes: usize,
}

impl Queue {
    fn has_room(&self, batch: &Batch, options: &CommitOptions) -> bool {
        self.waiting.is_empty()
            || (self.waiting.len() < options.waiting
                && self.bytes + batch.len_bytes() <= options.waiting_bytes)
    }

    fn push(&mut self, batch: Batch, done: Done) {
        self.bytes += batch.len_bytes();
        self.waiting.push(Waiting { batch, done });
    }

    fn take(&mut self) -> Vec<Waiting> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Fails all that wait.
    fn fail(&mut self, error: &StoreError) {
        for waiting in self.take() {
            (waiting.done)(Err(error.clone()));
        }
    }
}

/// Writes what waits, as few large batches; gives the callbacks in order.
fn write_all(
    store: &dyn Store,
    waiting: Vec<Waiting>,
    merge_bytes: usize,
) -> (Vec<Done>, Result<(), StoreError>) {
    let mut done = Vec::with_capacity(waiting.len());
    let mut merged = Batch::new();
    let mut result = Ok(());
    for next in waiting {
        done.push(next.done);
        if result.is_err() {
            continue;
        }
        if !merged.is_empty() && merged.len_bytes() + next.batch.len_bytes() > merge_bytes {
            result = store.write(std::mem::take(&mut merged));
        }
        merged.extend(next.batch);
    }
    if result.is_ok() && !merged.is_empty() {
        result = store.write(merged);
    }
    (done, result)
}

/// What submitters are told after `error` stopped the committer.
fn stopped_by(error: StoreError) -> StoreError {
    match error {
        failed @ StoreError::Failed { .. } => failed,
        StoreError::Closed => StoreError::Closed,
        other => StoreError::Failed {
            cause: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests;
