//! The last entries that mention somebody.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use folkmoot_wire::limits;
use folkmoot_wire::proto::StoredMentions;

use crate::{Batch, Read, StoreError, Table, value};

/// Seqs, and whether what was said is withdrawn. Those stay: the last so many
/// are then the same in whatever order they are told of.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Record(BTreeMap<u64, bool>);

impl Record {
    pub(super) fn read(read: &dyn Read, key: &[u8]) -> Result<Self, StoreError> {
        let stored = read.get(Table::Mentions, key)?;
        stored.map_or(Ok(Self::default()), |stored| Self::stored(&stored))
    }

    pub(super) fn stored(bytes: &Bytes) -> Result<Self, StoreError> {
        let stored: StoredMentions = value::decode_value(bytes.clone())?;
        let mut seqs: BTreeMap<u64, bool> = stored.seqs.into_iter().map(|s| (s, false)).collect();
        for seq in stored.withdrawn {
            seqs.insert(seq, true);
        }
        Ok(Self(seqs))
    }

    pub(super) fn write(self, key: Bytes, out: &mut Batch) {
        if self.0.is_empty() {
            return out.delete(Table::Mentions, key);
        }
        let of = |withdrawn: bool| {
            let seqs = self.0.iter().filter(move |(_, is)| **is == withdrawn);
            seqs.map(|(seq, _)| *seq).collect()
        };
        let stored = StoredMentions {
            seqs: of(false),
            withdrawn: of(true),
        };
        out.put(Table::Mentions, key, value::encode_value(&stored));
    }

    pub(super) fn add(&mut self, seq: u64, withdrawn: bool) {
        *self.0.entry(seq).or_default() |= withdrawn;
        if self.0.len() > limits::MENTIONS_KEPT {
            self.0.pop_first();
        }
    }

    pub(super) fn withdraw(&mut self, seq: u64) {
        if let Some(withdrawn) = self.0.get_mut(&seq) {
            *withdrawn = true;
        }
    }

    /// These are no more. Whether there were any.
    pub(super) fn remove(&mut self, seqs: &Range<u64>) -> bool {
        let before = self.0.len();
        self.0.retain(|seq, _| !seqs.contains(seq));
        before != self.0.len()
    }

    /// Those behind a seq that stand.
    pub(super) fn behind(&self, seq: u64) -> u64 {
        let behind = self.0.range(seq.saturating_add(1)..);
        behind.filter(|(_, withdrawn)| !**withdrawn).count() as u64
    }
}
