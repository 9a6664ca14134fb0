//! What is worked out, of a store that has none of it.

use bytes::Bytes;
use folkmoot_wire::row::RowKey;

use super::gone::{may_be, says_gone};
use super::mentions::Mentions;
use super::pass::{Counts, put_counts, put_entry};
use super::tally::{self, Tally};
use super::{Entry, place_of};
use crate::{Batch, Direction, Pair, Store, StoreError, Table, keys};

/// Rows read and entries written at once.
const PAGE: usize = 1_024;
/// What an index is like. Another number: it is made anew.
const VERSION: &[u8] = &[4];

/// Makes the index, unless it is there. One that was not finished is begun
/// anew.
pub(super) fn missing(store: &dyn Store, small: u64) -> Result<(), StoreError> {
    let marked = store.get(Table::Node, keys::node::INDEXED)?;
    if marked.as_deref() == Some(VERSION) {
        return Ok(());
    }
    let mut batch = Batch::new();
    for table in Table::ALL.into_iter().filter(|table| table.is_derived()) {
        batch.delete_range(table, Bytes::new(), keys::TABLE_END);
    }
    let mut building = Building {
        batch,
        place: Bytes::new(),
        counts: Counts::default(),
        tally: Tally::default(),
        small,
        members: 0,
    };
    pages(store, Table::Rows, |rows| {
        for (key, value) in rows {
            building.row(key, value);
        }
        Ok(std::mem::take(&mut building.batch))
    })?;
    building.end_place();
    store.write(std::mem::take(&mut building.batch))?;
    let entries = pages(store, Table::Log, |entries| mentions_of(store, entries))?;
    building
        .batch
        .put(Table::Node, keys::node::INDEXED, VERSION);
    store.write(building.batch)?;
    if building.members > 0 {
        let members = building.members;
        tracing::info!(members, entries, "made the index of members and mentions");
    }
    Ok(())
}

/// Writes what follows from each page of a table. How much is in it.
fn pages(
    store: &dyn Store,
    table: Table,
    mut follows: impl FnMut(&[Pair]) -> Result<Batch, StoreError>,
) -> Result<usize, StoreError> {
    let (mut from, mut read) = (Bytes::new(), 0);
    loop {
        let page = store.scan(table, &from, keys::TABLE_END, PAGE, Direction::Forward)?;
        let Some((last, _)) = page.last() else {
            return Ok(read);
        };
        from = keys::successor(last);
        read += page.len();
        store.write(follows(&page)?)?;
    }
}

fn mentions_of(store: &dyn Store, entries: &[Pair]) -> Result<Batch, StoreError> {
    let mut mentions = Mentions::over(store);
    for (key, stored) in entries {
        mentions.put(key, stored)?;
    }
    let mut batch = Batch::new();
    mentions.finish(&mut batch);
    Ok(batch)
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
        if may_be(key) && says_gone(value) {
            let key = Bytes::copy_from_slice(key);
            self.batch.put(Table::Gone, key, Bytes::new());
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
