//! What a replica purges of its log: what lies far enough behind its last mark
//! by itself, and more where it is asked to. Newcomers that would begin there
//! get a snapshot in its place.
//!
//! Both are requests to the engine, which only raises its bound for them. Its
//! own policy would lower it again while a purge waits for what is being sent.

use crate::{ProposeError, RaftOptions, RaftShard};

/// What is purged without being asked for.
pub(crate) struct PurgePolicy {
    /// Entries kept behind the last mark.
    keep: u64,
    /// One range deletion per so many entries, not one per entry.
    batch: u64,
    /// The first entry that stays once all that was asked for is purged.
    first: u64,
}

impl PurgePolicy {
    pub(crate) fn of(options: &RaftOptions) -> Self {
        Self {
            keep: options.keep_entries,
            batch: (options.snapshot_every / 8).max(1),
            first: 0,
        }
    }

    /// The entry up to which to purge now, where the last mark is at `marked` and
    /// all up to `purged` is gone. Never the same one twice.
    pub(crate) fn due(&mut self, marked: Option<u64>, purged: Option<u64>) -> Option<u64> {
        self.first = self.first.max(purged.map_or(0, |purged| purged + 1));
        let end = (marked? + 1).saturating_sub(self.keep);
        if self.first + self.batch > end {
            return None;
        }
        self.first = end;
        Some(end - 1)
    }
}

impl RaftShard {
    /// Purges the log up to `index`, which was applied, in a while. Says whether
    /// that is done.
    ///
    /// # Errors
    /// As for [`propose`](crate::Sequencer::propose).
    pub async fn purge(&self, index: u64) -> Result<bool, ProposeError> {
        self.check_running()?;
        if self.inbound.log.purged() >= index {
            return Ok(true);
        }
        let trigger = self.raft.trigger();
        let asked = trigger.snapshot().await;
        asked.map_err(|fatal| self.fatal(&fatal))?;
        let asked = trigger.purge_log(index).await;
        asked.map_err(|fatal| self.fatal(&fatal))?;
        Ok(false)
    }
}

#[cfg(test)]
#[path = "purge_tests.rs"]
mod tests;
