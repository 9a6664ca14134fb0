//! Rows that only say that something is gone, by their keys: kept up to date by
//! every write of a row, so that whoever collects them reads those few, and not
//! all rows of all groups that changed.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_wire::row::{self, RowKey};

use super::check::each;
use super::place_of;
use crate::{Batch, Direction, Op, Read, StoreError, Table, value};

/// The keys in table Rows, at most `limit` of those in `[from, to)`, of rows
/// that say of a member or of a listed group that it is gone. Some of them may
/// have to wait until they can be collected.
///
/// # Errors
/// When the store fails.
pub fn gone(
    read: &dyn Read,
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<Bytes>, StoreError> {
    let pairs = read.scan(Table::Gone, from, to, limit, Direction::Forward)?;
    Ok(pairs.into_iter().map(|(key, _)| key).collect())
}

/// Whether a stored row is one of those. What cannot be read is not: whoever
/// reads the row itself says what is wrong with it.
pub(super) fn says_gone(stored: &Bytes) -> bool {
    value::decode_value(stored.clone()).is_ok_and(|row| row::says_gone(&row))
}

/// Whether rows of this key may say so.
pub(super) fn may_be(key: &[u8]) -> bool {
    matches!(
        place_of(key),
        Some((_, RowKey::Member(_) | RowKey::Listed(_)))
    )
}

/// What a batch changes in them.
pub(super) struct Gone<'a> {
    /// As it is before the batch.
    read: &'a dyn Read,
    /// Which keys of the batch are there after what is in it so far.
    known: BTreeMap<Bytes, bool>,
    /// Ranges that the batch emptied.
    cleared: Vec<(Bytes, Bytes)>,
}

impl<'a> Gone<'a> {
    pub(super) fn over(read: &'a dyn Read) -> Self {
        Self {
            read,
            known: BTreeMap::new(),
            cleared: Vec::new(),
        }
    }

    /// Adds to `out` what follows from this change.
    pub(super) fn index(&mut self, op: &Op, out: &mut Batch) -> Result<(), StoreError> {
        match op {
            Op::Put {
                table: Table::Rows,
                key,
                value,
            } if may_be(key) => self.row(key, says_gone(value), out),
            Op::Delete {
                table: Table::Rows,
                key,
            } if may_be(key) => self.row(key, false, out),
            // The keys are the same, so the range is.
            Op::DeleteRange {
                table: Table::Rows,
                from,
                to,
            } => {
                self.known.retain(|key, _| !(from <= key && key < to));
                self.cleared.push((from.clone(), to.clone()));
                out.delete_range(Table::Gone, from.clone(), to.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn row(&mut self, key: &Bytes, is: bool, out: &mut Batch) -> Result<(), StoreError> {
        match (self.was(key)?, is) {
            (false, true) => out.put(Table::Gone, key.clone(), Bytes::new()),
            (true, false) => out.delete(Table::Gone, key.clone()),
            (true, true) | (false, false) => {}
        }
        self.known.insert(key.clone(), is);
        Ok(())
    }

    fn was(&self, key: &Bytes) -> Result<bool, StoreError> {
        if let Some(was) = self.known.get(key) {
            return Ok(*was);
        }
        if self
            .cleared
            .iter()
            .any(|(from, to)| from <= key && key < to)
        {
            return Ok(false);
        }
        Ok(self.read.get(Table::Gone, key)?.is_some())
    }
}

/// Compares them with the rows of a store: which row says something else.
pub(super) fn check(read: &dyn Read) -> Result<Option<String>, StoreError> {
    let (mut wanted, mut held, mut wrong) = (0, 0, None);
    each(read, Table::Rows, |key, stored| {
        if may_be(key) && says_gone(stored) {
            wanted += 1;
            if read.get(Table::Gone, key)?.is_none() {
                wrong
                    .get_or_insert_with(|| format!("row {key:02x?} is gone and not found as such"));
            }
        }
        Ok(())
    })?;
    each(read, Table::Gone, |_, _| {
        held += 1;
        Ok(())
    })?;
    if wrong.is_none() && held != wanted {
        wrong = Some(format!("{held} rows found as gone, {wanted} are"));
    }
    Ok(wrong)
}
