//! Registers that only entries write: the value with the higher seq stands.

/// The later of two values.
///
/// **Merge law**: a maximum in the order of `(seq, value)`. Two values of one
/// seq are equal unless somebody lies; then the order of the content decides,
/// so that all who have both keep the same one.
#[must_use]
pub fn later_by_seq<T: Ord>(a: (u64, T), b: (u64, T)) -> (u64, T) {
    a.max(b)
}

/// A value and the seq of the entry that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GroupRegister<T> {
    /// Seq of the entry that wrote it; 0: none did.
    pub seq: u64,
    /// What it wrote.
    pub value: T,
}

impl<T: Ord + Clone> GroupRegister<T> {
    /// The later one, by the law of [`later_by_seq`].
    #[must_use]
    pub fn merge_by_seq(&self, other: &Self) -> Self {
        self.max(other).clone()
    }
}
