//! Questions and answers that lie: nothing panics, nothing is taken that was
//! not asked for, work and memory stay bounded, and every session ends.

use bytes::Bytes;
use folkmoot_wire::limits;
use folkmoot_wire::proto::{ListedRows, ReconcileRows, Row, RowDiff, RowList, RowSpan};
use proptest::prelude::*;

use super::world::{Holder, SMALL, cursor, run};
use crate::reconcile::{Session, answer};

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        Just(Bytes::new()),
        (0..50u32).prop_map(|n| cursor(n, 1).key),
        proptest::collection::vec(any::<u8>(), 0..80).prop_map(Bytes::from),
    ]
}

fn span() -> impl Strategy<Value = RowSpan> {
    let honest = proptest::collection::vec((0..50u32, any::<u32>()), 0..6).prop_map(|mut ends| {
        ends.sort_by_key(|(n, _)| cursor(*n, 1).key);
        let mut span = crate::reconcile::span::Span::new(&Bytes::new());
        for (n, sum) in ends {
            span.push(&cursor(n, 1).key, sum);
        }
        span.done()
    });
    let junk = (
        key(),
        proptest::collection::vec(any::<u8>(), 0..60),
        proptest::collection::vec(any::<u32>(), 0..9),
    )
        .prop_map(|(from, ends, sums)| RowSpan {
            from,
            ends: ends.into(),
            sums,
        });
    prop_oneof![honest, junk]
}

fn spans() -> impl Strategy<Value = Vec<RowSpan>> {
    proptest::collection::vec(span(), 0..5)
}

fn question() -> impl Strategy<Value = ReconcileRows> {
    let list = (key(), key(), proptest::collection::vec(any::<u32>(), 0..5))
        .prop_map(|(from, to, prints)| RowList { from, to, prints });
    let lists = proptest::collection::vec(list, 0..5);
    (any::<u32>(), spans(), lists).prop_map(|(word, spans, lists)| ReconcileRows {
        word,
        spans,
        lists,
        ..ReconcileRows::default()
    })
}

fn reply() -> impl Strategy<Value = RowDiff> {
    let row = (0..60u32, 0..4u64, any::<bool>()).prop_map(|(n, seq, keyless)| match keyless {
        true => Row::default(),
        false => cursor(n, seq),
    });
    let listed = (
        proptest::collection::vec(row, 0..5),
        proptest::collection::vec(0..9u32, 0..5),
        key(),
    )
        .prop_map(|(rows, missing, upto)| ListedRows {
            rows,
            missing,
            upto,
        });
    let listed = proptest::collection::vec(listed, 0..9);
    (0..20u32, spans(), listed).prop_map(|(compared, spans, listed)| RowDiff {
        compared,
        spans,
        listed,
        ..RowDiff::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_question_is_answered_with_rows_that_are_there(asked in question(), rows in 0..50u32) {
        let holder = Holder::new((0..rows).map(|n| cursor(n, 1)));
        let diff = holder.fresh(|sums| answer(sums, &SMALL, &asked, None)).expect("answers");
        let held = holder.rows();
        for (listed, list) in diff.listed.iter().zip(&asked.lists) {
            for row in &listed.rows {
                prop_assert_eq!(held.get(&row.key), Some(row));
                prop_assert!(row.key >= list.from && (list.to.is_empty() || row.key < list.to));
            }
            prop_assert!(listed.missing.iter().all(|place| (*place as usize) < list.prints.len()));
        }
    }

    #[test]
    fn lies_end_and_do_no_harm(
        lies in proptest::collection::vec(reply(), 1..20), rows in 0..50u32,
    ) {
        let holder = Holder::new((0..rows).map(|n| cursor(n, 1)));
        let mut session = Session::new(SMALL, 0);
        let mut lies = lies.into_iter();
        let mut asked = 0;
        while let Some(question) = holder.fresh(|sums| session.ask(sums)).expect("asks") {
            asked += 1;
            prop_assert!(asked < 2_000, "goes round in circles");
            let Some(lie) = lies.next() else { break };
            let found = holder.fresh(|sums| session.answered(sums, lie)).expect("takes it");
            let listed = |key: &Bytes| question.lists.iter().any(|list| {
                *key >= list.from && (list.to.is_empty() || *key < list.to)
            });
            prop_assert!(found.theirs.iter().all(|row| listed(&row.key)));
            prop_assert!(found.ours.iter().all(listed));
        }
        // Whatever was said: an honest one is believed afterwards.
        let honest = Holder::new((0..40).map(|n| cursor(n, 2)));
        let ran = run(&holder, &honest, SMALL, 1);
        prop_assert_eq!(ran.theirs.len(), 40);
    }
}

/// An answerer that claims that everything differs, always.
#[test]
fn an_answerer_that_never_agrees_is_done_with() {
    let holder = Holder::new((0..2_000).map(|n| cursor(n, 1)));
    let mut session = Session::new(SMALL, 0);
    let mut trips = 0;
    while let Some(asked) = holder.fresh(|sums| session.ask(sums)).expect("asks") {
        let mut spans = Vec::new();
        for span in &asked.spans {
            let sums = span.sums.iter().map(|sum| !sum).collect();
            spans.push(RowSpan {
                sums,
                ..span.clone()
            });
        }
        let compared = asked.spans.iter().map(|span| span.sums.len() as u32).sum();
        let listed = vec![ListedRows::default(); asked.lists.len()];
        let diff = RowDiff {
            compared,
            spans,
            listed,
            ..RowDiff::default()
        };
        holder
            .fresh(|sums| session.answered(sums, diff))
            .expect("takes it");
        trips += 1;
        assert!(trips < 50, "goes round in circles");
    }
    assert!(session.is_done());
}

/// More differences than a session keeps in mind are left to the next one.
#[test]
fn what_is_pending_is_bounded() {
    let wide = crate::reconcile::Shape {
        first: 40_000,
        parts: 40_000,
        leaf: 1,
    };
    let rows = limits::RECONCILE_PENDING as u32 + 20_000;
    let holder = Holder::new((0..rows).map(|n| cursor(n, 1)));
    let other = Holder::new((0..rows).map(|n| cursor(n, 2)));
    let mut session = Session::new(wide, 0);
    let asked = holder
        .fresh(|s| session.ask(s))
        .expect("asks")
        .expect("a question");
    // It answers nothing of what was asked but that each row differs.
    let mut diff = other
        .fresh(|s| answer(s, &wide, &asked, None))
        .expect("answers");
    assert!(diff.spans.iter().map(|span| span.sums.len()).sum::<usize>() <= 2 * 40_000);
    diff.compared = u32::MAX;
    holder
        .fresh(|s| session.answered(s, diff))
        .expect("takes it");
    let again = holder
        .fresh(|s| session.ask(s))
        .expect("asks")
        .expect("a question");
    assert!(again.spans.len() + again.lists.len() <= limits::RECONCILE_RANGES);
}

/// Nothing in an answer is not an answer.
#[test]
fn an_empty_answer_is_a_stall_and_is_asked_again() {
    let holder = Holder::new((0..100).map(|n| cursor(n, 1)));
    let mut session = Session::new(SMALL, 0);
    let first = holder
        .fresh(|s| session.ask(s))
        .expect("asks")
        .expect("a question");
    let found = holder
        .fresh(|s| session.answered(s, RowDiff::default()))
        .expect("takes it");
    assert!(found.stalled && !session.is_done());
    let again = holder
        .fresh(|s| session.ask(s))
        .expect("asks")
        .expect("a question");
    assert_eq!(first.spans[0].from, again.spans[0].from);
}
