//! What a store can answer other than the truth.

use std::path::PathBuf;

use folkmoot_wire::{Code, Fault, GroupId};

/// Why a store did not do what it was asked. Every message says what to do
/// where something can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A write or a sync failed before; nothing more is read or written.
    #[error(
        "the store stopped after a failure ({cause}): repair the disk or free space on it, then restart the node"
    )]
    Failed {
        /// The first failure.
        cause: String,
    },
    /// The disk is full.
    #[error("no space left on the disk of the store ({detail}): free some, then restart the node")]
    NoSpace {
        /// What the system said.
        detail: String,
    },
    /// The system failed to read or write.
    #[error("could not {action}: {detail}")]
    Io {
        /// What was attempted.
        action: String,
        /// What the system said.
        detail: String,
    },
    /// The store's own bytes do not check out.
    #[error(
        "the store is damaged ({detail}): with the node stopped, `folkmoot node verify --data DIR` says what of it, and `folkmoot node repair --data DIR` sets that aside, so that the next start fetches it from the other nodes"
    )]
    Corrupt {
        /// What is wrong.
        detail: String,
    },
    /// A write to a store that was opened for reading.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// The queue of a commit that cannot wait was full.
    #[error("more than {limit} batches wait to be committed: retry")]
    Busy {
        /// The queue's bound.
        limit: usize,
    },
    /// Bytes that are not a key of their table.
    #[error("not a key of table {table}: {detail}")]
    Key {
        /// The table's name.
        table: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Bytes that are not a stored value.
    #[error("a stored {what} cannot be read: {detail}")]
    Value {
        /// Kind of value.
        what: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A value of a version this build does not know.
    #[error(
        "a stored {what} has version {found}, this build knows up to {supported}: run a newer build on this folder"
    )]
    ValueVersion {
        /// Kind of value.
        what: &'static str,
        /// Its version byte.
        found: u8,
        /// The greatest version this build reads.
        supported: u8,
    },
    /// An entry of a group's log cannot be read.
    #[error("entry {seq} of group {group}: {source}")]
    Entry {
        /// The group.
        group: GroupId,
        /// The entry's seq.
        seq: u64,
        /// What is wrong.
        #[source]
        source: Box<StoreError>,
    },
    /// A head or a row of a group cannot be read.
    #[error("{what} of group {group}: {source}")]
    OfGroup {
        /// The group.
        group: GroupId,
        /// Which head or row.
        what: String,
        /// What is wrong.
        #[source]
        source: Box<StoreError>,
    },
    /// Another process has the folder open.
    #[error("{} is in use by another process: stop the node that runs on it first", path.display())]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// The folder holds something else.
    #[error(
        "{} is not a folkmoot store (it holds {found:?}): give the node an empty folder or its own",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One thing found in it.
        found: String,
    },
    /// The folder is no store yet, and was to be read.
    #[error("{} holds no folkmoot store: check the path", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// A newer build wrote the folder.
    #[error(
        "{} has store format {found}, this build knows up to {supported}: run the build that wrote it, or a newer one",
        path.display()
    )]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// What the folder says.
        found: String,
        /// The greatest format this build knows.
        supported: u32,
    },
}

impl StoreError {
    /// An I/O error of the system.
    pub(crate) fn io(action: impl Into<String>, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull {
            return Self::NoSpace {
                detail: error.to_string(),
            };
        }
        Self::Io {
            action: action.into(),
            detail: error.to_string(),
        }
    }

    /// The same error about entry `seq` of `group`.
    pub(crate) fn of_entry(self, group: &GroupId, seq: u64) -> Self {
        Self::Entry {
            group: *group,
            seq,
            source: Box::new(self),
        }
    }

    /// The same error about `what` of `group`.
    pub(crate) fn of_group(self, group: &GroupId, what: impl Into<String>) -> Self {
        Self::OfGroup {
            group: *group,
            what: what.into(),
            source: Box::new(self),
        }
    }
}

impl From<&StoreError> for Fault {
    /// What a peer is told: paths and causes stay in this node's own log.
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Busy { .. } => Code::Busy.into(),
            StoreError::Closed => Code::Draining.into(),
            _ => Code::StorageFailed.into(),
        }
    }
}
