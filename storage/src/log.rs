//! Reading a group's log, head and rows. Every error names the group, and the
//! entry or row.

use folkmoot_wire::proto::{Head, Row, SealedEntry};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{GroupId, RegionId};

use bytes::Bytes;

use crate::store::Pair;
use crate::value::decode_value;
use crate::{Direction, Place, Read, Seat, StoreError, Table, keys};

/// Entries taken from the store at once: bounds what is read beyond
/// `max_bytes`.
const CHUNK: usize = 64;

/// The first entries with `after < seq < before` (`before` 0: no bound, as on
/// the wire), in order of seq: at most
/// `limit`, and no more once their stored size reaches `max_bytes` (the first
/// is always given, so that a reader gets on).
///
/// # Errors
/// When the store fails or an entry cannot be read.
pub fn read_entries(
    read: &(impl Read + ?Sized),
    group: &GroupId,
    after: u64,
    before: u64,
    limit: usize,
    max_bytes: usize,
) -> Result<Vec<(u64, SealedEntry)>, StoreError> {
    let Some(range) = between(group, after, before) else {
        return Ok(Vec::new());
    };
    collect(read, group, range, limit, max_bytes, Direction::Forward)
}

/// The last entries with `after < seq < before`, still in order of seq. The
/// bounds are those of [`read_entries`], counted from the end.
///
/// # Errors
/// When the store fails or an entry cannot be read.
pub fn read_entries_back(
    read: &(impl Read + ?Sized),
    group: &GroupId,
    after: u64,
    before: u64,
    limit: usize,
    max_bytes: usize,
) -> Result<Vec<(u64, SealedEntry)>, StoreError> {
    let Some(range) = between(group, after, before) else {
        return Ok(Vec::new());
    };
    let mut entries = collect(read, group, range, limit, max_bytes, Direction::Backward)?;
    entries.reverse();
    Ok(entries)
}

fn between(group: &GroupId, after: u64, before: u64) -> Option<(Bytes, Bytes)> {
    let from = keys::log::key(group, after.checked_add(1)?);
    let to = match before {
        0 => keys::log::group_range(group).1,
        before => keys::log::key(group, before),
    };
    Some((from, to))
}

fn collect(
    read: &(impl Read + ?Sized),
    group: &GroupId,
    (mut from, mut to): (Bytes, Bytes),
    limit: usize,
    max_bytes: usize,
    direction: Direction,
) -> Result<Vec<(u64, SealedEntry)>, StoreError> {
    let mut entries = Vec::new();
    let mut bytes = 0usize;
    while entries.len() < limit {
        let want = CHUNK.min(limit - entries.len());
        let pairs = read.scan(Table::Log, &from, &to, want, direction)?;
        let last = pairs.len() < want;
        for (key, value) in pairs {
            bytes = bytes.saturating_add(value.len());
            if bytes > max_bytes && !entries.is_empty() {
                return Ok(entries);
            }
            entries.push(entry(group, &key, value)?);
            match direction {
                Direction::Forward => from = keys::successor(&key),
                Direction::Backward => to = key,
            }
        }
        if last {
            break;
        }
    }
    Ok(entries)
}

fn entry(group: &GroupId, key: &[u8], value: Bytes) -> Result<(u64, SealedEntry), StoreError> {
    let (_, seq) =
        keys::log::parse(key).map_err(|error| error.of_group(group, "an entry's key"))?;
    let entry = decode_value(value).map_err(|error| error.of_entry(group, seq))?;
    Ok((seq, entry))
}

/// One entry.
///
/// # Errors
/// When the store fails or the entry cannot be read.
pub fn read_entry(
    read: &(impl Read + ?Sized),
    group: &GroupId,
    seq: u64,
) -> Result<Option<SealedEntry>, StoreError> {
    read.get(Table::Log, &keys::log::key(group, seq))?
        .map(|value| decode_value(value).map_err(|error| error.of_entry(group, seq)))
        .transpose()
}

/// The head of a group.
///
/// # Errors
/// When the store fails or the head cannot be read.
pub fn read_head(read: &(impl Read + ?Sized), group: &GroupId) -> Result<Option<Head>, StoreError> {
    read.get(Table::Heads, &keys::heads::key(group))?
        .map(|value| decode_value(value).map_err(|error| error.of_group(group, "the head")))
        .transpose()
}

/// All that a node holds: places with their heads, in order of key, from the
/// one after `after` on (`None`: from the first), at most `limit`.
///
/// # Errors
/// When the store fails or a head cannot be read.
pub fn read_heads(
    read: &(impl Read + ?Sized),
    after: Option<&Place>,
    limit: usize,
) -> Result<Vec<(Place, Head)>, StoreError> {
    let from = after.map_or_else(Bytes::new, |place| keys::successor(&place.key()));
    let pairs = read.scan(
        Table::Heads,
        &from,
        keys::TABLE_END,
        limit,
        Direction::Forward,
    )?;
    let head = |(key, value): Pair| {
        let (place, _) = Place::split(&key)?;
        let head = decode_value(value).map_err(|error| error.of_group(&place.group, "the head"))?;
        Ok((place, head))
    };
    pairs.into_iter().map(head).collect()
}

/// Every copy of a group that a node holds, whichever shards keep it.
///
/// # Errors
/// When the store fails or a head cannot be read.
pub fn copies_of(
    read: &(impl Read + ?Sized),
    group: &GroupId,
) -> Result<Vec<(Place, Head)>, StoreError> {
    let mut found = Vec::new();
    let mut from = Bytes::new();
    // Keys begin with the region of the shard.
    while let Some((key, _)) = read
        .scan(Table::Heads, &from, keys::TABLE_END, 1, Direction::Forward)?
        .pop()
    {
        let Some(&[a, b]) = key.first_chunk::<2>() else {
            break;
        };
        let region = RegionId(u16::from_be_bytes([a, b]));
        if let Some(head) = read_head(&Seat::new(read, region), group)? {
            let group = *group;
            found.push((Place { region, group }, head));
        }
        match region.0.checked_add(1) {
            Some(next) => from = Bytes::copy_from_slice(&next.to_be_bytes()),
            None => break,
        }
    }
    Ok(found)
}

/// Groups with their heads in `[from, to)`: a shard's range, say
/// ([`keys::slots`]).
///
/// # Errors
/// When the store fails or a head cannot be read.
pub fn heads_in(
    read: &(impl Read + ?Sized),
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<(GroupId, Head)>, StoreError> {
    read.scan(Table::Heads, from, to, limit, Direction::Forward)?
        .into_iter()
        .map(|(key, value)| {
            let group = keys::heads::parse(&key)?;
            let head = decode_value(value).map_err(|error| error.of_group(&group, "the head"))?;
            Ok((group, head))
        })
        .collect()
}

/// One row. Its `key` is set from where it lies, whatever was stored.
///
/// # Errors
/// When the store fails or the row cannot be read.
pub fn read_row(
    read: &(impl Read + ?Sized),
    group: &GroupId,
    row: &RowKey,
) -> Result<Option<Row>, StoreError> {
    let key = keys::rows::key(group, row);
    read.get(Table::Rows, &key)?
        .map(|value| decode_row(group, (key, value)).map(|(_, row)| row))
        .transpose()
}

/// The rows of a group whose row key begins with `prefix` (empty: all), from
/// the one after `after` on (empty: from the first), at most `limit`.
///
/// # Errors
/// When the store fails or a row cannot be read.
pub fn read_rows(
    read: &(impl Read + ?Sized),
    group: &GroupId,
    prefix: &[u8],
    after: &[u8],
    limit: usize,
) -> Result<Vec<(RowKey, Row)>, StoreError> {
    let (mut from, to) = keys::rows::prefix_range(group, prefix);
    if !after.is_empty() {
        let next = keys::successor(&[group.as_bytes(), after].concat());
        from = from.max(next);
    }
    read.scan(Table::Rows, &from, &to, limit, Direction::Forward)?
        .into_iter()
        .map(|pair| decode_row(group, pair))
        .collect()
}

/// The rows of a group of one kind, in pages as [`read_rows`].
///
/// # Errors
/// When the store fails or a row cannot be read.
pub fn read_rows_of(
    read: &(impl Read + ?Sized),
    group: &GroupId,
    kind: RowKind,
    after: &[u8],
    limit: usize,
) -> Result<Vec<(RowKey, Row)>, StoreError> {
    read_rows(read, group, &[kind as u8], after, limit)
}

fn decode_row(group: &GroupId, (key, value): Pair) -> Result<(RowKey, Row), StoreError> {
    let (_, row_key) =
        keys::rows::parse(&key).map_err(|error| error.of_group(group, "a row's key"))?;
    let mut row: Row =
        decode_value(value).map_err(|error| error.of_group(group, format!("row {row_key:?}")))?;
    row.key = row_key.to_bytes();
    Ok((row_key, row))
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
