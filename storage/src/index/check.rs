//! Whether an index is what the rows say.

use bytes::Bytes;

use super::pass::{Counts, read_counts};
use super::tally::Tally;
use super::{Entry, gone, member_of, mentions, tally};
use crate::{Direction, Place, Read, StoreError, Table, keys};

/// Keys read at once.
const PAGE: usize = 1_024;

/// Compares what is worked out in a store with its rows and entries: the number
/// of members, or in which place it says something else.
///
/// # Errors
/// When the store fails.
pub fn check_index(read: &dyn Read) -> Result<Result<u64, String>, StoreError> {
    let (mut place, mut counts) = (Bytes::new(), Counts::default());
    let (mut members, mut tallies) = (0, 0);
    let mut wrong = None;
    each(read, Table::Rows, |key, value| {
        let (Some((at, user)), Some(entry)) = (member_of(key), Entry::stored(value)) else {
            return Ok(());
        };
        if place != at {
            wrong = wrong.take().or(miscounted(read, &place, &counts)?);
            wrong = wrong.take().or(mistallied(read, &place, &mut tallies)?);
            (place, counts) = (Bytes::copy_from_slice(at), Counts::default());
        }
        counts[usize::from(entry.role)] += 1;
        members += 1;
        let role = keys::index::by_role(at, entry.role, &user);
        let nick = keys::index::by_nick(at, &entry.nick, &user);
        for key in [role, nick] {
            if read.get(Table::Index, &key)?.is_none() {
                wrong.get_or_insert_with(|| format!("{user} is not found as {entry:?}"));
            }
        }
        Ok(())
    })?;
    wrong = wrong.or(miscounted(read, &place, &counts)?);
    wrong = wrong.or(mistallied(read, &place, &mut tallies)?);
    let (mut entries, mut others) = (0, 0);
    each(read, Table::Index, |key, value| {
        entries += u64::from(value.is_empty());
        let (_, rest) = Place::split(key)?;
        others += u64::from(keys::index::is_tally(rest));
        Ok(())
    })?;
    if wrong.is_none() && others != tallies {
        wrong = Some(format!("{others} counts of cursors, {tallies} by the rows"));
    }
    if wrong.is_none() && entries != 2 * members {
        wrong = Some(format!("{entries} entries for {members} members"));
    }
    if wrong.is_none() {
        wrong = mentions::check(read)?;
    }
    if wrong.is_none() {
        wrong = gone::check(read)?;
    }
    Ok(wrong.map_or(Ok(members), Err))
}

fn miscounted(
    read: &dyn Read,
    place: &Bytes,
    counts: &Counts,
) -> Result<Option<String>, StoreError> {
    if place.is_empty() {
        return Ok(None);
    }
    let stored = read_counts(read, place)?;
    Ok((stored != *counts)
        .then(|| format!("{place:02x?} has {counts:?} members by role, the index says {stored:?}")))
}

/// As [`miscounted`], of cursors. Adds how many keys they take.
fn mistallied(
    read: &dyn Read,
    place: &Bytes,
    keys: &mut u64,
) -> Result<Option<String>, StoreError> {
    if place.is_empty() || !tally::is_counted(read, place)? {
        return Ok(None);
    }
    let (stored, wanted) = (
        Tally::all(read, place)?,
        Tally::of_rows(read, place)?.trimmed(),
    );
    *keys += stored.keys();
    Ok((stored != wanted)
        .then(|| format!("{place:02x?} has cursors {wanted:?}, the index says {stored:?}")))
}

pub(super) fn each(
    read: &dyn Read,
    table: Table,
    mut visit: impl FnMut(&Bytes, &Bytes) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut from = Bytes::new();
    loop {
        let page = read.scan(table, &from, keys::TABLE_END, PAGE, Direction::Forward)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        from = keys::successor(last);
        for (key, value) in &page {
            visit(key, value)?;
        }
    }
}
