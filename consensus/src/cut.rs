//! Cuts the ranges of a snapshot into chunks, and sums up what lies in one.
//!
//! Where a chunk ends is told by the keys: a pair begins a new one if the hash
//! of its key is small enough, with a least and a most of bytes around it. So
//! what is put in or taken out somewhere moves no boundary but those beside it,
//! and two replicas that differ in few places have nearly all chunks in common.
//! This is content-defined chunking (Muthitacharoen, Chen, Mazières: A
//! Low-bandwidth Network File System, SOSP 2001), with points taken from keys
//! as in trees over sorted sets (Auvolat, Taïani: Merkle Search Trees, SRDS
//! 2019). A pair's chance grows with its size, for chunks of about one size
//! whatever lies in them.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use folkmoot_storage::{Direction, Pair, Read, Table, keys};

use crate::pages::{pair_len, put_pair};
use crate::port::Range;

/// Pairs read from the store at once.
const SCAN: usize = 128;
/// Bytes hashed at once.
const HASHED: usize = 64 * 1024;

/// Bounds of a chunk, in bytes of its page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// A chunk does not end by its keys before it has so many.
    min: usize,
    /// About what it has.
    target: usize,
    /// It has no more, unless one pair alone does.
    max: usize,
}

impl Sizes {
    /// For messages of `part_bytes`: of 1 MiB about a sixty-fourth is what a
    /// single difference costs, and a manifest is 3 thousandths of the state.
    pub(crate) fn of(part_bytes: usize) -> Self {
        let target = (part_bytes / 64).max(1);
        Self {
            min: target / 4,
            target,
            max: target * 4,
        }
    }

    /// Whether a chunk of `bytes` ends before a pair with this key and length.
    fn ends(&self, bytes: usize, key: &[u8], len: usize) -> bool {
        bytes.saturating_add(len) > self.max || (bytes >= self.min && self.is_point(key, len))
    }

    fn is_point(&self, key: &[u8], len: usize) -> bool {
        let hash = blake3::hash(key);
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        let most = (u64::MAX / self.target as u64).saturating_mul(len as u64);
        u64::from_be_bytes(first) <= most
    }
}

/// What lies in a range: the hash is over its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) pairs: u64,
    /// Length of the page.
    pub(crate) bytes: u64,
    pub(crate) digest: [u8; 32],
}

impl Sum {
    /// Whether it is that of a page, leaving aside how many pairs that has.
    pub(crate) fn is_of(&self, page: &[u8]) -> bool {
        self.bytes == page.len() as u64 && self.digest == *blake3::hash(page).as_bytes()
    }
}

/// A sum in the making; holds no more than a little of the page.
#[derive(Default)]
struct Summing {
    page: BytesMut,
    hasher: blake3::Hasher,
    pairs: u64,
    bytes: usize,
}

impl Summing {
    fn add(&mut self, table: Table, (key, value): &Pair) -> io::Result<()> {
        put_pair(&mut self.page, table, key, value)?;
        self.pairs += 1;
        self.bytes += pair_len(key, value);
        if self.page.len() >= HASHED {
            self.hasher.update(&self.page);
            self.page.clear();
        }
        Ok(())
    }

    fn end(mut self) -> Sum {
        self.hasher.update(&self.page);
        Sum {
            pairs: self.pairs,
            bytes: self.bytes as u64,
            digest: *self.hasher.finalize().as_bytes(),
        }
    }
}

/// The pairs of a range, in order of key.
pub(crate) struct Walk<'a> {
    read: &'a dyn Read,
    range: &'a Range,
    from: Bytes,
    ahead: std::vec::IntoIter<Pair>,
    end: bool,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(read: &'a dyn Read, range: &'a Range) -> Self {
        Self {
            read,
            from: range.1.clone(),
            range,
            ahead: Vec::new().into_iter(),
            end: false,
        }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Pair>> {
        if self.ahead.len() == 0 && !self.end {
            let pairs = page(self.read, self.range.0, &self.from, &self.range.2)?;
            self.end = pairs.len() < SCAN;
            if let Some((last, _)) = pairs.last() {
                self.from = keys::successor(last);
            }
            self.ahead = pairs.into_iter();
        }
        Ok(self.ahead.next())
    }
}

fn page(read: &dyn Read, table: Table, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>> {
    read.scan(table, from, to, SCAN, Direction::Forward)
        .map_err(io::Error::other)
}

/// Sums up what lies in a range.
pub(crate) fn sum(read: &dyn Read, range: &Range) -> io::Result<Sum> {
    let mut summing = Summing::default();
    let mut walk = Walk::new(read, range);
    while let Some(pair) = walk.next()? {
        summing.add(range.0, &pair)?;
    }
    Ok(summing.end())
}

/// A range, and what lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) range: Range,
    pub(crate) sum: Sum,
}

/// Cuts ranges into chunks, which cover them in order and without holes.
pub(crate) struct Cutter {
    view: Arc<dyn Read>,
    sizes: Sizes,
    ranges: VecDeque<Range>,
    /// Read of the first range, and not yet in a chunk.
    ahead: VecDeque<Pair>,
    /// Where reading goes on; `None`: the range was read to its end.
    next: Option<Bytes>,
}

impl Cutter {
    /// The ranges must not be empty.
    pub(crate) fn new(view: Arc<dyn Read>, ranges: Vec<Range>, sizes: Sizes) -> Self {
        let next = ranges.first().map(|(_, from, _)| from.clone());
        Self {
            view,
            sizes,
            ranges: ranges.into(),
            ahead: VecDeque::new(),
            next,
        }
    }

    /// The next chunk; `None` behind the last one.
    pub(crate) fn next(&mut self) -> io::Result<Option<Chunk>> {
        let Some((table, from, to)) = self.ranges.front().cloned() else {
            return Ok(None);
        };
        let mut summing = Summing::default();
        loop {
            self.read_on(table, &to)?;
            let Some((key, value)) = self.ahead.front() else {
                self.ranges.pop_front();
                self.next = self.ranges.front().map(|(_, from, _)| from.clone());
                let range = (table, from, to);
                let sum = summing.end();
                return Ok(Some(Chunk { range, sum }));
            };
            let len = pair_len(key, value);
            if summing.pairs > 0 && self.sizes.ends(summing.bytes, key, len) {
                let end = key.clone();
                if let Some(rest) = self.ranges.front_mut() {
                    rest.1 = end.clone();
                }
                let range = (table, from, end);
                let sum = summing.end();
                return Ok(Some(Chunk { range, sum }));
            }
            if let Some(pair) = self.ahead.pop_front() {
                summing.add(table, &pair)?;
            }
        }
    }

    fn read_on(&mut self, table: Table, to: &Bytes) -> io::Result<()> {
        let Some(from) = self.next.as_ref().filter(|_| self.ahead.is_empty()) else {
            return Ok(());
        };
        self.ahead = page(&*self.view, table, from, to)?.into();
        self.next = self
            .ahead
            .back()
            .filter(|_| self.ahead.len() == SCAN)
            .map(|(last, _)| keys::successor(last));
        Ok(())
    }
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
