//! The digests of a group's rows, block by block: an ordered summary in memory
//! that is a hundredth of the rows' size. A block of which a row was written is
//! read anew; all others stand.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_storage::Read;
use folkmoot_wire::GroupId;

use super::held::{self, Held};
use super::{Range, held::between};
use crate::apply::ApplyError;

/// Rows in a new block.
const FILL: usize = 128;
/// A block with more is split.
const FULL: usize = 2 * FILL;

/// A range of so many blocks is split between blocks, so that no row is read,
/// even where that makes fewer parts.
const MANY: usize = 4;

struct Block {
    /// Where it begins; it ends where the next does.
    start: Bytes,
    digest: RowSetDigest,
    /// The digest may not be that of the rows.
    stale: bool,
}

/// A part of a range.
pub(super) struct Part {
    pub(super) end: Bytes,
    pub(super) digest: RowSetDigest,
}

/// The summary of one group's rows.
pub struct Sums {
    pub(super) store: Arc<dyn Read>,
    pub(super) digest_key: [u8; 32],
    pub(super) group: GroupId,
    /// In order of their starts; the first begins at the empty key.
    blocks: Vec<Block>,
    /// No block before this place is stale.
    fresh: usize,
    /// Rows read since the start.
    reads: u64,
}

impl Sums {
    /// The summary of a group of which nothing was read yet.
    pub fn new(store: Arc<dyn Read>, digest_key: [u8; 32], group: GroupId) -> Self {
        let whole = Block {
            start: Bytes::new(),
            digest: RowSetDigest::default(),
            stale: true,
        };
        Self {
            store,
            digest_key,
            group,
            blocks: vec![whole],
            fresh: 0,
            reads: 0,
        }
    }

    /// Blocks in memory.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Rows read so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// A row was written, or is gone.
    pub fn touched(&mut self, key: &[u8]) {
        let at = self.place(key);
        self.mark(at);
    }

    /// Rows with keys in `[from, to)` were written or are gone; an empty end is
    /// that of all keys.
    pub fn touched_range(&mut self, from: &[u8], to: &[u8]) {
        let first = self.place(from);
        for at in first..self.blocks.len() {
            if at > first && !to.is_empty() && &self.blocks[at].start[..] >= to {
                break;
            }
            self.mark(at);
        }
    }

    fn mark(&mut self, at: usize) {
        self.blocks[at].stale = true;
        self.fresh = self.fresh.min(at);
    }

    /// The block that `key` is in.
    fn place(&self, key: &[u8]) -> usize {
        let after = self.blocks.partition_point(|block| &block.start[..] <= key);
        after.saturating_sub(1)
    }

    fn end(&self, at: usize) -> Bytes {
        let next = self.blocks.get(at + 1);
        next.map_or_else(Bytes::new, |next| next.start.clone())
    }

    /// Reads at most about `rows` rows of stale blocks. Whether all are fresh
    /// now; else there is more to do.
    ///
    /// # Errors
    /// When the store fails or holds what it should not.
    pub fn refresh(&mut self, rows: usize) -> Result<bool, ApplyError> {
        let until = self.reads.saturating_add(rows as u64);
        while self.fresh < self.blocks.len() {
            if !self.blocks[self.fresh].stale {
                self.fresh += 1;
            } else if self.reads >= until {
                return Ok(false);
            } else {
                self.read_block(self.fresh)?;
            }
        }
        Ok(true)
    }

    fn read_block(&mut self, at: usize) -> Result<(), ApplyError> {
        let range = Range {
            from: self.blocks[at].start.clone(),
            to: self.end(at),
        };
        // One more than fits tells that there are more.
        let mut rows = self.read(&range, FULL + 1)?;
        if rows.is_empty() && at > 0 {
            self.blocks.remove(at); // the block before reaches over it now
            return Ok(());
        }
        if rows.len() <= FULL {
            self.blocks[at].digest = held::sum(&rows);
            self.blocks[at].stale = false;
            return Ok(());
        }
        let next = between(&rows[FILL - 1].row.key, &rows[FILL].row.key);
        rows.truncate(FILL);
        self.blocks[at].digest = held::sum(&rows);
        self.blocks[at].stale = false;
        let rest = Block {
            start: next,
            digest: RowSetDigest::default(),
            stale: true,
        };
        self.blocks.insert(at + 1, rest);
        Ok(())
    }

    pub(super) fn read(&mut self, range: &Range, limit: usize) -> Result<Vec<Held>, ApplyError> {
        let store = Arc::clone(&self.store);
        let rows = held::read(&*store, &self.digest_key, &self.group, range, limit)?;
        self.reads += rows.len() as u64;
        Ok(rows)
    }

    /// The digest of all rows.
    #[must_use]
    pub fn total(&self) -> RowSetDigest {
        self.blocks
            .iter()
            .fold(RowSetDigest::default(), |all, block| {
                all.combine(&block.digest)
            })
    }

    /// The digest of the rows in `range`.
    pub(super) fn sum(&mut self, range: &Range) -> Result<RowSetDigest, ApplyError> {
        let mut total = RowSetDigest::default();
        for (_, digest) in self.pieces(range)? {
            total = total.combine(&digest);
        }
        Ok(total)
    }

    /// The blocks' parts of `range`: where each begins, and its digest.
    fn pieces(&mut self, range: &Range) -> Result<Vec<(Bytes, RowSetDigest)>, ApplyError> {
        let mut pieces = Vec::new();
        let mut from = range.from.clone();
        for at in self.place(&range.from)..self.blocks.len() {
            let end = self.end(at);
            let last = end.is_empty() || (!range.to.is_empty() && end >= range.to);
            let to = if last { range.to.clone() } else { end.clone() };
            let whole = from == self.blocks[at].start && to == end;
            let digest = if whole {
                self.blocks[at].digest
            } else {
                let part = Range {
                    from: from.clone(),
                    to: to.clone(),
                };
                held::sum(&self.read(&part, usize::MAX)?)
            };
            pieces.push((from, digest));
            if last {
                break;
            }
            from = to;
        }
        Ok(pieces)
    }

    /// Splits `range` into at most `parts`, with about equally many rows each,
    /// and into two at least where there are two rows.
    pub(super) fn split(&mut self, range: &Range, parts: usize) -> Result<Vec<Part>, ApplyError> {
        let pieces = self.pieces(range)?;
        if pieces.len() >= MANY.min(parts) {
            let split = even(range, pieces, parts);
            if split.len() > 1 {
                return Ok(split);
            }
        }
        let rows = self.read(range, usize::MAX)?;
        Ok(even(range, single_rows(range, &rows), parts))
    }
}

/// Joins neighbouring pieces to at most `parts` with about equally many rows.
fn even(range: &Range, pieces: Vec<(Bytes, RowSetDigest)>, parts: usize) -> Vec<Part> {
    let count: u64 = pieces.iter().map(|(_, digest)| digest.count).sum();
    let (mut done, mut seen) = (Vec::new(), 0);
    let mut open = RowSetDigest::default();
    for (start, digest) in pieces {
        let due = (done.len() as u64 + 1) * count / parts as u64;
        if open.count > 0 && seen >= due && done.len() + 1 < parts {
            done.push(Part {
                end: start,
                digest: std::mem::take(&mut open),
            });
        }
        seen += digest.count;
        open = open.combine(&digest);
    }
    done.push(Part {
        end: range.to.clone(),
        digest: open,
    });
    done
}

/// Each row a piece of its own.
fn single_rows(range: &Range, rows: &[Held]) -> Vec<(Bytes, RowSetDigest)> {
    let mut before: Option<&Held> = None;
    let piece = |row| {
        let start = match before.replace(row) {
            None => range.from.clone(),
            Some(before) => between(&before.row.key, &row.row.key),
        };
        let mut digest = RowSetDigest::default();
        digest.insert(&row.print);
        (start, digest)
    };
    rows.iter().map(piece).collect()
}
