//! What was found to be wrong.

use std::sync::Arc;

use parking_lot::Mutex;

/// Most that are kept of one history: the first ones tell.
const MOST: usize = 40;

/// A list that everything may add to.
#[derive(Clone, Default)]
pub struct Findings(Arc<Mutex<Vec<String>>>);

impl Findings {
    /// Adds one.
    pub fn add(&self, finding: impl Into<String>) {
        let mut all = self.0.lock();
        if all.len() < MOST {
            all.push(finding.into());
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
    pub fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}
