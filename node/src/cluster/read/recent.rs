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
use folkmoot_wire::page::Run;
use folkmoot_wire::proto::{Head, SealedEntry};
use folkmoot_wire::{GroupId, limits};
use moka::sync::Cache;

use super::proof::{self, Page, Proven, Unproven};

/// Entries of a block, which are read and kept together.
const BLOCK: u64 = 64;
/// Most bytes of a block. Where entries are larger they are not kept.
const BLOCK_BYTES: usize = 512 * 1024;
/// What an entry takes beside its bytes.
const BESIDE: usize = size_of::<SealedEntry>() + size_of::<usize>();

/// The entries in memory.
pub(super) struct Recent {
    /// By group, and seq divided by [`BLOCK`].
    blocks: Cache<(GroupId, u64), Arc<Block>>,
}

/// Entries in a row.
struct Block {
    /// Behind the entry before.
    chain_before: Bytes,
    entries: Run,
}

/// Entries that follow from each other, as they are sent to many.
#[derive(Debug)]
pub(super) struct Found {
    /// The seq of the first, or of the one that would be.
    pub(super) from: u64,
    /// The chain before it.
    pub(super) chain_before: Bytes,
    /// In order of seq, without a hole.
    pub(super) runs: Vec<Run>,
}

impl From<Proven> for Found {
    fn from(proven: Proven) -> Self {
        Self {
            from: proven.from,
            chain_before: proven.chain_before,
            runs: vec![Run::new(proven.from, &proven.entries)],
        }
    }
}

impl Found {
    /// The seq behind the last.
    pub(super) fn end(&self) -> u64 {
        self.runs.last().map_or(self.from, Run::end)
    }
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
    fn holds(&self, seq: u64) -> bool {
        self.entries.get(seq).is_some()
    }

    /// The chain before an entry that is in it, if the one before that is too.
    fn chain_before(&self, seq: u64) -> Bytes {
        let before = self.entries.get(seq - 1);
        before
            .map_or(&self.chain_before, |sealed| &sealed.chain)
            .clone()
    }

    fn weight(&self) -> u32 {
        let bytes = self.entries.bytes().len() + self.entries.entries().len() * BESIDE;
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
    pub(super) fn read(&self, source: &Source<'_>, page: &Page) -> Result<Found, Unproven> {
        let (first, last) = page.wanted();
        if first <= last
            && let Some(found) = self.of_blocks(source, page, first, last)?
        {
            return Ok(found);
        }
        source.read(page).map(Found::from)
    }

    /// `None`: some of it is too large to be kept, or lies beside damage.
    fn of_blocks(
        &self,
        source: &Source<'_>,
        page: &Page,
        first: u64,
        last: u64,
    ) -> Result<Option<Found>, Unproven> {
        let mut left = page.max_bytes;
        let mut runs = Vec::new();
        // What is wanted yet: from its front, or from its back.
        let (mut from, mut end) = (first, last + 1);
        let mut chain_before = Bytes::new();
        while from < end {
            let seq = if page.backward { end - 1 } else { from };
            let Some(block) = self.block(source, seq)? else {
                return Ok(None);
            };
            let wanted = block.entries.part(from, end);
            let mut run = wanted.fitting(left, page.backward);
            if run.is_empty() && runs.is_empty() {
                // The first is given in any case.
                run = wanted.part(seq, seq + 1);
            }
            if run.is_empty() {
                break;
            }
            if page.backward || runs.is_empty() {
                chain_before = block.chain_before(run.first());
            }
            left = left.saturating_sub(run.bytes().len());
            let all_fit = run.entries().len() == wanted.entries().len();
            match page.backward {
                true => end = run.first(),
                false => from = run.end(),
            }
            runs.push(run);
            if !all_fit {
                break;
            }
        }
        if page.backward {
            runs.reverse();
        }
        Ok(Some(Found {
            from: runs.first().map_or(first, Run::first),
            chain_before,
            runs,
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
        let proven = match source.read(&page) {
            // Perhaps not of what is asked for.
            Err(Unproven::Damaged { .. }) => return Ok(None),
            read => read?,
        };
        let block = Arc::new(Block {
            chain_before: proven.chain_before,
            entries: Run::new(proven.from, &proven.entries),
        });
        if block.entries.is_empty() || block.entries.end() < page.before {
            return Ok(None);
        }
        self.blocks.insert(key, Arc::clone(&block));
        Ok(Some(block))
    }
}
