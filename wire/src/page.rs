//! Pages of a group's log on their way to clients: entries that many are sent
//! are encoded once, and their bytes copied into each frame.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{
    WireType, encode_key, encode_varint, encoded_len_varint, key_len, message, uint64,
};

use crate::proto::{LogSlice, SealedEntry};

/// Tags of the schema: `ServerFrame.id`, `ServerFrame.log`, `LogSlice.entries`.
const ID: u32 = 1;
const LOG: u32 = 8;
const ENTRIES: u32 = 4;

/// Entries in a row, without a hole. A clone or a part of it shares all.
#[derive(Debug, Clone)]
pub struct Run {
    all: Arc<All>,
    /// Places in `all`.
    from: usize,
    to: usize,
}

#[derive(Debug)]
struct All {
    /// The seq of the first.
    first: u64,
    entries: Vec<SealedEntry>,
    /// Each as a field of a [`LogSlice`], one behind the other.
    bytes: Bytes,
    /// Where each ends in `bytes`.
    ends: Vec<usize>,
}

impl Run {
    /// These entries, the first of which is `first`.
    #[must_use]
    pub fn new(first: u64, entries: &[SealedEntry]) -> Self {
        let room = entries.iter().map(field_len).sum();
        let mut buf = BytesMut::with_capacity(room);
        let mut ends = Vec::with_capacity(entries.len());
        for entry in entries {
            message::encode(ENTRIES, entry, &mut buf);
            ends.push(buf.len());
        }
        let bytes = buf.freeze();
        let shared = entries.iter().zip(&ends).map(|(entry, end)| {
            // Read back, it is made of parts of these bytes and holds no others.
            SealedEntry::decode(bytes.slice(end - entry.encoded_len()..*end))
                .unwrap_or_else(|_| entry.clone())
        });
        let all = All {
            first,
            entries: shared.collect(),
            bytes: bytes.clone(),
            ends,
        };
        Self {
            from: 0,
            to: all.entries.len(),
            all: Arc::new(all),
        }
    }

    /// The seq of the first, or of the one that would be.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.all.first + self.from as u64
    }

    /// The seq behind the last.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.all.first + self.to as u64
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[SealedEntry] {
        &self.all.entries[self.from..self.to]
    }

    /// The entry with this seq.
    #[must_use]
    pub fn get(&self, seq: u64) -> Option<&SealedEntry> {
        let place = usize::try_from(seq.checked_sub(self.first())?).ok()?;
        self.entries().get(place)
    }

    /// The entries as fields of a [`LogSlice`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.all.bytes[self.start_of(self.from)..self.start_of(self.to)]
    }

    /// Those of it with `first <= seq < end`.
    #[must_use]
    pub fn part(&self, first: u64, end: u64) -> Self {
        let place = |seq: u64| {
            let place = seq.saturating_sub(self.all.first).min(self.to as u64);
            (place as usize).max(self.from)
        };
        let (from, to) = (place(first), place(end));
        self.places(from, to.max(from))
    }

    /// The most of its first entries, or of its last, that together take no
    /// more than `bytes`.
    #[must_use]
    pub fn fitting(&self, bytes: usize, backward: bool) -> Self {
        let ends = &self.all.ends;
        if backward {
            let end = self.start_of(self.to);
            let starts = (self.from..self.to).map(|place| self.start_of(place));
            let too_far = starts.take_while(|start| end - start > bytes).count();
            return self.places(self.from + too_far, self.to);
        }
        let start = self.start_of(self.from);
        let fit = ends[self.from..self.to].partition_point(|end| end - start <= bytes);
        self.places(self.from, self.from + fit)
    }

    fn places(&self, from: usize, to: usize) -> Self {
        Self {
            all: Arc::clone(&self.all),
            from,
            to,
        }
    }

    fn start_of(&self, place: usize) -> usize {
        match place {
            0 => 0,
            place => self.all.ends[place - 1],
        }
    }
}

fn field_len(entry: &SealedEntry) -> usize {
    message::encoded_len(ENTRIES, entry)
}

/// A page of a log.
#[derive(Debug, Clone, Default)]
pub struct LogPage {
    /// Where `runs` is empty, the whole page; else all but its entries.
    pub slice: LogSlice,
    /// The entries, in order.
    pub runs: Vec<Run>,
}

impl From<LogSlice> for LogPage {
    fn from(slice: LogSlice) -> Self {
        let runs = Vec::new();
        Self { slice, runs }
    }
}

impl From<LogPage> for LogSlice {
    fn from(page: LogPage) -> Self {
        let LogPage { mut slice, runs } = page;
        for run in &runs {
            slice.entries.extend_from_slice(run.entries());
        }
        slice
    }
}

impl LogPage {
    /// Its entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = &SealedEntry> {
        let shared = self.runs.iter().flat_map(Run::entries);
        self.slice.entries.iter().chain(shared)
    }

    /// Nothing before `seq` stays; nor does what does not say its seq.
    pub fn begin_at(&mut self, seq: u64) {
        let stays = |entry: &SealedEntry| entry.decode_header().is_ok_and(|it| it.seq >= seq);
        self.slice.entries.retain(stays);
        for run in &mut self.runs {
            *run = run.part(seq, u64::MAX);
        }
    }

    /// The [`ServerFrame`](crate::proto::ServerFrame) that answers the request
    /// `id` with this page: byte for byte what the page as a slice encodes to.
    #[must_use]
    pub fn frame(&self, id: u64) -> Bytes {
        let (front, back) = self.around();
        let runs: usize = self.runs.iter().map(|run| run.bytes().len()).sum();
        let slice = front.encoded_len() + runs + back.encoded_len();
        let inside = key_len(LOG) + encoded_len_varint(slice as u64) + slice;
        let mut buf = BytesMut::with_capacity(uint64::encoded_len(ID, &id) + inside);
        if id != 0 {
            uint64::encode(ID, &id, &mut buf);
        }
        encode_key(LOG, WireType::LengthDelimited, &mut buf);
        encode_varint(slice as u64, &mut buf);
        front.encode_raw(&mut buf);
        for run in &self.runs {
            buf.put_slice(run.bytes());
        }
        back.encode_raw(&mut buf);
        buf.freeze()
    }

    /// The fields before the entries (and those of no run), and those behind:
    /// messages that follow each other are one.
    fn around(&self) -> (LogSlice, LogSlice) {
        let LogSlice {
            group,
            covers,
            chain_before,
            entries,
            head,
            gone,
        } = self.slice.clone();
        let front = LogSlice {
            group,
            covers,
            chain_before,
            entries,
            ..LogSlice::default()
        };
        let back = LogSlice {
            head,
            gone,
            ..LogSlice::default()
        };
        (front, back)
    }
}
