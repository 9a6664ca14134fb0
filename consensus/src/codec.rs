//! How entries and records lie in the Raft table and in messages.
//!
//! Entry: version (1) | kind (1) | term (8) | proposer (4) | content; the
//! index is in the key. Record: version (1) | postcard. All big endian. The
//! content of a decoded entry shares the memory it was decoded from.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use folkmoot_wire::NodeId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::{Command, Entry, LogId, Membership, Payload};

const VERSION: u8 = 1;
const BLANK: u8 = 0;
const COMMAND: u8 = 1;
const MEMBERSHIP: u8 = 2;
const HEADER: usize = 14;

/// An `InvalidData` error.
pub(crate) fn damaged(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Bytes an entry takes, about.
pub(crate) fn entry_len(entry: &Entry) -> usize {
    HEADER
        + match &entry.payload {
            Payload::Blank => 0,
            Payload::Normal(command) => command.data.len(),
            Payload::Membership(_) => 64,
        }
}

/// Encodes an entry without its index.
pub(crate) fn encode_entry(entry: &Entry) -> io::Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(entry_len(entry));
    let (kind, proposer) = match &entry.payload {
        Payload::Blank => (BLANK, 0),
        Payload::Normal(command) => (COMMAND, command.proposer),
        Payload::Membership(_) => (MEMBERSHIP, 0),
    };
    bytes.put_u8(VERSION);
    bytes.put_u8(kind);
    bytes.put_u64(*entry.log_id.leader_id);
    bytes.put_u32(proposer);
    match &entry.payload {
        Payload::Blank => {}
        Payload::Normal(command) => bytes.put_slice(&command.data),
        Payload::Membership(membership) => {
            bytes.put_slice(&postcard::to_allocvec(membership).map_err(io::Error::other)?);
        }
    }
    Ok(bytes.freeze())
}

/// Decodes the entry at `index`.
pub(crate) fn decode_entry(index: u64, mut bytes: Bytes) -> io::Result<Entry> {
    if bytes.len() < HEADER {
        return Err(damaged(format!(
            "entry {index} has {} bytes, fewer than its header",
            bytes.len()
        )));
    }
    let version = bytes.get_u8();
    if version != VERSION {
        return Err(damaged(format!(
            "entry {index} has version {version}, this build knows {VERSION}"
        )));
    }
    let kind = bytes.get_u8();
    let term = bytes.get_u64();
    let proposer = bytes.get_u32();
    let payload = match kind {
        BLANK => Payload::Blank,
        COMMAND => Payload::Normal(Command {
            proposer,
            data: bytes,
        }),
        MEMBERSHIP => Payload::Membership(
            postcard::from_bytes::<Membership>(&bytes)
                .map_err(|error| damaged(format!("membership of entry {index}: {error}")))?,
        ),
        kind => return Err(damaged(format!("entry {index} is of unknown kind {kind}"))),
    };
    Ok(Entry {
        log_id: LogId::new_term_index(term, index),
        payload,
    })
}

/// Term and proposer of an entry as it lies in the store, for those who look on
/// from outside (the simulator); no proposer: the engine's own entry. `None`:
/// it is no entry.
#[must_use]
pub fn entry_author(stored: &[u8]) -> Option<(u64, Option<NodeId>)> {
    let entry = decode_entry(0, Bytes::copy_from_slice(stored)).ok()?;
    let proposer = match entry.payload {
        Payload::Normal(command) => Some(NodeId(command.proposer)),
        Payload::Blank | Payload::Membership(_) => None,
    };
    Some((*entry.log_id.leader_id, proposer))
}

/// Encodes a record.
pub(crate) fn encode_record(record: &impl Serialize) -> io::Result<Bytes> {
    let bytes = postcard::to_extend(record, vec![VERSION]).map_err(io::Error::other)?;
    Ok(Bytes::from(bytes))
}

/// Decodes a record; `what` names it in errors.
pub(crate) fn decode_record<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> io::Result<T> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|error| damaged(format!("{what}: {error}")))
        }
        Some((version, _)) => Err(damaged(format!(
            "{what} has version {version}, this build knows {VERSION}"
        ))),
        None => Err(damaged(format!("{what} is empty"))),
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
