//! The hybrid logical clock: 48 bits of milliseconds and 16 of counter.
//!
//! After Kulkarni, Demirbas, Madappa, Avva and Leone, "Logical Physical
//! Clocks", 2014, with both parts in one word as section 6 of that paper has
//! it. A stamp is never less than any stamp seen, and near to wall time.

use std::fmt;
use std::str::FromStr;

const COUNTER_BITS: u32 = 16;
const MILLIS_MAX: u64 = (1 << 48) - 1;

/// How far ahead of its last stamp a clock reserves, in milliseconds: one
/// write of the bound per half of this, however many stamps are made.
pub const RESERVE_MS: u64 = 1_000;

/// A stamp. Ordered by milliseconds since 1970, then by counter; the default
/// is the least one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(u64);

impl Hlc {
    /// The least stamp.
    pub const ZERO: Self = Self(0);
    /// The greatest stamp.
    pub const MAX: Self = Self(u64::MAX);

    /// A stamp of its parts; milliseconds that need more than 48 bits become
    /// the greatest that fit.
    #[must_use]
    pub const fn from_parts(ms: u64, counter: u16) -> Self {
        let ms = if ms > MILLIS_MAX { MILLIS_MAX } else { ms };
        Self((ms << COUNTER_BITS) | counter as u64)
    }

    /// Reads the word form. Every word is a stamp.
    #[must_use]
    pub const fn from_u64(word: u64) -> Self {
        Self(word)
    }

    /// The word form; sorts like the stamps.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// Counter within the millisecond.
    #[must_use]
    pub const fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The successor: nothing lies between. A full counter carries into the
    /// milliseconds. [`Hlc::MAX`] is its own successor.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms+{}", self.millis(), self.counter())
    }
}

/// The text is not a stamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stamp is exactly 16 lower-case hexadecimal digits, got {len} bytes that are not")]
pub struct ParseHlcError {
    /// Length of the text, in bytes.
    pub len: usize,
}

impl FromStr for Hlc {
    type Err = ParseHlcError;

    fn from_str(text: &str) -> Result<Self, ParseHlcError> {
        let bad = ParseHlcError { len: text.len() };
        // `from_str_radix` alone would also take "+", upper case and less digits.
        let digits = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != 16 || !text.bytes().all(digits) {
            return Err(bad);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| bad)
    }
}

/// A remote stamp is too far ahead of this node's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the peer's stamp is {ahead_ms} ms ahead of this node's clock, more than the {max_drift_ms} ms \
     allowed: check the clocks of both nodes (NTP)"
)]
pub struct Drift {
    /// How far ahead, in milliseconds.
    pub ahead_ms: u64,
    /// What was allowed, in milliseconds.
    pub max_drift_ms: u64,
}

/// Makes stamps that rise strictly, over restarts too.
///
/// A bound is kept on disk; a clock started with it stamps above it only. So
/// a stamp may be used once it is covered by the bound on disk:
///
/// ```
/// # use folkmoot_crdt::hlc::{Hlc, HlcClock};
/// # fn write_and_sync(_: Hlc) {}
/// # let mut clock = HlcClock::new(Hlc::ZERO);
/// let stamp = clock.tick(1_700_000_000_000);
/// if let Some(bound) = clock.persist_due() {
///     write_and_sync(bound);
///     clock.persisted(bound);
/// }
/// assert!(clock.is_covered(stamp)); // now use it
/// ```
#[derive(Debug, Clone)]
pub struct HlcClock {
    last: Hlc,
    bound: Hlc,
}

impl HlcClock {
    /// A clock that never stamps at or below `bound`, the last bound persisted.
    #[must_use]
    pub const fn new(bound: Hlc) -> Self {
        Self { last: bound, bound }
    }

    /// The next stamp: wall time when that is ahead of every stamp made or
    /// seen, else their successor. `wall_ms` may go backwards; stamps do not.
    pub fn tick(&mut self, wall_ms: u64) -> Hlc {
        self.last = self.last.next().max(Hlc::from_parts(wall_ms, 0));
        self.last
    }

    /// Takes note of a peer's stamp, so that the next one made here is above
    /// it. For committed entries, which are never refused, pass `u64::MAX` as
    /// `max_drift_ms`.
    ///
    /// # Errors
    /// When it is more than `max_drift_ms` ahead of `wall_ms`; the clock is
    /// then unchanged, so that a peer with a broken clock drags nobody along.
    pub fn observe(&mut self, remote: Hlc, wall_ms: u64, max_drift_ms: u64) -> Result<(), Drift> {
        let ahead_ms = remote.millis().saturating_sub(wall_ms);
        if ahead_ms > max_drift_ms {
            return Err(Drift {
                ahead_ms,
                max_drift_ms,
            });
        }
        self.last = self.last.max(remote);
        Ok(())
    }

    /// The greatest stamp made or seen.
    #[must_use]
    pub const fn last(&self) -> Hlc {
        self.last
    }

    /// The bound to persist now, [`RESERVE_MS`] ahead, when less than half of
    /// the reserve is left. Stamps that [`HlcClock::is_covered`] may be used
    /// meanwhile; others wait for it.
    #[must_use]
    pub fn persist_due(&self) -> Option<Hlc> {
        let ahead = |ms| Hlc::from_parts(self.last.millis().saturating_add(ms), u16::MAX);
        let due = self.bound < ahead(RESERVE_MS / 2) && self.bound < Hlc::MAX;
        due.then(|| ahead(RESERVE_MS))
    }

    /// How far the clock is ahead of `wall_ms`, in milliseconds. After a quick
    /// restart it is: it goes on behind the bound on disk.
    #[must_use]
    pub const fn ahead_ms(&self, wall_ms: u64) -> u64 {
        self.last.millis().saturating_sub(wall_ms)
    }

    /// `bound` is on disk, durably.
    pub fn persisted(&mut self, bound: Hlc) {
        self.bound = self.bound.max(bound);
    }

    /// Whether a clock restarted from what is on disk now stamps above `stamp`.
    #[must_use]
    pub fn is_covered(&self, stamp: Hlc) -> bool {
        stamp <= self.bound
    }
}

#[cfg(test)]
mod tests;
