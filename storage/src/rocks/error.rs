//! RocksDB's errors as ours.

use rocksdb::{Error, ErrorKind};

use crate::StoreError;

/// What went wrong while doing `action`.
pub(super) fn from_rocks(action: &str, error: &Error) -> StoreError {
    let detail = error.to_string();
    match error.kind() {
        ErrorKind::Corruption => StoreError::Corrupt { detail },
        // RocksDB gives the text of ENOSPC, or its own subcode.
        _ if detail.contains("No space left") || detail.contains("NoSpace") => {
            StoreError::NoSpace { detail }
        }
        _ => StoreError::Io {
            action: action.to_owned(),
            detail,
        },
    }
}
