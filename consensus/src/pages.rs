//! Pages of a snapshot: the pairs of the machine's ranges, read from a
//! consistent view of the store.
//!
//! Page: pairs of table (1) | key length (4) | key | value length (4) | value.
//! On disk a chunk's page has in front the range that it replaces: table and
//! [`CLEAR`] (1) | length (4) | first key | length (4) | key after the last.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use folkmoot_storage::{Batch, Direction, Pair, Read, Table, keys};

use crate::codec::damaged;
use crate::cut::{Chunk, Walk};
use crate::port::Range;
use crate::wire::{WireRange, put_sized, take_sized};

/// Pairs read from the view at once.
const SCAN: usize = 128;
/// Most ranges of one shard.
const RANGES: usize = 4_096;
/// With a table's number: a range that is replaced.
const CLEAR: u8 = 0x80;

/// The stored and sent number of a table. Never renumber.
fn table_code(table: Table) -> u8 {
    match table {
        Table::Raft => 1,
        Table::Log => 2,
        Table::Heads => 3,
        Table::Rows => 4,
        Table::Dedup => 5,
        Table::Shards => 6,
        Table::Outbox => 7,
        Table::Users => 8,
        Table::Inbox => 9,
        Table::Node => 10,
        Table::Index => 11,
        Table::Mentions => 12,
        Table::Gone => 13,
    }
}

fn table_of(code: u8) -> io::Result<Table> {
    Table::ALL
        .into_iter()
        .find(|table| table_code(*table) == code)
        // The log, this node's own records and what is worked out from others are
        // no part of a shard's state.
        .filter(|table| !table.is_derived() && !matches!(table, Table::Raft | Table::Node))
        .ok_or_else(|| damaged(format!("table {code} is not part of a shard's state")))
}

/// The ranges as they are sent and stored.
pub(crate) fn to_wire(ranges: &[Range]) -> Vec<WireRange> {
    ranges
        .iter()
        .map(|(table, from, to)| (table_code(*table), from.clone(), to.clone()))
        .collect()
}

/// A range as it came.
pub(crate) fn range_of((code, from, to): WireRange) -> io::Result<Range> {
    Ok((table_of(code)?, from, to))
}

/// Refuses more ranges than a shard has.
pub(crate) fn check_ranges(ranges: &[WireRange]) -> io::Result<()> {
    if ranges.len() > RANGES {
        return Err(damaged(format!("{} ranges are too many", ranges.len())));
    }
    Ok(())
}

/// What of `ranges` lies in none of `others`.
pub(crate) fn outside(ranges: Vec<Range>, others: &[Range]) -> Vec<Range> {
    let mut rest = ranges;
    for (table, from, to) in others {
        let mut left = Vec::with_capacity(rest.len());
        for range in rest {
            if range.0 != *table || range.2 <= *from || *to <= range.1 {
                left.push(range);
                continue;
            }
            if range.1 < *from {
                left.push((*table, range.1, from.clone()));
            }
            if *to < range.2 {
                left.push((*table, to.clone(), range.2));
            }
        }
        rest = left;
    }
    rest
}

/// Adds the deletion of all ranges to `batch`.
pub(crate) fn delete(ranges: &[WireRange], batch: &mut Batch) -> io::Result<()> {
    check_ranges(ranges)?;
    for (code, from, to) in ranges {
        batch.delete_range(table_of(*code)?, from.clone(), to.clone());
    }
    Ok(())
}

/// Checks a page that came from outside.
pub(crate) fn check(page: &Bytes) -> io::Result<()> {
    let mut page = page.clone();
    while page.has_remaining() {
        take_pair(&mut page)?;
    }
    Ok(())
}

/// Adds the pairs of a page to `batch`, and before them the deletion of what
/// `store` has where the page is to be.
pub(crate) fn put(mut page: Bytes, store: &dyn Read, batch: &mut Batch) -> io::Result<()> {
    if let Some((table, from, to)) = take_clear(&mut page)? {
        // A deletion of nothing would be in the way of reads all the same.
        let here = store.scan(table, &from, &to, 1, Direction::Forward);
        if !here.map_err(io::Error::other)?.is_empty() {
            batch.delete_range(table, from, to);
        }
    }
    while page.has_remaining() {
        let (table, (key, value)) = take_pair(&mut page)?;
        batch.put(table, key, value);
    }
    Ok(())
}

/// Bytes of one pair of a page.
pub(crate) fn pair_len(key: &[u8], value: &[u8]) -> usize {
    9 + key.len() + value.len()
}

pub(crate) fn put_pair(
    page: &mut BytesMut,
    table: Table,
    key: &[u8],
    value: &[u8],
) -> io::Result<()> {
    page.put_u8(table_code(table));
    put_sized(page, key)?;
    put_sized(page, value)
}

fn take_pair(page: &mut Bytes) -> io::Result<(Table, Pair)> {
    let table = table_of(page.get_u8())?;
    Ok((table, (take_sized(page)?, take_sized(page)?)))
}

fn take_clear(page: &mut Bytes) -> io::Result<Option<Range>> {
    let Some(code) = page.first().filter(|first| **first & CLEAR != 0) else {
        return Ok(None);
    };
    let table = table_of(code & !CLEAR)?;
    page.advance(1);
    let (from, to) = (take_sized(page)?, take_sized(page)?);
    Ok(Some((table, from, to)))
}

/// The page of a range.
pub(crate) fn read(read: &dyn Read, range: &Range) -> io::Result<Bytes> {
    let mut page = BytesMut::new();
    let mut walk = Walk::new(read, range);
    while let Some((key, value)) = walk.next()? {
        put_pair(&mut page, range.0, &key, &value)?;
    }
    Ok(page.freeze())
}

/// Checks that a page which came from outside is that of a chunk.
pub(crate) fn check_chunk(page: &Bytes, chunk: &Chunk) -> io::Result<()> {
    let (table, from, to) = &chunk.range;
    let wrong = |what: &str| {
        let (from, to) = (hex(from), hex(to));
        damaged(format!(
            "the chunk of table {table} from {from} to {to} {what}"
        ))
    };
    let not_its = "is not what the manifest says of it";
    // First: what was changed on the way may not even read back.
    if !chunk.sum.is_of(page) {
        return Err(wrong(not_its));
    }
    let (mut rest, mut pairs, mut least) = (page.clone(), 0, from.clone());
    while rest.has_remaining() {
        let (of, (key, _)) = take_pair(&mut rest)?;
        if of != *table || key < least || key >= *to {
            return Err(wrong("has keys of another place"));
        }
        least = keys::successor(&key);
        pairs += 1;
    }
    if pairs != chunk.sum.pairs {
        return Err(wrong(not_its));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A chunk as it is kept on disk until it is installed.
pub(crate) fn to_stage((table, from, to): &Range, page: &[u8]) -> io::Result<Bytes> {
    let mut staged = BytesMut::with_capacity(9 + from.len() + to.len() + page.len());
    staged.put_u8(table_code(*table) | CLEAR);
    put_sized(&mut staged, from)?;
    put_sized(&mut staged, to)?;
    staged.put_slice(page);
    Ok(staged.freeze())
}

/// The pairs of such a chunk.
pub(crate) fn staged_pairs(mut staged: Bytes) -> io::Result<Vec<Pair>> {
    take_clear(&mut staged)?;
    let mut pairs = Vec::new();
    while staged.has_remaining() {
        pairs.push(take_pair(&mut staged)?.1);
    }
    Ok(pairs)
}

/// Reads the ranges page by page, for nodes of versions without manifests.
pub(crate) struct PageReader {
    view: Arc<dyn Read>,
    ranges: std::vec::IntoIter<Range>,
    current: Option<Range>,
    bytes: usize,
}

impl PageReader {
    /// Pages of about `bytes` bytes, more only for one large value.
    pub(crate) fn new(view: Arc<dyn Read>, ranges: Vec<Range>, bytes: usize) -> Self {
        let mut ranges = ranges.into_iter();
        let current = ranges.next();
        Self {
            view,
            ranges,
            current,
            bytes,
        }
    }

    /// The next page; `None` behind the last one.
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut page = BytesMut::new();
        while page.len() < self.bytes {
            let Some((table, from, to)) = &mut self.current else {
                break;
            };
            let pairs = self
                .view
                .scan(*table, from, to, SCAN, Direction::Forward)
                .map_err(io::Error::other)?;
            let more = pairs.len() == SCAN;
            let mut full = false;
            for (key, value) in pairs {
                if page.len() >= self.bytes {
                    full = true;
                    break;
                }
                put_pair(&mut page, *table, &key, &value)?;
                *from = keys::successor(&key);
            }
            if !more && !full {
                self.current = self.ranges.next();
            }
        }
        Ok((!page.is_empty()).then(|| page.freeze()))
    }
}
