//! In memory: for clients that need not survive, and for tests.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{LocalStore, Record, Saved, StoreError};

/// Keeps records in memory. Its clones share them, so that a test can restart
/// a client over the same store.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    saved: Arc<Mutex<Saved>>,
}

impl MemoryStore {
    /// What it holds now.
    #[must_use]
    pub fn saved(&self) -> Saved {
        self.saved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl LocalStore for MemoryStore {
    async fn load(&mut self) -> Result<Saved, StoreError> {
        Ok(self.saved())
    }

    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        records.into_iter().for_each(|record| saved.apply(record));
        Ok(())
    }
}
