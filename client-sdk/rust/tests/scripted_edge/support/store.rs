//! A device's store that takes its time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use folkmoot_client::{LocalStore, Record, Saved, StoreError};

/// Keeps what is on disk for sure; what needs no sync is lost.
#[derive(Clone, Default)]
pub struct SlowStore(Arc<Mutex<Saved>>);

impl SlowStore {
    pub fn on_disk(&self) -> Saved {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl LocalStore for SlowStore {
    async fn load(&mut self) -> Result<Saved, StoreError> {
        Ok(self.on_disk())
    }

    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if records.iter().any(Record::needs_sync) {
            let mut saved = self.0.lock().unwrap();
            records.into_iter().for_each(|record| saved.apply(record));
        }
        Ok(())
    }
}
