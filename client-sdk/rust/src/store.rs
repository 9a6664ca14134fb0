//! The local store: what has to survive a restart of the application, which is
//! the outbox, the device's number and how far each group was read.

mod file;
mod memory;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use async_trait::async_trait;
use folkmoot_wire::proto::Send as SendRequest;
use folkmoot_wire::{ClientMsgId, DeviceId, GroupId, UserId};

use crate::core::outbox::LocalId;
use crate::core::timeline::Point;

pub use file::FileStore;
pub use memory::MemoryStore;

/// Whose store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// The user.
    pub user: UserId,
}

/// One change of what is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The device has chosen its number.
    Device(DeviceId),
    /// The first session told whose store it is.
    Identity(Identity),
    /// A message was queued.
    Queued {
        /// Its number.
        local: LocalId,
        /// Its group.
        group: GroupId,
        /// What is sent; without an id.
        send: Box<SendRequest>,
    },
    /// A message gets its id, and is then sent for the first time.
    Assigned {
        /// Its number.
        local: LocalId,
        /// Its id.
        id: ClientMsgId,
    },
    /// A message was committed.
    Settled {
        /// Its number.
        local: LocalId,
    },
    /// A message failed for good. Sent again, it might not.
    Refused {
        /// Its number.
        local: LocalId,
    },
    /// A group was read up to here.
    Read {
        /// The group.
        group: GroupId,
        /// The last entry that was read.
        point: Point,
    },
}

impl Record {
    /// Whether it has to be on disk before anything that follows from it is
    /// done. The loss of another costs a repetition that is harmless.
    #[must_use]
    pub fn needs_sync(&self) -> bool {
        !matches!(self, Self::Settled { .. } | Self::Read { .. })
    }
}

/// A message that was not settled.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedMessage {
    /// Its group.
    pub group: GroupId,
    /// Its id, when it may have been sent.
    pub id: Option<ClientMsgId>,
    /// What is sent.
    pub send: SendRequest,
}

/// Everything a store keeps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// The device's number.
    pub device: Option<DeviceId>,
    /// Whose it is.
    pub identity: Option<Identity>,
    /// Messages that are not settled.
    pub outbox: BTreeMap<LocalId, SavedMessage>,
    /// How far groups were read.
    pub read: BTreeMap<GroupId, Point>,
}

impl Saved {
    /// Takes a change in.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Device(device) => self.device = Some(device),
            Record::Identity(identity) => self.identity = Some(identity),
            Record::Queued { local, group, send } => {
                let message = SavedMessage {
                    group,
                    id: None,
                    send: *send,
                };
                self.outbox.insert(local, message);
            }
            Record::Assigned { local, id } => {
                if let Some(message) = self.outbox.get_mut(&local) {
                    message.id = Some(id);
                }
            }
            Record::Settled { local } | Record::Refused { local } => {
                self.outbox.remove(&local);
            }
            Record::Read { group, point } => {
                self.read.insert(group, point);
            }
        }
    }

    /// The fewest records that lead to this state.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        records.extend(self.device.map(Record::Device));
        records.extend(self.identity.map(Record::Identity));
        for (&local, message) in &self.outbox {
            records.push(Record::Queued {
                local,
                group: message.group,
                send: Box::new(message.send.clone()),
            });
            records.extend(message.id.map(|id| Record::Assigned { local, id }));
        }
        let read = self.read.iter();
        records.extend(read.map(|(&group, &point)| Record::Read { group, point }));
        records
    }
}

/// Why a local store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("local store {path}: cannot {what}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
    /// Another client has the file open.
    #[error("local store {path}: another client is using it")]
    InUse {
        /// The file.
        path: String,
    },
    /// The file is not one of a local store of this version.
    #[error("local store {path}: it is not one, or one of a newer version")]
    Foreign {
        /// The file.
        path: String,
    },
    /// The file is damaged, not only cut off at its end.
    #[error(
        "local store {path}: damaged at byte {at}; move it away to begin anew (messages not sent yet are in it)"
    )]
    Damaged {
        /// The file.
        path: String,
        /// Where.
        at: u64,
    },
    /// An earlier write failed.
    #[error("local store {path}: an earlier write failed; open it again")]
    Failed {
        /// The file.
        path: String,
    },
}

/// Keeps records over a restart.
#[async_trait]
pub trait LocalStore: Send {
    /// Reads everything. Called once, first.
    ///
    /// # Errors
    /// When what is there cannot be used.
    async fn load(&mut self) -> Result<Saved, StoreError>;

    /// Adds records, in order and all or none after a crash of the process.
    /// When one of them [needs it](Record::needs_sync), all are on disk
    /// before this returns.
    ///
    /// # Errors
    /// When they could not be written; then nothing is sent any more.
    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError>;
}
