//! Who has read an entry, and who has not.

use bytes::Bytes;
use folkmoot_wire::UserId;
use folkmoot_wire::proto::{MemberAuthority, MemberStatus, Row, row};
use folkmoot_wire::row::{RowKey, RowKind};

use super::tally;
use crate::{Direction, Place, Read, StoreError, Table, keys, value};

/// Whom to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadersOf {
    pub seq: u64,
    /// Those who have not read it, and may see it.
    pub unread: bool,
}

impl ReadersOf {
    fn has(&self, authority: &MemberAuthority, cursor: u64) -> bool {
        // A cursor that was put behind it at the join says nothing.
        let read = cursor >= self.seq && authority.cursor_base < self.seq;
        let may_see = authority.visible_from <= self.seq;
        authority.status() == MemberStatus::Member && may_see && read != self.unread
    }
}

/// How many people have read each of the seqs: those whose cursors are there or
/// behind it, and were not put there when they came.
///
/// # Errors
/// When the store fails.
pub fn readers(read: &dyn Read, place: &Place, seqs: &[u64]) -> Result<Vec<u64>, StoreError> {
    tally::readers(read, &place.key(), seqs)
}

/// Looks at `limit` members behind a user: the rows of those who are wanted,
/// and whom the next page begins behind; empty: this was the last.
///
/// # Errors
/// When the store fails.
pub fn find_readers(
    read: &dyn Read,
    place: &Place,
    wanted: ReadersOf,
    after: Option<UserId>,
    limit: usize,
) -> Result<(Vec<Row>, Bytes), StoreError> {
    let group = &place.group;
    let (mut from, to) = keys::rows::kind_range(group, RowKind::Member);
    if let Some(user) = after {
        from = keys::successor(&keys::rows::key(group, &RowKey::Member(user)));
    }
    let seat = place.seat(read);
    let page = seat.scan(Table::Rows, &from, &to, limit, Direction::Forward)?;
    let (mut rows, mut last) = (Vec::new(), None);
    let full = page.len() == limit;
    for (key, stored) in page {
        let Ok((_, RowKey::Member(user))) = keys::rows::parse(&key) else {
            continue;
        };
        last = Some(user);
        let row: Row = value::decode_value(stored)?;
        let Some(row::Value::Member(member)) = &row.value else {
            continue;
        };
        let cursor = keys::rows::key(group, &RowKey::Cursor(user));
        let cursor = match seat.get(Table::Rows, &cursor)? {
            Some(stored) => value::decode_value::<Row>(stored)?.value,
            None => None,
        };
        let cursor = match cursor {
            Some(row::Value::Cursor(cursor)) => cursor.seq,
            _ => 0,
        };
        let authority = member.authority.unwrap_or_default();
        if wanted.has(&authority, cursor) {
            rows.push(row);
        }
    }
    let next = last.filter(|_| full).map(|user| user.to_bytes());
    Ok((rows, next.unwrap_or_default()))
}
