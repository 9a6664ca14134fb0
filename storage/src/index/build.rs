//! The index of a store that has none.

use bytes::Bytes;

use super::pass::{Counts, put_counts, put_entry};
use super::{Entry, member_of};
use crate::{Batch, Direction, Store, StoreError, Table, keys};

/// Rows read and entries written at once.
const PAGE: usize = 1_024;
/// What an index is like. Another number: it is made anew.
const VERSION: &[u8] = &[1];

/// Makes the index, unless it is there. One that was not finished is begun
/// anew.
pub(super) fn missing(store: &dyn Store) -> Result<(), StoreError> {
    let marked = store.get(Table::Node, keys::node::INDEXED)?;
    if marked.as_deref() == Some(VERSION) {
        return Ok(());
    }
    let mut batch = Batch::new();
    batch.delete_range(Table::Index, Bytes::new(), keys::TABLE_END);
    let mut building = Building {
        batch,
        place: Bytes::new(),
        counts: Counts::default(),
        members: 0,
    };
    let mut from = Bytes::new();
    loop {
        let rows = store.scan(
            Table::Rows,
            &from,
            keys::TABLE_END,
            PAGE,
            Direction::Forward,
        )?;
        let Some((last, _)) = rows.last() else {
            break;
        };
        from = keys::successor(last);
        for (key, value) in &rows {
            building.row(key, value);
        }
        store.write(std::mem::take(&mut building.batch))?;
    }
    building.end_place();
    building
        .batch
        .put(Table::Node, keys::node::INDEXED, VERSION);
    store.write(building.batch)?;
    if building.members > 0 {
        tracing::info!(members = building.members, "made the index of members");
    }
    Ok(())
}

struct Building {
    batch: Batch,
    /// The place whose members are counted.
    place: Bytes,
    counts: Counts,
    members: u64,
}

impl Building {
    fn row(&mut self, key: &[u8], value: &Bytes) {
        let Some((place, user)) = member_of(key) else {
            return;
        };
        let Some(entry) = Entry::stored(value) else {
            return;
        };
        if self.place != place {
            self.end_place();
            self.place = Bytes::copy_from_slice(place);
        }
        put_entry(&mut self.batch, place, &user, &entry);
        self.counts[usize::from(entry.role)] += 1;
        self.members += 1;
    }

    fn end_place(&mut self) {
        if !self.place.is_empty() {
            put_counts(&mut self.batch, &self.place, &self.counts);
        }
        self.counts = Counts::default();
    }
}
