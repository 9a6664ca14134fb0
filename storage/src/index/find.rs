//! What is read of the index.

use bytes::Bytes;
use folkmoot_wire::proto::Row;
use folkmoot_wire::row::RowKey;

use super::pass::{Counts, read_counts};
use super::{Entry, ROLES};
use crate::{Direction, Place, Read, StoreError, Table, keys, value};

/// Which members, and in what order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sorted {
    /// Those of a role, by user.
    Role(u8),
    /// Those whose nick begins so, by nick; upper and lower case are the same.
    Nick(String),
}

impl Sorted {
    fn range(&self, place: &[u8]) -> (Bytes, Bytes) {
        match self {
            Self::Role(role) => keys::index::role_range(place, *role),
            Self::Nick(prefix) => keys::index::nick_range(place, &keys::index::fold(prefix)),
        }
    }

    /// Whether the row is still what the index says: a copy may have been
    /// damaged on its disk since.
    fn has(&self, row: &Row) -> bool {
        let Some(entry) = Entry::of(row) else {
            return false;
        };
        match self {
            Self::Role(role) => entry.role == *role,
            Self::Nick(prefix) => entry.nick.starts_with(&keys::index::fold(prefix)),
        }
    }
}

/// A page of members' rows, and where the next one begins; empty: this was the
/// last. `after`: where the page before said.
///
/// # Errors
/// When the store fails.
pub fn members(
    read: &dyn Read,
    place: &Place,
    sorted: &Sorted,
    after: &[u8],
    limit: usize,
) -> Result<(Vec<Row>, Bytes), StoreError> {
    let at = place.key();
    let (mut from, to) = sorted.range(&at);
    if !after.is_empty() {
        let behind = [&at[..], after].concat();
        from = from.max(keys::successor(&behind));
    }
    let found = read.scan(Table::Index, &from, &to, limit, Direction::Forward)?;
    let next = match found.last() {
        Some((key, _)) if found.len() == limit => key.slice(at.len()..),
        _ => Bytes::new(),
    };
    let seat = place.seat(read);
    let mut rows = Vec::with_capacity(found.len());
    for (key, _) in &found {
        let Some(user) = keys::index::user_of(key) else {
            continue;
        };
        let key = keys::rows::key(&place.group, &RowKey::Member(user));
        if let Some(stored) = seat.get(Table::Rows, &key)? {
            let row: Row = value::decode_value(stored)?;
            if sorted.has(&row) {
                rows.push(row);
            }
        }
    }
    Ok((rows, next))
}

/// How many members of each role a group has, by the roles' numbers.
///
/// # Errors
/// When the store fails.
pub fn member_counts(read: &dyn Read, place: &Place) -> Result<[u64; ROLES], StoreError> {
    let counts: Counts = read_counts(read, &place.key())?;
    Ok(counts)
}
