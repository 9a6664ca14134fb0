//! What was found to be wrong.

use std::sync::Arc;

use parking_lot::Mutex;

/// Most that are kept of one history: the first ones tell.
const MOST: usize = 40;

/// A list that everything may add to, each under what it looks after.
#[derive(Clone)]
pub struct Findings {
    invariant: &'static str,
    all: Arc<Mutex<Vec<Finding>>>,
}

/// Something that was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The invariant that does not hold.
    pub invariant: &'static str,
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            invariant: "serves",
            all: Arc::default(),
        }
    }
}

impl Findings {
    /// The same list, for another invariant.
    #[must_use]
    pub fn under(&self, invariant: &'static str) -> Self {
        Self {
            invariant,
            all: Arc::clone(&self.all),
        }
    }

    /// Adds one.
    pub fn add(&self, finding: impl Into<String>) {
        let mut all = self.all.lock();
        if all.len() < MOST {
            all.push(Finding {
                invariant: self.invariant,
                what: finding.into(),
            });
        }
    }

    /// Adds one unless `holds`.
    pub fn check(&self, holds: bool, finding: impl FnOnce() -> String) {
        if !holds {
            self.add(finding());
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Finding> {
        self.all.lock().clone()
    }
}
