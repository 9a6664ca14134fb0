//! Finding the rows in which two copies of a group differ, at a cost of the
//! difference (Meyer, "Range-Based Set Reconciliation", 2022).
//!
//! The one who asks keeps a [`Session`]; the one who is asked keeps nothing and
//! gives an [`answer()`]. Ranges of keys are compared by the digests of their
//! rows; those that differ are split by turns, so that each message goes two
//! levels down. A range with few rows is listed by its asker, a short print a
//! row, and answered with the rows whose prints were not in the list and the
//! places of those that the answerer does not have. Rows then merge by their
//! own law, so both sides can ask each other in any order, and again.
//!
//! Digests of ranges come from [`Sums`]: blocks of summed rows in memory, read
//! anew when a row of theirs was written.

mod answer;
mod held;
mod session;
mod span;
mod sums;
mod watch;

pub use answer::answer;
pub use session::{Found, Session};
pub use sums::Sums;
pub use watch::RowSums;

use bytes::Bytes;
use folkmoot_crdt::digest::{Fingerprint, RowSetDigest};

/// How ranges are split. Chosen by measurement: decision 28.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Parts of the first message.
    pub first: usize,
    /// Parts of a range that differs.
    pub parts: usize,
    /// A range with so many rows is listed instead.
    pub leaf: usize,
}

/// The shape that nodes use.
pub const SHAPE: Shape = Shape {
    first: 64,
    parts: 16,
    leaf: 16,
};

/// Row keys from one up to another; an empty end is that of all keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Range {
    from: Bytes,
    to: Bytes,
}

impl Range {
    fn holds(&self, key: &[u8]) -> bool {
        key >= &self.from[..] && (self.to.is_empty() || key < &self.to[..])
    }

    fn is_inside(&self, outer: &Self) -> bool {
        let ends = outer.to.is_empty() || (!self.to.is_empty() && self.to <= outer.to);
        self.from >= outer.from && ends
    }

    /// Whether it begins before it ends.
    fn is_sound(&self) -> bool {
        self.to.is_empty() || self.from < self.to
    }
}

/// The 32 bits of a digest that are compared. A sum of row prints is a print
/// of the sum, so there is nothing to hash anew.
fn word_of(bytes: &[u8; 32], word: u32) -> u32 {
    let at = word as usize % 8 * 4;
    bytes[at..at + 4]
        .iter()
        .fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn sum_word(digest: &RowSetDigest, word: u32) -> u32 {
    word_of(&digest.sum, word)
}

fn print_word(print: &Fingerprint, word: u32) -> u32 {
    word_of(&print.0, word)
}

#[cfg(test)]
mod tests;
