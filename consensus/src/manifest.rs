//! Messages of a snapshot that goes by manifest (design decision D19): the
//! sender names its chunks, the receiver says which it lacks, and gets those.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::codec::damaged;
use crate::cut::{Chunk, Sum};
use crate::pages::range_of;
use crate::port::Range;
use crate::types::{SnapshotMeta, Vote};
use crate::wire::{WireRange, cut_off, decode, encode, put_sized, take_sized};

/// Chunks named in one message: about 16 MiB of state, which a receiver
/// compares within a call's deadline.
pub(crate) const PART_CHUNKS: usize = 1_024;
/// More in one message are refused.
const PART_CHUNKS_MAX: usize = 4_096;

/// What every message of a transfer begins with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    /// The leader that sends it.
    pub(crate) vote: Vote,
    /// Number of the transfer, of the sender's own counting.
    pub(crate) transfer: u64,
    /// Number of the message, from 0.
    pub(crate) number: u64,
}

/// What a transfer is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Begin {
    /// What the snapshot contains.
    pub(crate) meta: SnapshotMeta,
    /// The ranges that its chunks cover.
    pub(crate) ranges: Vec<WireRange>,
}

/// A chunk begins where the one before it ends, the first where the first range
/// does: so they have no holes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WireChunk {
    /// The key after the last.
    to: Bytes,
    pairs: u64,
    bytes: u64,
    digest: [u8; 32],
}

impl From<&Chunk> for WireChunk {
    fn from(chunk: &Chunk) -> Self {
        Self {
            to: chunk.range.2.clone(),
            pairs: chunk.sum.pairs,
            bytes: chunk.sum.bytes,
            digest: chunk.sum.digest,
        }
    }
}

/// Names some chunks. The answer is [`Lacks`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ManifestPart {
    pub(crate) step: Step,
    /// In the first message.
    pub(crate) begin: Option<Begin>,
    pub(crate) chunks: Vec<WireChunk>,
}

/// Which of the chunks just named the receiver lacks: one bit each, the least
/// first.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lacks(Vec<u8>);

impl Lacks {
    pub(crate) fn new(of: usize) -> Self {
        Self(vec![0; of.div_ceil(8)])
    }

    pub(crate) fn set(&mut self, chunk: usize) {
        if let Some(byte) = self.0.get_mut(chunk / 8) {
            *byte |= 1 << (chunk % 8);
        }
    }

    pub(crate) fn has(&self, chunk: usize) -> bool {
        self.0
            .get(chunk / 8)
            .is_some_and(|byte| byte & (1 << (chunk % 8)) != 0)
    }
}

/// Turns what comes into chunks, one behind the other.
#[derive(Debug)]
pub(crate) struct Cover {
    ranges: std::vec::IntoIter<WireRange>,
    /// What of the current range is not covered yet.
    rest: Option<Range>,
}

impl Cover {
    pub(crate) fn new(ranges: Vec<WireRange>) -> io::Result<Self> {
        let mut this = Self {
            ranges: ranges.into_iter(),
            rest: None,
        };
        this.go_on()?;
        Ok(this)
    }

    fn go_on(&mut self) -> io::Result<()> {
        self.rest = self.ranges.next().map(range_of).transpose()?;
        match &self.rest {
            Some((table, from, to)) if from >= to => {
                Err(damaged(format!("an empty range of table {table}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether everything is covered.
    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_none()
    }

    pub(crate) fn chunk(&mut self, wire: WireChunk) -> io::Result<Chunk> {
        let Some((table, from, end)) = &mut self.rest else {
            return Err(damaged("a chunk lies behind all ranges of the snapshot"));
        };
        if wire.to <= *from || wire.to > *end {
            return Err(damaged(format!(
                "a chunk of table {table} does not begin where the one before it ended"
            )));
        }
        let chunk = Chunk {
            range: (*table, std::mem::replace(from, wire.to.clone()), wire.to),
            sum: Sum {
                pairs: wire.pairs,
                bytes: wire.bytes,
                digest: wire.digest,
            },
        };
        if from == end {
            self.go_on()?;
        }
        Ok(chunk)
    }
}

pub(crate) fn decode_part(bytes: &[u8]) -> io::Result<ManifestPart> {
    let part: ManifestPart = decode(bytes)?;
    if part.chunks.len() > PART_CHUNKS_MAX {
        return Err(damaged(format!(
            "{} chunks in one message are too many",
            part.chunks.len()
        )));
    }
    Ok(part)
}

/// Header length (4) | header | chunks: number in its part of the manifest (4) |
/// length (4) | page.
pub(crate) fn encode_chunks(step: &Step, chunks: &[(u32, Bytes)]) -> io::Result<Bytes> {
    let header = encode(step)?;
    let len: usize = chunks.iter().map(|(_, page)| 8 + page.len()).sum();
    let mut bytes = BytesMut::with_capacity(4 + header.len() + len);
    put_sized(&mut bytes, &header)?;
    for (number, page) in chunks {
        bytes.put_u32(*number);
        put_sized(&mut bytes, page)?;
    }
    Ok(bytes.freeze())
}

/// Reads what [`encode_chunks`] wrote.
pub(crate) fn decode_chunks(mut bytes: Bytes) -> io::Result<(Step, Vec<(u32, Bytes)>)> {
    let step = decode(&take_sized(&mut bytes)?)?;
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        let number = bytes.try_get_u32().map_err(|_| cut_off())?;
        chunks.push((number, take_sized(&mut bytes)?));
    }
    Ok((step, chunks))
}
