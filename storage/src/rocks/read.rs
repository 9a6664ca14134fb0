//! Reads of a database or of a snapshot of it.

use bytes::Bytes;
use rocksdb::{ColumnFamily, DBRawIteratorWithThreadMode, DBWithThreadMode, SingleThreaded};

use super::catalogue;
use super::error::from_rocks;
use crate::store::Pair;
use crate::{Direction, StoreError, Table};

/// Column families are opened once and never change: no lock around them.
pub(super) type Db = DBWithThreadMode<SingleThreaded>;
pub(super) type Snapshot<'a> = rocksdb::SnapshotWithThreadMode<'a, Db>;

pub(super) fn family(db: &Db, table: Table) -> Result<&ColumnFamily, StoreError> {
    db.cf_handle(table.name())
        .ok_or_else(|| StoreError::Corrupt {
            detail: format!("table {table} is not there"),
        })
}

pub(super) fn get(
    db: &Db,
    snapshot: Option<&Snapshot<'_>>,
    table: Table,
    key: &[u8],
) -> Result<Option<Bytes>, StoreError> {
    let mut options = catalogue::reads();
    if let Some(snapshot) = snapshot {
        options.set_snapshot(snapshot);
    }
    db.get_pinned_cf_opt(family(db, table)?, key, &options)
        .map(|value| value.map(|value| Bytes::copy_from_slice(&value)))
        .map_err(|error| from_rocks("read the store", &error))
}

pub(super) fn get_many(
    db: &Db,
    table: Table,
    keys: &[Bytes],
) -> Result<Vec<Result<Option<Bytes>, StoreError>>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let options = catalogue::reads();
    let values = db.batched_multi_get_cf_opt(family(db, table)?, keys, false, &options);
    let values = values.into_iter().map(|value| {
        value
            .map(|value| value.map(|value| Bytes::copy_from_slice(&value)))
            .map_err(|error| from_rocks("read the store", &error))
    });
    Ok(values.collect())
}

pub(super) fn scan(
    db: &Db,
    snapshot: Option<&Snapshot<'_>>,
    table: Table,
    (from, to): (&[u8], &[u8]),
    limit: usize,
    direction: Direction,
) -> Result<Vec<Pair>, StoreError> {
    if from >= to || limit == 0 {
        return Ok(Vec::new());
    }
    let mut options = catalogue::reads();
    if let Some(snapshot) = snapshot {
        options.set_snapshot(snapshot);
    }
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    let mut iterator: DBRawIteratorWithThreadMode<'_, Db> =
        db.raw_iterator_cf_opt(family(db, table)?, options);
    match direction {
        Direction::Forward => iterator.seek_to_first(),
        Direction::Backward => iterator.seek_to_last(),
    }
    let mut pairs = Vec::new();
    while let Some((key, value)) = iterator.item() {
        pairs.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        if pairs.len() == limit {
            break;
        }
        match direction {
            Direction::Forward => iterator.next(),
            Direction::Backward => iterator.prev(),
        }
    }
    // An iterator that failed looks like one that is done.
    iterator
        .status()
        .map_err(|error| from_rocks("read the store", &error))?;
    Ok(pairs)
}
