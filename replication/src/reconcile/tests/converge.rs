//! Exactly what differs is found, and merging it makes both sides equal.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use folkmoot_wire::proto::Row;
use proptest::prelude::*;

use super::world::{Holder, SMALL, cursor, run};
use crate::reconcile::{SHAPE, Shape};

fn rows(most: u32, seqs: u64) -> impl Strategy<Value = Vec<Row>> {
    proptest::collection::btree_map(0..most, 1..=seqs, 0..most as usize)
        .prop_map(|rows| rows.into_iter().map(|(n, seq)| cursor(n, seq)).collect())
}

fn by_key(rows: &[Row]) -> BTreeMap<Bytes, Row> {
    rows.iter()
        .map(|row| (row.key.clone(), row.clone()))
        .collect()
}

/// The rows of `of` that `other` does not have so.
fn other_than(of: &[Row], other: &[Row]) -> BTreeMap<Bytes, Row> {
    let other = by_key(other);
    by_key(of)
        .into_iter()
        .filter(|(key, row)| other.get(key) != Some(row))
        .collect()
}

fn shape() -> impl Strategy<Value = Shape> {
    (1..9usize, 2..9usize, 1..9usize).prop_map(|(first, parts, leaf)| Shape { first, parts, leaf })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_differs_is_found_and_nothing_else(
        ours in rows(120, 2), theirs in rows(120, 2), shape in shape(), word in 0..9u32,
    ) {
        let (a, b) = (Holder::new(ours.clone()), Holder::new(theirs.clone()));
        let ran = run(&a, &b, shape, word);
        prop_assert_eq!(by_key(&ran.theirs), other_than(&theirs, &ours));
        prop_assert_eq!(ran.theirs.len(), by_key(&ran.theirs).len(), "no row twice");
        let keys: BTreeSet<Bytes> = ran.ours.iter().cloned().collect();
        prop_assert_eq!(keys, other_than(&ours, &theirs).into_keys().collect::<BTreeSet<_>>());
    }

    #[test]
    fn merging_is_symmetric_and_idempotent(
        left in rows(80, 9), right in rows(80, 9), shape in shape(),
    ) {
        let mut outcomes = Vec::new();
        for left_first in [true, false] {
            let (a, b) = (Holder::new(left.clone()), Holder::new(right.clone()));
            let (x, y) = if left_first { (&a, &b) } else { (&b, &a) };
            x.merge(run(x, y, shape, 0).theirs);
            y.merge(run(y, x, shape, 1).theirs);
            prop_assert_eq!(x.digest(), y.digest());
            let quiet = run(x, y, shape, 2);
            prop_assert!(quiet.theirs.is_empty() && quiet.ours.is_empty());
            prop_assert_eq!(quiet.trips, 1, "equal sides need one message");
            outcomes.push(a.rows());
        }
        prop_assert_eq!(&outcomes[0], &outcomes[1]);
    }

    /// Rows come and go at both sides between messages: what was equal all the
    /// time is never taken for a difference, and a session afterwards finds all.
    #[test]
    fn changes_meanwhile_do_no_harm(
        ours in rows(60, 2), theirs in rows(60, 2),
        changes in proptest::collection::vec((any::<bool>(), 0..60u32, 0..4u64), 0..30),
    ) {
        let (a, b) = (Holder::new(ours), Holder::new(theirs));
        let mut session = crate::reconcile::Session::new(SMALL, 0);
        let mut changes = changes.into_iter();
        let mut trips = 0;
        while let Some(asked) = a.fresh(|sums| session.ask(sums)).expect("asks") {
            for (at_a, n, seq) in changes.by_ref().take(3) {
                let holder = if at_a { &a } else { &b };
                match seq {
                    0 => holder.delete(&cursor(n, 1).key),
                    seq => holder.put([cursor(n, seq)]),
                }
            }
            let diff = b.fresh(|s| crate::reconcile::answer(s, &SMALL, &asked, None)).expect("answers");
            a.fresh(|sums| session.answered(sums, diff)).expect("takes it");
            trips += 1;
            prop_assert!(trips < 1_000);
        }
        let ran = run(&a, &b, SMALL, 1);
        let (left, right) = (a.rows(), b.rows());
        let differ = |of: &BTreeMap<Bytes, Row>, other: &BTreeMap<Bytes, Row>| -> Vec<Row> {
            of.iter().filter(|(k, row)| other.get(*k) != Some(*row)).map(|(_, row)| row.clone()).collect()
        };
        prop_assert_eq!(by_key(&ran.theirs), by_key(&differ(&right, &left)));
    }
}

/// The cost is that of the difference: of 20,000 rows one costs a hundredth of
/// the rows, and what is read for it is a few blocks.
#[test]
fn one_difference_costs_little() {
    let rows: Vec<Row> = (0..20_000).map(|n| cursor(n, 5)).collect();
    let (a, b) = (Holder::new(rows.clone()), Holder::new(rows));
    a.fresh(|_| {});
    b.fresh(|_| {});
    b.put([cursor(7, 6)]);
    let before = (a.fresh(|s| s.reads()), b.fresh(|s| s.reads()));
    let ran = run(&a, &b, SHAPE, 0);
    assert_eq!(ran.theirs, [cursor(7, 6)]);
    assert_eq!(ran.ours.len(), 1);
    assert!(ran.trips <= 4, "{} trips", ran.trips);
    assert!(ran.bytes < 3_000, "{} bytes", ran.bytes);
    let reads = (a.fresh(|s| s.reads()) - before.0) + (b.fresh(|s| s.reads()) - before.1);
    assert!(reads < 5_000, "{reads} rows read");
}

/// All rows in pages, when there is no copy yet.
#[test]
fn a_first_copy_comes_in_bounded_answers() {
    let rows: Vec<Row> = (0..30_000).map(|n| cursor(n, u64::from(n) + 1)).collect();
    let (a, b) = (Holder::new([]), Holder::new(rows));
    let ran = run(&a, &b, SHAPE, 0);
    assert_eq!(ran.theirs.len(), 30_000);
    assert!(ran.trips > 2, "one answer cannot hold it");
    a.merge(ran.theirs);
    assert_eq!(a.digest(), b.digest());
}

/// The other side has nothing: each of our rows is named.
#[test]
fn what_only_we_have_is_named() {
    let rows: Vec<Row> = (0..5_000).map(|n| cursor(n, 1)).collect();
    let (a, b) = (Holder::new(rows.clone()), Holder::new([]));
    let ran = run(&a, &b, SHAPE, 0);
    assert!(ran.theirs.is_empty());
    let keys: BTreeSet<Bytes> = ran.ours.into_iter().collect();
    assert_eq!(keys, by_key(&rows).into_keys().collect::<BTreeSet<_>>());
}

/// What an answer had no room for is compared later, not taken to differ.
#[test]
fn what_was_not_compared_is_asked_as_it_was() {
    let rows: Vec<Row> = (0..3_000).map(|n| cursor(n, 1)).collect();
    let (a, b) = (Holder::new(rows.clone()), Holder::new(rows));
    b.put([cursor(7, 2)]);
    let mut session = crate::reconcile::Session::new(SMALL, 0);
    let asked = a
        .fresh(|s| session.ask(s))
        .expect("asks")
        .expect("a question");
    let mut diff = b
        .fresh(|s| crate::reconcile::answer(s, &SMALL, &asked, None))
        .expect("answers");
    (diff.compared, diff.spans) = (1, Vec::new());
    a.fresh(|s| session.answered(s, diff)).expect("takes it");
    let again = a
        .fresh(|s| session.ask(s))
        .expect("asks")
        .expect("a question");
    let sums: Vec<u32> = asked.spans.iter().flat_map(|s| s.sums.clone()).collect();
    let left: Vec<u32> = again.spans.iter().flat_map(|s| s.sums.clone()).collect();
    assert_eq!(left, sums[1..]);
}
