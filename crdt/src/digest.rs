//! Digests of sets of rows: equal iff the sets are, whatever the order in
//! which rows came and went.
//!
//! A row's fingerprint is keyed BLAKE3; a set's digest is the sum of its
//! rows' fingerprints modulo 2^256 (Bellare and Micciancio, "A New Paradigm
//! for Collision-Free Hashing", 1997: AdHash), so that a change of one row
//! costs one addition. The key is the cluster's: without it nobody can look
//! for rows whose fingerprints cancel out.

use std::num::NonZeroUsize;

/// Length of a fingerprint and of a sum, in bytes.
pub const LEN: usize = 32;

/// The keyed hash of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; LEN]);

impl Fingerprint {
    /// Of a row's key and its value in canonical bytes, under the cluster's key.
    #[must_use]
    pub fn of(cluster_key: &[u8; LEN], key: &[u8], value: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(cluster_key);
        // The length in front, so that no byte can move from key to value.
        hasher.update(&(key.len() as u64).to_be_bytes());
        hasher.update(key);
        hasher.update(value);
        Self(*hasher.finalize().as_bytes())
    }
}

/// The digest of a set of rows. The default is that of the empty set.
///
/// **Law**: `combine` is commutative and associative with the default as its
/// identity (not idempotent: it joins *disjoint* sets); `remove` undoes
/// `insert`. So the digest of a range is that of its parts combined, however
/// it is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RowSetDigest {
    /// Sum of the fingerprints modulo 2^256, big endian.
    pub sum: [u8; LEN],
    /// Number of rows.
    pub count: u64,
}

impl RowSetDigest {
    /// A row came.
    pub fn insert(&mut self, row: &Fingerprint) {
        add(&mut self.sum, &row.0);
        self.count = self.count.wrapping_add(1);
    }

    /// A row that is in the set went.
    pub fn remove(&mut self, row: &Fingerprint) {
        subtract(&mut self.sum, &row.0);
        self.count = self.count.wrapping_sub(1);
    }

    /// A row changed; `old` is `None` when it was not there.
    pub fn replace(&mut self, old: Option<&Fingerprint>, new: &Fingerprint) {
        if let Some(old) = old {
            self.remove(old);
        }
        self.insert(new);
    }

    /// The digest of this set and a disjoint one together.
    #[must_use]
    pub fn combine(&self, other: &Self) -> Self {
        let mut both = *self;
        add(&mut both.sum, &other.sum);
        both.count = both.count.wrapping_add(other.count);
        both
    }
}

impl<'a> FromIterator<&'a Fingerprint> for RowSetDigest {
    fn from_iter<I: IntoIterator<Item = &'a Fingerprint>>(rows: I) -> Self {
        let mut digest = Self::default();
        for row in rows {
            digest.insert(row);
        }
        digest
    }
}

fn add(sum: &mut [u8; LEN], term: &[u8; LEN]) {
    let mut carry = false;
    for (a, b) in sum.iter_mut().zip(term).rev() {
        let (partial, over) = a.overflowing_add(*b);
        let (total, over_again) = partial.overflowing_add(u8::from(carry));
        *a = total;
        carry = over || over_again;
    }
}

fn subtract(sum: &mut [u8; LEN], term: &[u8; LEN]) {
    let mut borrow = false;
    for (a, b) in sum.iter_mut().zip(term).rev() {
        let (partial, under) = a.overflowing_sub(*b);
        let (total, under_again) = partial.overflowing_sub(u8::from(borrow));
        *a = total;
        borrow = under || under_again;
    }
}

/// The digest of the rows with keys in `[from, to)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeDigest<K> {
    /// First key of the range, inclusive. There need not be such a row.
    pub from: K,
    /// End of the range, exclusive.
    pub to: K,
    /// Of the rows between.
    pub digest: RowSetDigest,
}

/// Splits `[from, to)` into at most `parts` ranges with about equally many
/// rows each, for range-based set reconciliation (Meyer, "Range-Based Set
/// Reconciliation", 2022): two sides compare digests, and only ranges that
/// differ are split again or listed.
///
/// `rows` rises by key within `[from, to)`; `count` is how many there are, as
/// the digest of the whole range tells. Where it is wrong the parts are
/// uneven, never wrong. The ranges tile `[from, to)` without gap or overlap,
/// in order; their digests combine to that of all rows. Memory: `parts`.
pub fn range_split<K: Clone>(
    from: K,
    to: K,
    rows: impl IntoIterator<Item = (K, Fingerprint)>,
    count: u64,
    parts: NonZeroUsize,
) -> Vec<RangeDigest<K>> {
    let parts = (parts.get() as u64).min(count.max(1));
    // The first row of part i; as u128 because i * count may pass u64.
    let boundary = |part: u64| (u128::from(part) * u128::from(count) / u128::from(parts)) as u64;
    let mut ranges = Vec::new();
    let (mut start, mut digest, mut part) = (from, RowSetDigest::default(), 1);
    for (index, (key, row)) in (0u64..).zip(rows) {
        if part < parts && index == boundary(part) {
            part += 1;
            ranges.push(RangeDigest {
                from: std::mem::replace(&mut start, key.clone()),
                to: key,
                digest: std::mem::take(&mut digest),
            });
        }
        digest.insert(&row);
    }
    ranges.push(RangeDigest {
        from: start,
        to,
        digest,
    });
    ranges
}

#[cfg(test)]
mod tests;
