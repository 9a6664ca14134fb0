//! The suite that every [`Store`] passes: one function per promise of the
//! port, and [`conformance_tests!`](crate::conformance_tests) to make them
//! tests of an implementation. They panic where a promise is broken.

mod basics;
mod durability;
mod sharing;

use std::sync::Arc;

use bytes::Bytes;

use crate::{Batch, Direction, Read, Store, Table};

pub use basics::{
    changes_of_a_batch_are_ordered, large_values, many_are_read_at_once, ranges_are_deleted,
    reads_of_an_empty_store, scans_keep_their_bounds, size_is_told, tables_are_separate,
};
pub use durability::{
    acknowledged_commits_survive_a_crash, closed_is_closed, data_survives_closing,
    what_survives_a_crash_is_a_prefix,
};
pub use sharing::{batches_are_atomic, snapshots_do_not_change, writers_do_not_disturb_each_other};

/// How the suite opens, reopens and crashes an implementation's stores.
pub trait Harness {
    /// A new, empty store.
    fn open(&mut self) -> Arc<dyn Store>;
    /// Opens the data of `store`, which is closed, again.
    fn reopen(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store>;
    /// The machine that `store` runs on dies; opens what survived.
    fn crash(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store>;
}

/// Makes a test of each function of the suite; the argument gives a new
/// [`Harness`].
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests!(@each $harness;
            reads_of_an_empty_store
            tables_are_separate
            many_are_read_at_once
            changes_of_a_batch_are_ordered
            scans_keep_their_bounds
            ranges_are_deleted
            large_values
            size_is_told
            batches_are_atomic
            snapshots_do_not_change
            writers_do_not_disturb_each_other
            data_survives_closing
            what_survives_a_crash_is_a_prefix
            acknowledged_commits_survive_a_crash
            closed_is_closed
        );
    };
    (@each $harness:expr; $($name:ident)+) => {
        $(#[test]
        fn $name() {
            $crate::conformance::$name(&mut $harness);
        })+
    };
}

fn put(table: Table, key: &'static str, value: &'static str) -> Batch {
    let mut batch = Batch::new();
    batch.put(table, key, value);
    batch
}

fn get(read: &dyn Read, table: Table, key: &str) -> Option<Bytes> {
    read.get(table, key.as_bytes()).expect("get")
}

fn scan(
    read: &dyn Read,
    table: Table,
    range: (&str, &str),
    limit: usize,
    direction: Direction,
) -> Vec<String> {
    let (from, to) = (range.0.as_bytes(), range.1.as_bytes());
    read.scan(table, from, to, limit, direction)
        .expect("scan")
        .into_iter()
        .map(|(key, _)| String::from_utf8(key.to_vec()).expect("the suite's keys are text"))
        .collect()
}

fn number(read: &dyn Read, table: Table, key: &[u8]) -> u64 {
    read.get(table, key).expect("get").map_or(0, |v| {
        u64::from_be_bytes(v.as_ref().try_into().expect("8 bytes"))
    })
}
