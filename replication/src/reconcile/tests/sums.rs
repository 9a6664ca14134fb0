//! Summaries stay those of the rows, whatever is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_storage::{Batch, MemStore, Place, Read, Seat, Table, keys, value};
use folkmoot_wire::RegionId;
use folkmoot_wire::proto::Row;
use folkmoot_wire::row::RowKey;
use proptest::prelude::*;

use super::world::{Holder, cursor};
use crate::reconcile::{Range, RowSums};
use crate::rows::fingerprint;
use crate::testing::{DIGEST_KEY, group};

fn digest(rows: &BTreeMap<Bytes, Row>, range: &Range) -> RowSetDigest {
    let prints: Vec<_> = rows
        .iter()
        .filter(|(key, _)| range.holds(key))
        .map(|(_, row)| fingerprint(&DIGEST_KEY, &group(1), row).expect("a print"))
        .collect();
    prints.iter().collect()
}

fn range() -> impl Strategy<Value = Range> {
    let key = prop_oneof![
        Just(Bytes::new()),
        (0..900u32).prop_map(|n| cursor(n, 1).key),
        (0..900u32, 0..17usize).prop_map(|(n, len)| cursor(n, 1).key.slice(..len)),
    ];
    (key.clone(), key).prop_map(|(from, to)| Range { from, to })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_summary_is_that_of_the_rows(
        first in 0..900u32,
        changes in proptest::collection::vec((0..900u32, 0..3u64), 0..60),
        ranges in proptest::collection::vec((range(), 1..20usize), 1..8),
        cleared in any::<bool>(),
    ) {
        let holder = Holder::new((0..first).map(|n| cursor(n, 1)));
        holder.fresh(|_| {});
        for chunk in changes.chunks(7) {
            for (n, seq) in chunk {
                match seq {
                    0 => holder.delete(&cursor(*n, 1).key),
                    seq => holder.put([cursor(*n, *seq)]),
                }
            }
            holder.fresh(|_| {});
        }
        if cleared {
            let mut batch = Batch::new();
            let (from, to) = keys::rows::group_range(&group(1));
            batch.delete_range(Table::Rows, from, to);
            holder.store.write(batch).expect("writes");
            holder.put((0..first / 2).map(|n| cursor(n, 2)));
        }
        let rows = holder.rows();
        prop_assert_eq!(holder.fresh(|sums| sums.total()), holder.digest());
        for (range, parts) in ranges.into_iter().filter(|(range, _)| range.is_sound()) {
            let sum = holder.fresh(|sums| sums.sum(&range)).expect("sums");
            prop_assert_eq!(sum, digest(&rows, &range));
            let split = holder.fresh(|sums| sums.split(&range, parts)).expect("splits");
            prop_assert!(!split.is_empty() && split.len() <= parts);
            prop_assert!(split.len() > 1 || parts == 1 || sum.count < 2);
            let mut from = range.from.clone();
            for part in &split {
                let piece = Range { from, to: part.end.clone() };
                prop_assert!(piece.is_sound());
                prop_assert_eq!(part.digest, digest(&rows, &piece));
                from = part.end.clone();
            }
            prop_assert_eq!(from, range.to);
        }
    }
}

/// A write that nobody is told of shows why writes are told: without it the
/// summary is of what was.
#[test]
fn only_what_was_written_is_read_again() {
    let holder = Holder::new((0..10_000).map(|n| cursor(n, 1)));
    holder.fresh(|_| {});
    let before = holder.fresh(|sums| sums.reads());
    assert!(before < 25_000, "{before}");
    let blocks = holder.fresh(|sums| sums.blocks());
    assert!((30..200).contains(&blocks), "{blocks}");
    holder.put([cursor(5, 2)]);
    holder.fresh(|_| {});
    let after = holder.fresh(|sums| sums.reads());
    assert!((1..=256).contains(&(after - before)), "{}", after - before);
}

/// A group that is kept as a guest has rows of its own, and a summary.
#[test]
fn a_guests_rows_are_summed_apart_from_those_at_its_birthplace() {
    let (store, sums) = RowSums::over(Arc::new(MemStore::new()), DIGEST_KEY);
    let group = group(1);
    let guest = Place {
        region: RegionId(group.region().0 + 1),
        group,
    };
    let count = |place: &Place| {
        sums.with(place, |sums| {
            while !sums.refresh(usize::MAX).expect("reads") {}
            sums.total().count
        })
    };
    assert_eq!((count(&Place::of_birth(group)), count(&guest)), (0, 0));
    for n in 0..3 {
        let row = cursor(n, 1);
        let key = RowKey::from_slice(&row.key).expect("a key");
        let mut batch = Batch::new();
        batch.put(
            Table::Rows,
            keys::rows::key(&group, &key),
            value::encode_value(&row),
        );
        let seat = Seat::new(&*store as &dyn Read, guest.region);
        store.write(seat.batch(batch)).expect("writes");
        let counts = (count(&Place::of_birth(group)), count(&guest));
        assert_eq!(counts, (0, u64::from(n) + 1));
    }
}
