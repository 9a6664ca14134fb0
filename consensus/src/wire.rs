//! Messages between replicas: what lies in the payload of a
//! `proto::RaftMessage`, by its kind. Answers have the kind of the question,
//! or [`Kind::Refused`] with a text.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::raft::AppendEntriesRequest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{damaged, decode_entry, encode_entry, entry_len};
use crate::types::{LogId, SnapshotMeta, Types, Vote};

/// What a message is. On the wire; never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// Entries, or a heartbeat without any.
    Append = 1,
    /// A candidate asks for a vote.
    Vote = 2,
    /// Somebody asks whether it would get one.
    PreVote = 3,
    /// A page of a snapshot of which everything is sent, as versions without
    /// manifests do and want it; the answer to the last one tells that it is
    /// installed.
    Part = 4,
    /// A leader hands over.
    Transfer = 5,
    /// A part of a snapshot's manifest; the answer tells which of its chunks
    /// are lacking.
    Manifest = 6,
    /// Such chunks.
    Chunks = 7,
    /// All is there; the answer tells that it is installed.
    Install = 8,
    /// Not done, of the three before this; the payload is the reason as text.
    /// Another number than [`Refused`](Self::Refused), by which a version
    /// without manifests answers them.
    Declined = 14,
    /// Not done; the payload is the reason as text.
    Refused = 15,
}

impl Kind {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Append,
            2 => Self::Vote,
            3 => Self::PreVote,
            4 => Self::Part,
            5 => Self::Transfer,
            6 => Self::Manifest,
            7 => Self::Chunks,
            8 => Self::Install,
            14 => Self::Declined,
            15 => Self::Refused,
            _ => return None,
        })
    }
}

/// Encodes a message of one serde value.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Bytes> {
    postcard::to_allocvec(message)
        .map(Bytes::from)
        .map_err(io::Error::other)
}

/// Decodes a message of one serde value.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(|error| damaged(error.to_string()))
}

#[derive(Serialize, Deserialize)]
struct AppendHeader {
    vote: Vote,
    prev: Option<LogId>,
    commit: Option<LogId>,
}

/// Header length (4) | header | entries: index (8) | length (4) | entry.
pub(crate) fn encode_append(request: &AppendEntriesRequest<Types>) -> io::Result<Bytes> {
    let header = encode(&AppendHeader {
        vote: request.vote,
        prev: request.prev_log_id,
        commit: request.leader_commit,
    })?;
    let len = request
        .entries
        .iter()
        .map(|entry| 12 + entry_len(entry))
        .sum::<usize>();
    let mut bytes = BytesMut::with_capacity(4 + header.len() + len);
    put_sized(&mut bytes, &header)?;
    for entry in &request.entries {
        bytes.put_u64(entry.log_id.index);
        put_sized(&mut bytes, &encode_entry(entry)?)?;
    }
    Ok(bytes.freeze())
}

/// Reads what [`encode_append`] wrote; payloads share the memory of `bytes`.
pub(crate) fn decode_append(mut bytes: Bytes) -> io::Result<AppendEntriesRequest<Types>> {
    let header: AppendHeader = decode(&take_sized(&mut bytes)?)?;
    let mut entries = Vec::new();
    let mut next = header.prev.map_or(0, |prev| prev.index + 1);
    while !bytes.is_empty() {
        let index = bytes.try_get_u64().map_err(|_| cut_off())?;
        if index != next {
            return Err(damaged(format!("entry {index} follows entry {next} - 1")));
        }
        next = next.checked_add(1).ok_or_else(cut_off)?;
        entries.push(decode_entry(index, take_sized(&mut bytes)?)?);
    }
    Ok(AppendEntriesRequest {
        vote: header.vote,
        prev_log_id: header.prev,
        leader_commit: header.commit,
        entries,
    })
}

/// What a page of a snapshot is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PartHeader {
    /// The leader that sends it.
    pub(crate) vote: Vote,
    /// Number of the transfer, of the sender's own counting.
    pub(crate) transfer: u64,
    /// Number of the part, from 0.
    pub(crate) number: u64,
    /// Whether it is the last one.
    pub(crate) last: bool,
    /// What the snapshot contains.
    pub(crate) meta: SnapshotMeta,
    /// The ranges it replaces; in the first part.
    pub(crate) ranges: Vec<WireRange>,
}

/// A key range: table, first key, key after the last.
pub(crate) type WireRange = (u8, Bytes, Bytes);

/// Header length (4) | header | page.
pub(crate) fn encode_part(header: &PartHeader, page: &[u8]) -> io::Result<Bytes> {
    let header = encode(header)?;
    let mut bytes = BytesMut::with_capacity(4 + header.len() + page.len());
    put_sized(&mut bytes, &header)?;
    bytes.put_slice(page);
    Ok(bytes.freeze())
}

pub(crate) fn decode_part(mut bytes: Bytes) -> io::Result<(PartHeader, Bytes)> {
    let header = decode(&take_sized(&mut bytes)?)?;
    Ok((header, bytes))
}

pub(crate) fn cut_off() -> io::Error {
    damaged("the message is cut off")
}

/// Length (4) | bytes.
pub(crate) fn put_sized(to: &mut BytesMut, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).map_err(|_| damaged("a field is larger than 4 GiB"))?;
    to.put_u32(len);
    to.put_slice(bytes);
    Ok(())
}

/// Reads what [`put_sized`] wrote, without copying.
pub(crate) fn take_sized(from: &mut Bytes) -> io::Result<Bytes> {
    let len = from.try_get_u32().map_err(|_| cut_off())? as usize;
    if from.len() < len {
        return Err(cut_off());
    }
    Ok(from.split_to(len))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
