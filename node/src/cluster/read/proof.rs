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

/// The chain before a page, and its entries, each of which follows from it.
///
/// # Errors
/// When one does not, or the store fails.
pub fn read(
    store: &dyn Read,
    cluster: &[u8; 16],
    group: &GroupId,
    head: &Head,
    page: &Page,
) -> Result<(Bytes, Vec<(u64, SealedEntry)>), Unproven> {
    let (after, before) = (page.after, page.before);
    let entries = log::read_entries(store, group, after, before, page.limit, page.max_bytes)?;
    let chain = chain_at(store, cluster, group, head, after)?;
    let given = Bytes::copy_from_slice(&chain);
    without!(ChainCheck => { return Ok((given, entries)); });
    let mut chain = chain;
    for ((_, sealed), seq) in entries.iter().zip(after + 1..) {
        let Ok((_, next)) = sealed.verify(&chain, seq) else {
            return Err(Unproven::Damaged { seq });
        };
        chain = next;
    }
    Ok((given, entries))
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
