//! Looks at a shard's logs on their way from one replica to another: each entry
//! has to follow from the one before it, up to the group's head (decision 42).

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_consensus::{Inspector, Range, Unsound, Whose};
use folkmoot_replication::apply::slots_held;
use folkmoot_storage::{Direction, Place, Read, StoreError, Table, keys, log};
use folkmoot_wire::proto::Head;
use folkmoot_wire::{GroupId, ShardId, limits, without};

use super::extent::{Extent, Slots};
use super::mender::Suspects;
use super::read::proof::{self, Unproven};

/// Heads and entries read at once.
const PAGE: usize = 64;
/// Bytes of a seq in a key.
const SEQ: usize = 8;

/// What does not hold.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("entry {seq} of group {} does not follow from the one before it", .place.group)]
    Entry { place: Place, seq: u64 },
    #[error("its sender has not applied a split of the shard that was applied here")]
    Behind,
    #[error("the head of group {group} does not follow from its log, at seq {seq}")]
    Head { group: GroupId, seq: u64 },
}

/// Knows the chains of a cluster.
pub struct Chains {
    pub cluster: [u8; 16],
    /// Is told of what is wrong in this node's own logs.
    pub suspects: Arc<Suspects>,
    /// The replica's own slots.
    pub keeps: Keeps,
}

/// What a replica has of its shard.
pub struct Keeps {
    pub shard: ShardId,
    /// What the shard was made with.
    pub made: Slots,
    pub extent: Arc<Extent>,
}

impl Inspector for Chains {
    fn inspect(
        &self,
        state: &dyn Read,
        (table, from, to): &Range,
        whose: Whose,
    ) -> Result<(), Unsound> {
        if whose == Whose::Sent && *table == Table::Shards {
            self.slots(state)
                .map_err(|wrong| Unsound(wrong.to_string()))?;
        }
        without!(ChainCheck => { return Ok(()); });
        let looked = match table {
            Table::Log => self.log(state, from, to),
            Table::Heads => self.heads(state, from, to),
            _ => return Ok(()),
        };
        looked.map_err(|wrong| {
            if let (Whose::Own, Wrong::Entry { place, seq }) = (whose, &wrong) {
                self.suspects.add(*place, *seq);
            }
            Unsound(wrong.to_string())
        })
    }
}

impl Chains {
    /// A state from before a split would bring back here what is another shard's
    /// by now, and lies here as that.
    fn slots(&self, state: &dyn Read) -> Result<(), Wrong> {
        let Keeps {
            shard,
            made,
            extent,
        } = &self.keeps;
        let sent = slots_held(state, *shard)?.unwrap_or(*made);
        match sent.1 <= extent.slots().1 {
            true => Ok(()),
            false => Err(Wrong::Behind),
        }
    }

    /// Everything that the heads tell of is there, between two keys of the log,
    /// and follows from each other and from what lies beside it.
    fn log(&self, state: &dyn Read, from: &Bytes, to: &Bytes) -> Result<(), Wrong> {
        let (begin, end) = (entry_of(from), entry_of(to));
        let first = begin.map_or_else(|| from.clone(), |(place, _)| place.key());
        let last = end.map_or_else(|| to.clone(), |(place, _)| keys::successor(&place.key()));
        each_head(state, first, &last, |place, head| {
            let floor = head.floor.as_ref().map_or(0, |floor| floor.seq);
            let mut run = (floor + 1, head.seq);
            if let Some((_, seq)) = begin.filter(|(of, _)| *of == place) {
                run.0 = run.0.max(seq);
            }
            if let Some((_, seq)) = end.filter(|(of, _)| *of == place) {
                run.1 = run.1.min(seq.saturating_sub(1));
            }
            if run.0 <= run.1 {
                self.run(state, &place, head, run)?;
            }
            Ok(())
        })
    }

    fn run(
        &self,
        state: &dyn Read,
        place: &Place,
        head: &Head,
        (first, last): (u64, u64),
    ) -> Result<(), Wrong> {
        let (seat, group) = (place.seat(state), &place.group);
        let wrong = |seq| Wrong::Entry { place: *place, seq };
        let before = proof::chain_at(&seat, &self.cluster, group, head, first - 1);
        let mut chain = before.map_err(|why| unproven(place, why))?;
        let mut due = first;
        while due <= last {
            let (after, before) = (due - 1, last.saturating_add(1));
            let max = limits::PAGE_BYTES;
            let page = log::read_entries(&seat, group, after, before, PAGE, max);
            let page = page.map_err(|why| unproven(place, why.into()))?;
            if page.is_empty() {
                return Err(wrong(due));
            }
            for (seq, sealed) in page {
                if seq != due {
                    return Err(wrong(due));
                }
                (_, chain) = sealed.verify(&chain, seq).map_err(|_| wrong(seq))?;
                due += 1;
            }
        }
        if last == head.seq {
            return self.ends(place, head, &chain);
        }
        let next = log::read_entry(&seat, group, due).map_err(|why| unproven(place, why.into()))?;
        let follows = next.is_some_and(|sealed| sealed.verify(&chain, due).is_ok());
        follows.then_some(()).ok_or_else(|| wrong(due))
    }

    /// Heads are those of their logs.
    fn heads(&self, state: &dyn Read, from: &Bytes, to: &Bytes) -> Result<(), Wrong> {
        each_head(state, from.clone(), to, |place, head| {
            if head.seq == 0 {
                return Ok(());
            }
            let seat = place.seat(state);
            let chain = proof::chain_at(&seat, &self.cluster, &place.group, head, head.seq);
            let chain = chain.map_err(|why| unproven(&place, why))?;
            self.ends(&place, head, &chain)
        })
    }

    fn ends(&self, place: &Place, head: &Head, chain: &[u8]) -> Result<(), Wrong> {
        let (group, seq) = (place.group, head.seq);
        let is_its = head.chain[..] == *chain;
        is_its.then_some(()).ok_or(Wrong::Head { group, seq })
    }
}

fn unproven(place: &Place, why: Unproven) -> Wrong {
    match why {
        Unproven::Damaged { seq } => Wrong::Entry { place: *place, seq },
        Unproven::Store(error) => Wrong::Store(error),
    }
}

/// The entry that a key is of; `None`: it is the end of a range.
fn entry_of(key: &[u8]) -> Option<(Place, u64)> {
    let (place, rest) = Place::split(key).ok()?;
    let seq: [u8; SEQ] = rest.try_into().ok()?;
    Some((place, u64::from_be_bytes(seq)))
}

fn each_head(
    state: &dyn Read,
    mut from: Bytes,
    to: &[u8],
    mut each: impl FnMut(Place, &Head) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    loop {
        let heads = state.scan(Table::Heads, &from, to, PAGE, Direction::Forward)?;
        let Some((last, _)) = heads.last() else {
            return Ok(());
        };
        from = keys::successor(last);
        for (key, _) in heads {
            let (place, _) = Place::split(&key)?;
            if let Some(head) = log::read_head(&place.seat(state), &place.group)? {
                each(place, &head)?;
            }
        }
    }
}

#[cfg(test)]
mod tests;
