//! Who has read, from the copy here or from the home.

use folkmoot_replication::placement::Shard;
use folkmoot_wire::proto::{node_reply, node_request};
use folkmoot_wire::{Code, Fault, GroupId};

use super::super::read::readers::{count_question, find_question};
use super::NodeBackend;
use crate::backend::{FoundMembers, Readers, ReadersWanted};

impl NodeBackend {
    pub(super) async fn readers_of(
        &self,
        shard: &Shard,
        group: &GroupId,
        seqs: &[u64],
    ) -> Result<Readers, Fault> {
        let question = count_question(seqs, group.to_bytes(), shard.id.0);
        let request = node_request::Request::CountReaders(question);
        let copies = &self.copies;
        match copies.from_home(shard, group, request).await? {
            None => copies.here(shard, group, |place| copies.reads.readers(place, seqs)),
            Some(node_reply::Reply::ReaderCounts(counts)) if counts.readers.len() == seqs.len() => {
                Ok(Readers {
                    by_seq: counts.readers,
                    members: counts.members,
                })
            }
            Some(_) => Err(Code::Internal.into()),
        }
    }

    pub(super) async fn who_has_read(
        &self,
        shard: &Shard,
        group: &GroupId,
        wanted: &ReadersWanted,
    ) -> Result<FoundMembers, Fault> {
        let question = find_question(wanted, group.to_bytes(), shard.id.0);
        let request = node_request::Request::FindReaders(question);
        let copies = &self.copies;
        match copies.from_home(shard, group, request).await? {
            None => copies.here(shard, group, |place| {
                copies.reads.find_readers(place, wanted)
            }),
            Some(node_reply::Reply::Members(page)) => Ok(page.into()),
            Some(_) => Err(Code::Internal.into()),
        }
    }
}
