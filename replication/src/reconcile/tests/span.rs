//! Ranges travel whole, and nonsense is no ranges.

use bytes::Bytes;
use folkmoot_wire::proto::RowSpan;
use proptest::prelude::*;

use crate::reconcile::Range;
use crate::reconcile::span::{Span, ranges, rising};

fn key() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(0..4u8, 0..20).prop_map(Bytes::from)
}

proptest! {
    #[test]
    fn ranges_come_out_as_they_went_in(
        keys in proptest::collection::btree_set(key(), 1..20), open in any::<bool>(),
    ) {
        let mut keys: Vec<Bytes> = keys.into_iter().collect();
        let from = keys.remove(0);
        if open || keys.is_empty() {
            keys.push(Bytes::new());
        }
        let mut span = Span::new(&from);
        for (sum, key) in (0..).zip(&keys) {
            span.push(key, sum);
        }
        let out: Vec<_> = ranges(&span.done()).collect();
        let mut from = from;
        prop_assert_eq!(out.len(), keys.len());
        for (n, (range, sum)) in out.into_iter().enumerate() {
            prop_assert_eq!(sum as usize, n);
            prop_assert_eq!(&range, &Range { from, to: keys[n].clone() });
            from = range.to;
        }
    }

    #[test]
    fn whatever_comes_the_ranges_rise(
        spans in proptest::collection::vec(
            (key(), proptest::collection::vec(0..6u8, 0..60), 0..20usize), 0..6,
        ),
    ) {
        let spans: Vec<RowSpan> = spans.into_iter().map(|(from, ends, sums)| RowSpan {
            from, ends: ends.into(), sums: vec![7; sums],
        }).collect();
        let mut last = Bytes::new();
        let mut ended = false;
        for (range, _) in rising(&spans) {
            prop_assert!(!ended && range.is_sound() && range.from >= last);
            ended = range.to.is_empty();
            last = range.to;
        }
    }
}
