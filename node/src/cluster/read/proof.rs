//! Entries as they are read from the store, with their proof: a disk may give
//! other bytes than it took, and the chain tells.

use bytes::Bytes;
use folkmoot_storage::{Read, StoreError, log};
use folkmoot_wire::entry::{self, Chain};
use folkmoot_wire::proto::{Head, SealedEntry};
use folkmoot_wire::{GroupId, without};

/// Which entries: `after < seq < before`.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub after: u64,
    pub before: u64,
    pub limit: usize,
    pub max_bytes: usize,
    /// The last of them instead of the first, where not all may be given.
    pub backward: bool,
}

impl Page {
    /// The first and the last seq that are given, if there are no bounds but
    /// the number of entries.
    #[must_use]
    pub fn wanted(&self) -> (u64, u64) {
        let (first, last) = (self.after.saturating_add(1), self.before.saturating_sub(1));
        let limit = self.limit as u64;
        match self.backward {
            true => (
                first.max(last.saturating_add(1).saturating_sub(limit)),
                last,
            ),
            false => (first, last.min(self.after.saturating_add(limit))),
        }
    }
}

/// Entries that follow from each other.
#[derive(Debug)]
pub struct Proven {
    /// The seq of the first, or of the one that would be.
    pub from: u64,
    /// The chain before it.
    pub chain_before: Bytes,
    /// In order of seq, without a hole.
    pub entries: Vec<SealedEntry>,
}

/// Why nothing is given.
#[derive(Debug)]
pub enum Unproven {
    /// The store failed.
    Store(StoreError),
    /// The entry `seq`, or the one before it, is not what was written.
    Damaged { seq: u64 },
}

impl From<StoreError> for Unproven {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Entry { seq, .. } => Self::Damaged { seq },
            error => Self::Store(error),
        }
    }
}

/// The entries of a page, each of which follows from the one before it.
///
/// # Errors
/// When one does not, or the store fails.
pub fn read(
    store: &dyn Read,
    cluster: &[u8; 16],
    group: &GroupId,
    head: &Head,
    page: &Page,
) -> Result<Proven, Unproven> {
    let read = match page.backward {
        true => log::read_entries_back,
        false => log::read_entries,
    };
    let entries = read(
        store,
        group,
        page.after,
        page.before,
        page.limit,
        page.max_bytes,
    )?;
    let from = match entries.first() {
        // What is missing at the front of a page that begins there is damage.
        Some((seq, _)) if page.backward => *seq,
        _ => page.after.saturating_add(1),
    };
    let mut chain = chain_at(store, cluster, group, head, from - 1)?;
    let proven = Proven {
        from,
        chain_before: Bytes::copy_from_slice(&chain),
        entries: entries.into_iter().map(|(_, sealed)| sealed).collect(),
    };
    without!(ChainCheck => { return Ok(proven); });
    for (sealed, seq) in proven.entries.iter().zip(from..) {
        let Ok((_, next)) = sealed.verify(&chain, seq) else {
            return Err(Unproven::Damaged { seq });
        };
        chain = next;
    }
    Ok(proven)
}

/// The chain behind entry `seq`, or behind the floor or the beginning. Whether
/// it is right shows with the entry that follows.
///
/// # Errors
/// When the entry is not there or cannot be read.
pub fn chain_at(
    store: &dyn Read,
    cluster: &[u8; 16],
    group: &GroupId,
    head: &Head,
    seq: u64,
) -> Result<Chain, Unproven> {
    let damaged = || Unproven::Damaged { seq };
    if seq == 0 {
        return Ok(entry::genesis(cluster, group));
    }
    if let Some(floor) = head.floor.as_ref().filter(|floor| floor.seq == seq) {
        return entry::chain_from(&floor.chain).map_err(|_| damaged());
    }
    let sealed = log::read_entry(store, group, seq)?.ok_or_else(damaged)?;
    entry::chain_from(&sealed.chain).map_err(|_| damaged())
}
