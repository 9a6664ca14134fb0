//! Members by role and by nick, and how many there are of each role: kept up to
//! date by every write of a member's row. A group may have a million of them,
//! so nobody looks for them by reading all.

mod build;
mod check;
mod find;
mod pass;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use folkmoot_wire::UserId;
use folkmoot_wire::proto::{MemberStatus, Row, row};
use folkmoot_wire::row::RowKey;
use parking_lot::Mutex;

use crate::{Batch, Layer, Op, Place, Read, Store, StoreError, Table, keys, value};

pub use check::check_index;
pub use find::{Sorted, member_counts, members};

/// Roles, by their numbers.
pub const ROLES: usize = 5;

/// A store that writes the table Index with the table Rows. All rows have to be
/// written through it.
pub struct Indexed {
    store: Arc<dyn Store>,
    /// What a row was is read before the next write, and counts are too.
    turn: Mutex<()>,
}

impl Indexed {
    /// The store, with an index of what is in it: made now if there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub fn over(store: Arc<dyn Store>) -> Result<Arc<dyn Store>, StoreError> {
        build::missing(&*store)?;
        Ok(Arc::new(Self {
            store,
            turn: Mutex::new(()),
        }))
    }
}

impl Layer for Indexed {
    fn below(&self) -> &dyn Read {
        &*self.store
    }
}

impl Store for Indexed {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        if !batch.iter().any(may_change_a_member) {
            return self.store.write(batch);
        }
        let _turn = self.turn.lock();
        let batch = pass::with_index(&*self.store, batch)?;
        self.store.write(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.store.sync()
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        self.store.snapshot()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.store.close()
    }

    fn approximate_bytes(&self) -> u64 {
        self.store.approximate_bytes()
    }
}

fn may_change_a_member(op: &Op) -> bool {
    match op {
        Op::Put { table, key, .. } | Op::Delete { table, key } => {
            *table == Table::Rows && member_of(key).is_some()
        }
        Op::DeleteRange { table, .. } => *table == Table::Rows,
    }
}

/// Where the group of a member's row lies, and the member.
fn member_of(key: &[u8]) -> Option<(&[u8], UserId)> {
    let (_, rest) = Place::split(key).ok()?;
    let place = &key[..key.len() - rest.len()];
    match RowKey::from_slice(rest) {
        Ok(RowKey::Member(user)) => Some((place, user)),
        _ => None,
    }
}

/// What a member is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    role: u8,
    /// Folded.
    nick: String,
}

impl Entry {
    /// Of a row; none of one who is no member.
    fn of(row: &Row) -> Option<Self> {
        let Some(row::Value::Member(member)) = &row.value else {
            return None;
        };
        let authority = member.authority.as_ref()?;
        if authority.status() != MemberStatus::Member {
            return None;
        }
        let role = u8::try_from(authority.role).ok()?;
        let nick = member.self_.as_ref().map_or("", |own| &own.nick);
        (usize::from(role) < ROLES).then(|| Self {
            role,
            nick: keys::index::fold(nick),
        })
    }

    /// Of a stored row. What cannot be read is no member here: whoever reads the
    /// row itself says what is wrong with it.
    fn stored(bytes: &bytes::Bytes) -> Option<Self> {
        Self::of(&value::decode_value(bytes.clone()).ok()?)
    }
}
