//! How many people read up to each seq of a large group, without reading a row
//! for each of them: cursors are counted where they are, and again in spans of
//! many seqs, so that few numbers have to be added up for "from this seq on".
//!
//! A join may put a cursor at the head. That is not reading, so as many are
//! taken off there; while they stay, nothing is written for them.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_wire::proto::{Row, StoredTally, row};
use folkmoot_wire::row::RowKey;

use super::place_of;
use crate::{Batch, Direction, Read, StoreError, Table, keys, value};

/// Seqs of a span.
const SPAN: u64 = 1_024;
const SEQS: u8 = 0;
const SPANS: u8 = 1;
/// Stands for a group whose cursors are counted.
const MARK: u8 = u8::MAX;
/// Keys read at once.
const PAGE: usize = 1_024;

/// Cursors that are somewhere by reading, or changes of that.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally(BTreeMap<(u8, u64), i64>);

impl Tally {
    /// A row counts, or no longer does.
    pub(super) fn row(&mut self, row: &Row, times: i64) {
        let (seq, cursors) = match &row.value {
            Some(row::Value::Cursor(cursor)) => (cursor.seq, times),
            Some(row::Value::Member(member)) => {
                let authority = member.authority.as_ref();
                (authority.map_or(0, |a| a.cursor_base), -times)
            }
            _ => return,
        };
        if seq > 0 {
            *self.0.entry((SEQS, seq)).or_default() += cursors;
            *self.0.entry((SPANS, seq / SPAN)).or_default() += cursors;
        }
    }

    /// As [`Tally::row`]. One that cannot be read is somewhere unknown: whoever
    /// reads the row itself says what is wrong with it.
    pub(super) fn stored(&mut self, bytes: &Bytes, times: i64) {
        if let Ok(row) = value::decode_value(bytes.clone()) {
            self.row(&row, times);
        }
    }

    /// Of all rows of a place.
    pub(super) fn of_rows(read: &dyn Read, place: &[u8]) -> Result<Self, StoreError> {
        let mut tally = Self::default();
        each_counted(read, place, |_, stored| tally.stored(stored, 1))?;
        Ok(tally)
    }

    /// As it is written down: all of what lies at one of the seqs or behind.
    fn written(read: &dyn Read, place: &[u8], seqs: &[u64]) -> Result<Self, StoreError> {
        let mut tally = Self::default();
        let Some(first) = seqs.iter().min() else {
            return Ok(tally);
        };
        let end = keys::index::tallies(place).1;
        let spans = keys::index::tally(place, SPANS, first / SPAN + 1);
        tally.read(read, spans, end)?;
        let mut of_seqs: Vec<u64> = seqs.iter().map(|seq| seq / SPAN).collect();
        of_seqs.sort_unstable();
        of_seqs.dedup();
        for span in of_seqs {
            let first = keys::index::tally(place, SEQS, span * SPAN);
            let end = keys::index::tally(place, SEQS, (span + 1).saturating_mul(SPAN));
            tally.read(read, first, end)?;
        }
        Ok(tally)
    }

    /// All of it, as it is written down.
    pub(super) fn all(read: &dyn Read, place: &[u8]) -> Result<Self, StoreError> {
        let mut tally = Self::default();
        let (from, to) = keys::index::tallies(place);
        tally.read(read, from, to)?;
        Ok(tally)
    }

    fn read(&mut self, read: &dyn Read, mut from: Bytes, to: Bytes) -> Result<(), StoreError> {
        loop {
            let page = read.scan(Table::Index, &from, &to, PAGE, Direction::Forward)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            from = keys::successor(last);
            for (key, stored) in page {
                let Some((level, span)) = keys::index::span_of(&key) else {
                    continue;
                };
                if level != MARK {
                    let stored: StoredTally = value::decode_value(stored)?;
                    self.0.insert((level, span), stored.cursors);
                }
            }
        }
    }

    /// How many are at a seq or behind it.
    fn from(&self, seq: u64) -> u64 {
        let span = seq / SPAN + 1;
        let near = self.0.range((SEQS, seq)..(SEQS, span.saturating_mul(SPAN)));
        let far = self.0.range((SPANS, span)..(SPANS + 1, 0));
        let sum: i64 = near.chain(far).map(|(_, cursors)| cursors).sum();
        u64::try_from(sum).unwrap_or(0)
    }

    /// Writes it down, of a place of which nothing is written down.
    pub(super) fn put(&self, batch: &mut Batch, place: &[u8]) {
        batch.put(
            Table::Index,
            keys::index::tally(place, MARK, 0),
            value::encode_value(&StoredTally::default()),
        );
        for (&(level, span), &cursors) in &self.0 {
            put_one(batch, place, level, span, cursors);
        }
    }

    /// Adds it to what is written down.
    pub(super) fn add(
        &self,
        read: &dyn Read,
        batch: &mut Batch,
        place: &[u8],
    ) -> Result<(), StoreError> {
        for (&(level, span), change) in self.0.iter().filter(|(_, change)| **change != 0) {
            let key = keys::index::tally(place, level, span);
            let before = match read.get(Table::Index, &key)? {
                Some(stored) => value::decode_value::<StoredTally>(stored)?.cursors,
                None => 0,
            };
            match before + change {
                0 => batch.delete(Table::Index, key),
                cursors => put_one(batch, place, level, span, cursors),
            }
        }
        Ok(())
    }

    /// Keys that it takes when it is written down.
    pub(super) fn keys(&self) -> u64 {
        1 + self.0.len() as u64
    }

    /// Without what comes to nothing.
    pub(super) fn trimmed(mut self) -> Self {
        self.0.retain(|_, cursors| *cursors != 0);
        self
    }
}

fn put_one(batch: &mut Batch, place: &[u8], level: u8, span: u64, cursors: i64) {
    if cursors != 0 {
        let key = keys::index::tally(place, level, span);
        let stored = value::encode_value(&StoredTally { cursors });
        batch.put(Table::Index, key, stored);
    }
}

/// Whether the place's cursors are counted.
pub(super) fn is_counted(read: &dyn Read, place: &[u8]) -> Result<bool, StoreError> {
    let mark = keys::index::tally(place, MARK, 0);
    Ok(read.get(Table::Index, &mark)?.is_some())
}

/// How many people have read each of the seqs, or what comes after it.
pub(super) fn readers(read: &dyn Read, place: &[u8], seqs: &[u64]) -> Result<Vec<u64>, StoreError> {
    let tally = match is_counted(read, place)? {
        true => Tally::written(read, place, seqs)?,
        false => Tally::of_rows(read, place)?,
    };
    Ok(seqs.iter().map(|seq| tally.from(*seq)).collect())
}

/// The rows of a place that are counted.
pub(super) fn each_counted(
    read: &dyn Read,
    place: &[u8],
    mut visit: impl FnMut(&Bytes, &Bytes),
) -> Result<(), StoreError> {
    let (mut from, to) = keys::prefix_range(place);
    loop {
        let page = read.scan(Table::Rows, &from, &to, PAGE, Direction::Forward)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        from = keys::successor(last);
        for (key, stored) in &page {
            if counts(key) {
                visit(key, stored);
            }
        }
    }
}

/// Whether a row of this key is counted.
pub(super) fn counts(key: &[u8]) -> bool {
    let row = place_of(key).map(|(_, row)| row);
    matches!(row, Some(RowKey::Member(_) | RowKey::Cursor(_)))
}
