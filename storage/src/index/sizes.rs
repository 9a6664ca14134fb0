//! Which groups' cursors are counted, remembered: nearly every batch has a
//! cursor in it, since whoever speaks has read.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

use super::tally;
use crate::{Read, StoreError};

/// Places remembered. Full: all are forgotten, and looked up again.
const KNOWN: usize = 4_096;

#[derive(Default)]
pub(super) struct Sizes(Mutex<HashMap<Bytes, bool>>);

impl Sizes {
    pub(super) fn is_counted(&self, read: &dyn Read, place: &[u8]) -> Result<bool, StoreError> {
        if let Some(counted) = self.0.lock().get(place) {
            return Ok(*counted);
        }
        let counted = tally::is_counted(read, place)?;
        let mut known = self.0.lock();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(Bytes::copy_from_slice(place), counted);
        Ok(counted)
    }

    /// Groups became large, or small.
    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }
}
