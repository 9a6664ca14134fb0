//! The index of a store that has none.

use bytes::Bytes;
use folkmoot_wire::row::RowKey;

use super::pass::{Counts, put_counts, put_entry};
use super::tally::{self, Tally};
use super::{Entry, place_of};
use crate::{Batch, Direction, Store, StoreError, Table, keys};

/// Rows read and entries written at once.
const PAGE: usize = 1_024;
/// What an index is like. Another number: it is made anew.
const VERSION: &[u8] = &[2];

/// Makes the index, unless it is there. One that was not finished is begun
/// anew.
pub(super) fn missing(store: &dyn Store, small: u64) -> Result<(), StoreError> {
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
        tally: Tally::default(),
        small,
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
    tally: Tally,
    small: u64,
    members: u64,
}

impl Building {
    fn row(&mut self, key: &[u8], value: &Bytes) {
        let Some((place, row)) = place_of(key) else {
            return;
        };
        if self.place != place {
            self.end_place();
            self.place = Bytes::copy_from_slice(place);
        }
        if tally::counts(key) {
            self.tally.stored(value, 1);
        }
        if let (RowKey::Member(user), Some(entry)) = (row, Entry::stored(value)) {
            put_entry(&mut self.batch, place, &user, &entry);
            self.counts[usize::from(entry.role)] += 1;
            self.members += 1;
        }
    }

    fn end_place(&mut self) {
        let (counts, tally) = (
            std::mem::take(&mut self.counts),
            std::mem::take(&mut self.tally),
        );
        let members: u64 = counts.iter().sum();
        if members > 0 {
            put_counts(&mut self.batch, &self.place, &counts);
        }
        if members > self.small {
            tally.put(&mut self.batch, &self.place);
        }
    }
}
