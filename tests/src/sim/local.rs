//! A client's own store, with a model of what a crash of the device loses.

use std::sync::Arc;

use async_trait::async_trait;
use folkmoot_client::{LocalStore, Record, Saved, StoreError};
use parking_lot::Mutex;

#[derive(Default)]
struct State {
    /// On disk.
    durable: Saved,
    /// Written and not synced.
    loose: Vec<Record>,
}

/// Clones are handles of the same store.
#[derive(Clone, Default)]
pub struct Local(Arc<Mutex<State>>);

impl Local {
    /// The device dies: of what needs no sync, the last may be gone. `keep`:
    /// how many of the loose records happen to be on disk. Handles of before
    /// do no harm to the store that this gives.
    #[must_use]
    pub fn crash(&self, keep: usize) -> Self {
        let state = self.0.lock();
        let mut durable = state.durable.clone();
        for record in state.loose.iter().take(keep).cloned() {
            durable.apply(record);
        }
        Self(Arc::new(Mutex::new(State {
            durable,
            loose: Vec::new(),
        })))
    }

    /// Records that a crash may lose.
    #[must_use]
    pub fn loose(&self) -> usize {
        self.0.lock().loose.len()
    }

    /// Messages in it that are not settled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.saved().outbox.len()
    }

    fn saved(&self) -> Saved {
        let state = self.0.lock();
        let mut saved = state.durable.clone();
        for record in state.loose.iter().cloned() {
            saved.apply(record);
        }
        saved
    }
}

#[async_trait]
impl LocalStore for Local {
    async fn load(&mut self) -> Result<Saved, StoreError> {
        Ok(self.saved())
    }

    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        let mut state = self.0.lock();
        let sync = records.iter().any(Record::needs_sync);
        state.loose.extend(records);
        if sync {
            for record in std::mem::take(&mut state.loose) {
                state.durable.apply(record);
            }
        }
        Ok(())
    }
}
