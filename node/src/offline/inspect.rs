//! Reads everything that a store holds, with checksums, and checks what can be
//! checked without others: the chain of each group, its head, the digest and
//! the number of its rows, and each replica's log of consensus.

use folkmoot_consensus::check;
use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_replication::rows::fingerprint;
use folkmoot_storage::{Direction, Read, Seat, Store, StoreError, Table, keys, log};
use folkmoot_wire::entry::{Chain, chain_from, genesis};
use folkmoot_wire::proto::Head;
use folkmoot_wire::{GroupId, NodeId, ShardId, limits};
use serde::Serialize;

use super::slots_here;
use crate::cluster::machine::state_ranges;
use crate::cluster::start::digest_key;

/// Records read at once.
const PAGE: usize = 1_024;
/// Problems listed of one shard. More are only counted.
const LISTED: usize = 20;

/// What was found of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The shard; 0: the meta shard.
    pub shard: u32,
    /// Its region.
    pub region: String,
    /// Whether this node votes on it.
    pub votes: bool,
    /// And nobody else does.
    pub alone: bool,
    pub groups: u64,
    /// Of groups' logs.
    pub entries: u64,
    pub rows: u64,
    /// Of the log of consensus.
    pub raft_entries: u64,
    /// What is wrong, the first of it.
    pub problems: Vec<String>,
    /// All that is wrong.
    pub wrong: u64,
}

impl Found {
    fn problem(&mut self, what: impl ToString) {
        self.wrong += 1;
        if self.problems.len() < LISTED {
            self.problems.push(what.to_string());
        }
    }
}

/// What there is to inspect.
pub struct Inspected<'a> {
    pub store: &'a dyn Store,
    pub me: NodeId,
    pub cluster: [u8; 16],
    pub placement: &'a Placement,
}

impl Inspected<'_> {
    /// Looks through all shards. `each` is told of every one that is done, and
    /// how many there are.
    pub fn all(&self, each: &mut dyn FnMut(&Found, usize)) -> Vec<Found> {
        let shards: Vec<&Shard> = self.placement.shards().collect();
        let mut found = vec![self.meta()];
        each(&found[0], shards.len() + 1);
        for shard in &shards {
            let next = self.shard(shard);
            each(&next, shards.len() + 1);
            found.push(next);
        }
        found
    }

    fn role(&self, shard: Option<&Shard>) -> Found {
        let mut found = Found::default();
        if let Some(shard) = shard {
            found.shard = shard.id.0;
            found.region = self
                .placement
                .region_name(shard.region)
                .unwrap_or_default()
                .to_owned();
            found.votes = shard.voters.contains(&self.me);
            found.alone = shard.voters == [self.me];
        }
        found
    }

    fn meta(&self) -> Found {
        let mut found = self.role(self.placement.shard(ShardId::META));
        self.raft(ShardId::META, &mut found);
        let (from, to) = keys::shards::range(ShardId::META);
        self.range((Table::Shards, &from, &to), &mut found);
        found
    }

    fn raft(&self, shard: ShardId, found: &mut Found) {
        match check(shard, self.store) {
            Ok(entries) => found.raft_entries = entries,
            Err(error) => found.problem(format!("consensus: {error}")),
        }
    }

    fn shard(&self, shard: &Shard) -> Found {
        let mut found = self.role(Some(shard));
        self.raft(shard.id, &mut found);
        let directory = self.placement.state().directory.iter();
        let directory: Vec<_> = directory
            .filter(|range| range.shard == shard.id.0)
            .cloned()
            .collect();
        let slots = slots_here(shard, self.store);
        for (table, from, to) in state_ranges(shard, slots, &directory) {
            // Those of groups are read group by group.
            if !matches!(table, Table::Heads | Table::Log | Table::Rows) {
                self.range((table, &from, &to), &mut found);
            }
        }
        let (mut from, to) = keys::slots::range(shard.region, slots.0, slots.1);
        let seat = Seat::new(self.store, shard.region);
        loop {
            let heads = match log::heads_in(&seat, &from, &to, PAGE) {
                Ok(heads) => heads,
                Err(error) => {
                    found.problem(error);
                    return found;
                }
            };
            let Some((last, _)) = heads.last() else {
                return found;
            };
            from = keys::successor(last.as_bytes());
            for (group, head) in heads {
                self.group(&seat, &group, &head, &mut found);
            }
        }
    }

    /// Reads a range for its checksums only.
    fn range(&self, (table, from, to): (Table, &[u8], &[u8]), found: &mut Found) {
        let mut from = from.to_vec();
        loop {
            match self.store.scan(table, &from, to, PAGE, Direction::Forward) {
                Ok(pairs) => match pairs.last() {
                    Some((last, _)) => from = keys::successor(last).to_vec(),
                    None => return,
                },
                Err(error) => return found.problem(format!("table {table}: {}", detail(&error))),
            }
        }
    }

    fn group(&self, read: &dyn Read, group: &GroupId, head: &Head, found: &mut Found) {
        found.groups += 1;
        match self.chain(read, group, head) {
            Ok(entries) => found.entries += entries,
            Err(why) => found.problem(format!("group {group}: {why}")),
        }
        match self.rows(read, group) {
            Ok(rows) => {
                found.rows += rows.count;
                // A follower may have a head before it has the rows.
                let same = rows.count == head.rows_count && rows.sum == head.rows_digest[..];
                if found.votes && !same {
                    found.problem(format!(
                        "group {group}: its {} rows are not the {} that its head tells of",
                        rows.count, head.rows_count
                    ));
                }
            }
            Err(why) => found.problem(format!("group {group}: {why}")),
        }
    }

    /// Computes the chain anew, from the first entry that is there.
    fn chain(&self, read: &dyn Read, group: &GroupId, head: &Head) -> Result<u64, String> {
        let (mut entries, mut after) = (0, 0);
        let mut last: Option<(u64, Chain, u64)> = None;
        loop {
            let page = log::read_entries(
                read,
                group,
                after,
                0,
                limits::PAGE_ENTRIES as usize,
                limits::PAGE_BYTES,
            );
            let page = page.map_err(|error| detail(&error))?;
            if page.is_empty() {
                break;
            }
            for (seq, entry) in page {
                let before = match last {
                    Some((last, chain, _)) => {
                        if seq != last + 1 {
                            return Err(format!("entry {} is not there", last + 1));
                        }
                        Some(chain)
                    }
                    None if seq == 1 => Some(genesis(&self.cluster, group)),
                    None => None,
                };
                let (header, chain) = match before {
                    Some(before) => entry.verify(&before, seq).map_err(|e| e.to_string())?,
                    None => {
                        let header = entry.decode_header().map_err(|e| e.to_string())?;
                        (header, chain_from(&entry.chain).map_err(|e| e.to_string())?)
                    }
                };
                last = Some((seq, chain, header.count));
                after = seq;
                entries += 1;
            }
        }
        let (seq, chain, count) = last.unwrap_or((0, genesis(&self.cluster, group), 0));
        if seq != head.seq {
            return Err(format!(
                "its log ends at {seq} and its head is {}",
                head.seq
            ));
        }
        if seq > 0 && (chain != head.chain[..] || count != head.count) {
            return Err(format!("its head does not follow from its log, at {seq}"));
        }
        Ok(entries)
    }

    fn rows(&self, read: &dyn Read, group: &GroupId) -> Result<RowSetDigest, String> {
        let key = digest_key(&self.cluster);
        let mut digest = RowSetDigest::default();
        let mut after = Vec::new();
        loop {
            let page = log::read_rows(read, group, &[], &after, PAGE);
            let page = page.map_err(|error| detail(&error))?;
            let Some((last, _)) = page.last() else {
                return Ok(digest);
            };
            after = last.to_bytes().to_vec();
            for (_, row) in &page {
                let print = fingerprint(&key, group, row).map_err(|error| error.to_string())?;
                digest.insert(&print);
            }
        }
    }
}

/// Without the advice that is for a node that runs.
fn detail(error: &StoreError) -> String {
    match error {
        StoreError::Corrupt { detail } => detail.clone(),
        other => other.to_string(),
    }
}
