//! Pages of a snapshot: the pairs of the machine's ranges, read from a
//! consistent view of the store.
//!
//! Page: pairs of table (1) | key length (4) | key | value length (4) | value.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use folkmoot_storage::{Batch, Direction, Read, Table, keys};

use crate::codec::damaged;
use crate::port::Range;
use crate::wire::{WireRange, put_sized, take_sized};

/// Pairs read from the view at once.
const SCAN: usize = 128;
/// Most ranges of one shard.
const RANGES: usize = 4_096;

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
    }
}

fn table_of(code: u8) -> io::Result<Table> {
    Table::ALL
        .into_iter()
        .find(|table| table_code(*table) == code)
        // The log and this node's own records are no part of a shard's state.
        .filter(|table| !matches!(table, Table::Raft | Table::Node))
        .ok_or_else(|| damaged(format!("table {code} is not part of a shard's state")))
}

/// The ranges as they are sent and stored.
pub(crate) fn to_wire(ranges: &[Range]) -> Vec<WireRange> {
    ranges
        .iter()
        .map(|(table, from, to)| (table_code(*table), from.clone(), to.clone()))
        .collect()
}

/// Adds the deletion of all ranges to `batch`.
pub(crate) fn delete(ranges: &[WireRange], batch: &mut Batch) -> io::Result<()> {
    if ranges.len() > RANGES {
        return Err(damaged(format!("{} ranges are too many", ranges.len())));
    }
    for (code, from, to) in ranges {
        batch.delete_range(table_of(*code)?, from.clone(), to.clone());
    }
    Ok(())
}

/// Checks a page that came from outside.
pub(crate) fn check(page: &Bytes) -> io::Result<()> {
    put(page.clone(), &mut Batch::new())
}

/// Adds the pairs of a page to `batch`.
pub(crate) fn put(mut page: Bytes, batch: &mut Batch) -> io::Result<()> {
    while page.has_remaining() {
        let table = table_of(page.get_u8())?;
        let key = take_sized(&mut page)?;
        let value = take_sized(&mut page)?;
        batch.put(table, key, value);
    }
    Ok(())
}

/// Reads the ranges page by page.
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
                page.put_u8(table_code(*table));
                put_sized(&mut page, &key)?;
                put_sized(&mut page, &value)?;
                *from = keys::successor(&key);
            }
            if !more && !full {
                self.current = self.ranges.next();
            }
        }
        Ok((!page.is_empty()).then(|| page.freeze()))
    }
}
