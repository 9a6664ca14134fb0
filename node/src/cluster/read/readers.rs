//! Who has read, and how many.

use bytes::Bytes;
use folkmoot_storage::{Place, ReadersOf, find_readers, member_counts, readers};
use folkmoot_wire::proto::{CountReaders, FindReaders, MemberPage, ReaderCounts};
use folkmoot_wire::{Code, Fault, UserId, limits};

use super::{LocalReads, storage};
use crate::backend::{FoundMembers, Readers, ReadersWanted};

impl LocalReads {
    /// How many have read each of the seqs.
    ///
    /// # Errors
    /// `invalid` for more seqs than one may ask for; when the store fails.
    pub fn readers(&self, place: &Place, seqs: &[u64]) -> Result<Readers, Fault> {
        if seqs.len() > limits::RECEIPTS {
            let detail = format!("at most {} seqs at once", limits::RECEIPTS);
            return Err(Fault::new(Code::Invalid, detail));
        }
        let by_seq = readers(&*self.store, place, seqs).map_err(storage)?;
        let members = member_counts(&*self.store, place).map_err(storage)?;
        Ok(Readers {
            by_seq,
            members: members.iter().sum(),
        })
    }

    /// A page of those who have read an entry, or have not.
    ///
    /// # Errors
    /// `invalid` for a forged page; when the store fails.
    pub fn find_readers(
        &self,
        place: &Place,
        wanted: &ReadersWanted,
    ) -> Result<FoundMembers, Fault> {
        let after = match wanted.after.len() {
            0 => None,
            _ => Some(UserId::from_slice(&wanted.after).map_err(|_| {
                Fault::new(Code::Invalid, "page is not a token of an earlier answer")
            })?),
        };
        let limit = wanted.limit.clamp(1, limits::PAGE_ROWS) as usize;
        let found = find_readers(&*self.store, place, wanted.of, after, limit);
        let (rows, next) = found.map_err(storage)?;
        Ok(FoundMembers {
            rows,
            next,
            by_role: Vec::new(),
        })
    }

    /// Answers another node's question for how many have read.
    ///
    /// # Errors
    /// As [`LocalReads::readers`].
    pub fn count_readers(
        &self,
        place: &Place,
        asked: &CountReaders,
    ) -> Result<ReaderCounts, Fault> {
        let Readers { by_seq, members } = self.readers(place, &asked.seqs)?;
        Ok(ReaderCounts {
            readers: by_seq,
            members,
        })
    }

    /// Answers another node's question for who has read.
    ///
    /// # Errors
    /// As [`LocalReads::find_readers`].
    pub fn page_of_readers(&self, place: &Place, asked: FindReaders) -> Result<MemberPage, Fault> {
        let wanted = ReadersWanted {
            of: ReadersOf {
                seq: asked.seq,
                unread: asked.unread,
            },
            after: asked.after,
            limit: asked.limit,
        };
        Ok(self.find_readers(place, &wanted)?.into())
    }
}

/// The questions for another node.
#[must_use]
pub fn count_question(seqs: &[u64], group: Bytes, shard: u32) -> CountReaders {
    CountReaders {
        group,
        shard,
        as_voter: true,
        seqs: seqs.to_vec(),
    }
}

/// As [`count_question`], for a page of them.
#[must_use]
pub fn find_question(wanted: &ReadersWanted, group: Bytes, shard: u32) -> FindReaders {
    FindReaders {
        group,
        shard,
        as_voter: true,
        seq: wanted.of.seq,
        unread: wanted.of.unread,
        after: wanted.after.clone(),
        limit: wanted.limit,
    }
}
