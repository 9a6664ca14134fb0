//! Members by role and by nick, how many there are of each role, in large groups
//! how many people have read how far, who is mentioned, and which rows only say
//! that something is gone: kept up to date by every write of a row or an entry. A
//! group may have a million of either, so nobody looks for them by reading all.

mod build;
mod check;
mod cut;
mod find;
mod gone;
mod mentions;
mod pass;
mod readers;
mod sizes;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use folkmoot_wire::proto::{MemberStatus, Row, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{UserId, limits};
use parking_lot::RwLock;
use sizes::Sizes;

use crate::{Batch, Layer, Op, Place, Read, Store, StoreError, Table, keys, value};

pub use check::check_index;
pub use find::{Sorted, member_counts, members};
pub use gone::gone;
pub use mentions::mentions;
pub use readers::{ReadersOf, find_readers, readers};

/// Roles, by their numbers.
pub const ROLES: usize = 5;

/// A store that writes the tables Index and Gone with the table Rows, and
/// Mentions with Log. All rows and entries have to be written through it.
pub struct Indexed {
    store: Arc<dyn Store>,
    /// What a row was is read before the next write, and counts are too. Who
    /// passes by holds it with others.
    turn: RwLock<()>,
    /// Where cursors are counted.
    sizes: Sizes,
    /// In groups of more members than this.
    small: u64,
}

impl Indexed {
    /// The store, with an index of what is in it: made now if there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub fn over(store: Arc<dyn Store>) -> Result<Arc<dyn Store>, StoreError> {
        Self::with_small(store, limits::SMALL_GROUP.into())
    }

    /// The same, with another bound to what is a small group: in those, who asks
    /// how many have read reads the rows of all.
    ///
    /// # Errors
    /// When the store fails.
    pub fn with_small(store: Arc<dyn Store>, small: u64) -> Result<Arc<dyn Store>, StoreError> {
        build::missing(&*store, small)?;
        Ok(Arc::new(Self {
            store,
            turn: RwLock::new(()),
            sizes: Sizes::default(),
            small,
        }))
    }

    fn concerns(&self, batch: &Batch) -> Result<bool, StoreError> {
        for op in batch.iter() {
            if mentions::concern(op) {
                return Ok(true);
            }
            let (table, key) = match op {
                Op::Put { table, key, .. } | Op::Delete { table, key } => (table, key),
                Op::DeleteRange {
                    table: Table::Rows, ..
                } => return Ok(true),
                Op::DeleteRange { .. } => continue,
            };
            if *table != Table::Rows {
                continue;
            }
            let concerned = match place_of(key) {
                Some((_, RowKey::Member(_) | RowKey::Listed(_))) => true,
                Some((place, RowKey::Cursor(_))) => self.sizes.is_counted(&*self.store, place)?,
                _ => false,
            };
            if concerned {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Layer for Indexed {
    fn below(&self) -> &dyn Read {
        &*self.store
    }
}

impl Store for Indexed {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        {
            let _beside_others = self.turn.read();
            if !self.concerns(&batch)? {
                return self.store.write(batch);
            }
        }
        let _turn = self.turn.write();
        let (batch, crossed) = pass::with_index(&*self.store, batch, self.small)?;
        let written = self.store.write(batch);
        if crossed {
            self.sizes.forget();
        }
        written
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

/// Where the group of a row lies, and which row it is.
fn place_of(key: &[u8]) -> Option<(&[u8], RowKey)> {
    let (_, rest) = Place::split(key).ok()?;
    let place = &key[..key.len() - rest.len()];
    Some((place, RowKey::from_slice(rest).ok()?))
}

/// Where the group of a member's row lies, and the member.
fn member_of(key: &[u8]) -> Option<(&[u8], UserId)> {
    match place_of(key)? {
        (place, RowKey::Member(user)) => Some((place, user)),
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
