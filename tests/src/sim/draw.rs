//! Randomness from a seed, one stream per purpose, so that drawing more for
//! one thing leaves the others as they were.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One stream.
pub struct Draw(StdRng);

impl Draw {
    /// The stream of `seed` for `purpose`.
    #[must_use]
    pub fn of(seed: u64, purpose: &str) -> Self {
        Self(rng(seed, purpose))
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.random()
    }

    /// Whole milliseconds of `[from, to)`.
    pub fn between(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.0.random_range(from..to))
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty()).then(|| &of[self.below(of.len())])
    }
}

/// A generator of `seed` for `purpose`.
#[must_use]
pub fn rng(seed: u64, purpose: &str) -> StdRng {
    let mut hasher = blake3::Hasher::new_derive_key("folkmoot simulator");
    hasher.update(&seed.to_be_bytes());
    hasher.update(purpose.as_bytes());
    StdRng::from_seed(*hasher.finalize().as_bytes())
}

/// A seed of `seed` for `purpose`.
#[must_use]
pub fn fork(seed: u64, purpose: &str) -> u64 {
    Draw::of(seed, purpose).number()
}
