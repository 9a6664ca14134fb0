use std::num::NonZeroUsize;

use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_assert_ne, proptest};
use proptest::sample::subsequence;

use super::{Fingerprint, RowSetDigest, range_split};

fn fingerprints(values: &[[u8; 32]]) -> Vec<Fingerprint> {
    values.iter().copied().map(Fingerprint).collect()
}

proptest! {
    #[test]
    fn the_order_of_rows_does_not_show(
        values in proptest::collection::vec(any::<[u8; 32]>(), 0..20),
        seed in any::<u64>(),
    ) {
        let rows = fingerprints(&values);
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|row| blake3::hash(&[&row.0[..], &seed.to_be_bytes()].concat()).to_hex().to_string());
        prop_assert_eq!(
            RowSetDigest::from_iter(&rows),
            RowSetDigest::from_iter(&shuffled)
        );
    }

    #[test]
    fn any_split_combines_to_the_whole(
        values in proptest::collection::vec(any::<[u8; 32]>(), 0..20),
        at in any::<proptest::sample::Index>(),
    ) {
        let rows = fingerprints(&values);
        let whole = RowSetDigest::from_iter(&rows);
        let (left, right) = rows.split_at(at.index(rows.len() + 1));
        let (left, right) = (RowSetDigest::from_iter(left), RowSetDigest::from_iter(right));
        prop_assert_eq!(left.combine(&right), whole);
        prop_assert_eq!(right.combine(&left), whole);
        prop_assert_eq!(whole.combine(&RowSetDigest::default()), whole);
    }

    #[test]
    fn remove_undoes_insert_and_replace_is_both(
        base in any::<([u8; 32], u64)>(), old in any::<[u8; 32]>(), new in any::<[u8; 32]>(),
    ) {
        let base = RowSetDigest { sum: base.0, count: base.1 };
        let (old, new) = (Fingerprint(old), Fingerprint(new));
        let mut digest = base;
        digest.insert(&old);
        prop_assert_ne!(digest, base);
        let mut replaced = digest;
        replaced.replace(Some(&old), &new);
        digest.remove(&old);
        prop_assert_eq!(digest, base);
        digest.replace(None, &new);
        prop_assert_eq!(digest, replaced);
    }

    #[test]
    fn combine_is_commutative_and_associative(
        a in any::<([u8; 32], u64)>(), b in any::<([u8; 32], u64)>(), c in any::<([u8; 32], u64)>(),
    ) {
        let [a, b, c] = [a, b, c].map(|(sum, count)| RowSetDigest { sum, count });
        prop_assert_eq!(a.combine(&b), b.combine(&a));
        prop_assert_eq!(a.combine(&b).combine(&c), a.combine(&b.combine(&c)));
    }

    #[test]
    fn ranges_tile_and_combine_to_the_whole_even_with_a_wrong_count(
        rows in proptest::collection::btree_map(1u32..1000, any::<[u8; 32]>(), 0..60),
        parts in 1usize..20,
        wrong in proptest::option::of(any::<u64>()),
    ) {
        let rows: Vec<_> = rows.into_iter().map(|(k, v)| (k, Fingerprint(v))).collect();
        let count = wrong.unwrap_or(rows.len() as u64);
        let ranges = range_split(0, 1000, rows.clone(), count, NonZeroUsize::new(parts).unwrap());
        prop_assert!(ranges.len() <= parts);
        prop_assert_eq!(ranges.first().map(|r| r.from), Some(0));
        prop_assert_eq!(ranges.last().map(|r| r.to), Some(1000));
        prop_assert!(ranges.windows(2).all(|w| w[0].to == w[1].from));
        let mut whole = RowSetDigest::default();
        for range in &ranges {
            let inside: RowSetDigest = rows.iter()
                .filter(|(k, _)| (range.from..range.to).contains(k))
                .map(|(_, row)| row)
                .collect();
            prop_assert_eq!(range.digest, inside);
            whole = whole.combine(&range.digest);
        }
        prop_assert_eq!(whole, rows.iter().map(|(_, row)| row).collect::<RowSetDigest>());
        if wrong.is_none() {
            let sizes: Vec<_> = ranges.iter().map(|r| r.digest.count).collect();
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            prop_assert!(most - least <= 1, "uneven: {sizes:?}");
        }
    }

    #[test]
    fn a_difference_shows_in_exactly_its_range(
        rows in proptest::collection::btree_map(1u32..1000, any::<[u8; 32]>(), 2..60),
        at in any::<proptest::sample::Index>(),
    ) {
        let ours: Vec<_> = rows.into_iter().map(|(k, v)| (k, Fingerprint(v))).collect();
        let mut theirs = ours.clone();
        let changed = at.index(theirs.len());
        theirs[changed].1.0[31] ^= 1;
        let split = |rows: &[(u32, Fingerprint)]| {
            range_split(0, 1000, rows.to_vec(), rows.len() as u64, NonZeroUsize::new(8).unwrap())
        };
        for (a, b) in split(&ours).iter().zip(&split(&theirs)) {
            prop_assert_eq!((a.from, a.to), (b.from, b.to));
            prop_assert_eq!(a.digest != b.digest, (a.from..a.to).contains(&ours[changed].0));
        }
    }

    #[test]
    fn different_subsets_have_different_digests(
        a in subsequence((0u8..24).collect::<Vec<_>>(), 0..24),
        b in subsequence((0u8..24).collect::<Vec<_>>(), 0..24),
    ) {
        let digest = |rows: &[u8]| {
            rows.iter().map(|row| Fingerprint::of(&[7; 32], &[*row], b"value")).collect::<Vec<_>>()
                .iter().collect::<RowSetDigest>()
        };
        prop_assert_eq!(digest(&a) == digest(&b), a == b);
    }
}

#[test]
fn a_fingerprint_depends_on_key_value_their_border_and_the_cluster() {
    let base = Fingerprint::of(&[1; 32], b"ab", b"c");
    assert_ne!(base, Fingerprint::of(&[1; 32], b"a", b"bc"));
    assert_ne!(base, Fingerprint::of(&[1; 32], b"ab", b"d"));
    assert_ne!(base, Fingerprint::of(&[2; 32], b"ab", b"c"));
    assert_eq!(base, Fingerprint::of(&[1; 32], b"ab", b"c"));
}

#[test]
fn sums_carry_and_borrow_over_all_bytes() {
    let one = {
        let mut one = [0; 32];
        one[31] = 1;
        Fingerprint(one)
    };
    let mut digest = RowSetDigest {
        sum: [0xff; 32],
        count: 3,
    };
    digest.insert(&one);
    assert_eq!(digest.sum, [0; 32]);
    digest.remove(&one);
    assert_eq!(digest.sum, [0xff; 32]);
}
