//! Entries that were proven, in memory: those who come back ask for the newest
//! of the same groups, all at once.
//!
//! An entry follows from all before it, so there is but one of each seq: what
//! was proven once is never wrong later, in whatever copy. What a copy holds,
//! and what of it may still be read, its head says each time. Whoever comes to
//! erase an entry in place has to take its block out of here.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_storage::Read;
use folkmoot_wire::proto::{Head, SealedEntry};
use folkmoot_wire::{GroupId, limits};
use moka::sync::Cache;
use prost::Message;

use super::proof::{self, Page, Proven, Unproven};

/// Entries of a block, which are read and kept together.
const BLOCK: u64 = 64;
/// Most bytes of a block. Where entries are larger they are not kept.
const BLOCK_BYTES: usize = 512 * 1024;
/// What an entry takes beside its bytes.
const BESIDE: usize = size_of::<Kept>();

/// The entries in memory.
pub(super) struct Recent {
    /// By group, and seq divided by [`BLOCK`].
    blocks: Cache<(GroupId, u64), Arc<Block>>,
}

/// Entries in a row.
struct Block {
    first: u64,
    /// Behind the entry before.
    chain_before: Bytes,
    entries: Vec<Kept>,
}

struct Kept {
    sealed: SealedEntry,
    bytes: usize,
}

/// Whose entries are read, and from where.
pub(super) struct Source<'a> {
    pub(super) store: &'a dyn Read,
    pub(super) cluster: &'a [u8; 16],
    pub(super) group: &'a GroupId,
    pub(super) head: &'a Head,
}

impl Source<'_> {
    fn read(&self, page: &Page) -> Result<Proven, Unproven> {
        proof::read(self.store, self.cluster, self.group, self.head, page)
    }
}

impl Block {
    fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    fn holds(&self, seq: u64) -> bool {
        (self.first..=self.last()).contains(&seq)
    }

    /// An entry that is in it.
    fn get(&self, seq: u64) -> &Kept {
        &self.entries[(seq - self.first) as usize]
    }

    /// The chain before an entry that is in it.
    fn chain_before(&self, seq: u64) -> Bytes {
        match seq == self.first {
            true => self.chain_before.clone(),
            false => self.get(seq - 1).sealed.chain.clone(),
        }
    }

    fn weight(&self) -> u32 {
        let bytes: usize = self.entries.iter().map(|kept| kept.bytes + BESIDE).sum();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            blocks: Cache::builder()
                .max_capacity(limits::RECENT_BYTES)
                .weigher(|_, block: &Arc<Block>| block.weight())
                .build(),
        }
    }
}

impl Recent {
    /// As [`proof::read`]. The page ends at the head or before.
    pub(super) fn read(&self, source: &Source<'_>, page: &Page) -> Result<Proven, Unproven> {
        let (first, last) = page.wanted();
        if first > last {
            return source.read(page);
        }
        match self.of_blocks(source, page, first, last)? {
            Some(proven) => Ok(proven),
            None => source.read(page),
        }
    }

    /// `None`: some of it is too large to be kept, or lies beside damage.
    fn of_blocks(
        &self,
        source: &Source<'_>,
        page: &Page,
        first: u64,
        last: u64,
    ) -> Result<Option<Proven>, Unproven> {
        let count = (last - first + 1) as usize;
        let mut taken = Taken {
            entries: Vec::with_capacity(count),
            left: page.max_bytes,
        };
        let mut block: Option<Arc<Block>> = None;
        let mut chain_before = Bytes::new();
        for at in 0..count as u64 {
            let seq = if page.backward { last - at } else { first + at };
            let here = match block.take() {
                Some(block) if block.holds(seq) => block,
                _ => match self.block(source, seq)? {
                    Some(block) => block,
                    None => return Ok(None),
                },
            };
            if !taken.takes(here.get(seq)) {
                break;
            }
            if page.backward || at == 0 {
                chain_before = here.chain_before(seq);
            }
            block = Some(here);
        }
        let mut entries = taken.entries;
        let from = match page.backward {
            true => last + 1 - entries.len() as u64,
            false => first,
        };
        if page.backward {
            entries.reverse();
        }
        Ok(Some(Proven {
            from,
            chain_before,
            entries,
        }))
    }

    /// The block with this entry; `None` as above.
    fn block(&self, source: &Source<'_>, seq: u64) -> Result<Option<Arc<Block>>, Unproven> {
        let number = (seq - 1) / BLOCK;
        let key = (*source.group, number);
        if let Some(block) = self.blocks.get(&key)
            && block.holds(seq)
        {
            return Ok(Some(block));
        }
        let floor = source.head.floor.as_ref().map_or(0, |floor| floor.seq);
        let before = (number + 1) * BLOCK + 1;
        let page = Page {
            after: (number * BLOCK).max(floor),
            before: before.min(source.head.seq.saturating_add(1)),
            limit: BLOCK as usize,
            max_bytes: BLOCK_BYTES,
            backward: false,
        };
        let Proven {
            from,
            chain_before,
            entries,
        } = match source.read(&page) {
            // Perhaps not of what is asked for.
            Err(Unproven::Damaged { .. }) => return Ok(None),
            read => read?,
        };
        let block = Arc::new(Block {
            first: from,
            chain_before,
            entries: entries.into_iter().map(Kept::new).collect(),
        });
        if block.entries.is_empty() || block.last() + 1 < page.before {
            return Ok(None);
        }
        self.blocks.insert(key, Arc::clone(&block));
        Ok(Some(block))
    }
}

impl Kept {
    fn new(sealed: SealedEntry) -> Self {
        let bytes = sealed.encoded_len();
        Self { sealed, bytes }
    }
}

/// Entries of a page.
struct Taken {
    entries: Vec<SealedEntry>,
    left: usize,
}

impl Taken {
    /// Takes an entry if there is room; the first in any case.
    fn takes(&mut self, kept: &Kept) -> bool {
        if kept.bytes > self.left && !self.entries.is_empty() {
            return false;
        }
        self.left = self.left.saturating_sub(kept.bytes);
        self.entries.push(kept.sealed.clone());
        true
    }
}
