//! A machine that numbers its payloads and keeps them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use folkmoot_storage::{Batch, Direction, Read, Store, Table, keys};
use folkmoot_wire::ShardId;

use crate::{Inspector, Machine, MachineError, Position, Range, Unsound, Whose};

/// Deletes all payloads so far.
pub(super) const FORGET: &str = "forget";
/// Makes the machine fail.
pub(super) const POISON: &str = "poison";
/// Where it lies in a state, that is neither given nor taken.
pub(super) const UNSOUND: &str = "unsound";
/// Where it lies in a state, that is given and not taken.
pub(super) const UNSOUND_THERE: &str = "unsound there";
/// Makes the machine panic.
pub(super) const PANIC: &str = "panic";

#[derive(Default)]
pub(super) struct Counters {
    pub(super) restored: AtomicU64,
    pub(super) published: AtomicU64,
}

pub(super) struct Ledger {
    shard: ShardId,
    store: Arc<dyn Store>,
    count: u64,
    last: Option<Position>,
    counters: Arc<Counters>,
}

fn row(shard: ShardId, number: u64) -> Bytes {
    keys::outbox::key(shard, number)
}

fn count(shard: ShardId, store: &dyn Read) -> u64 {
    let count = store.get(Table::Shards, &keys::shards::key(shard)).unwrap();
    count.map_or(0, |count| {
        u64::from_be_bytes(count.as_ref().try_into().unwrap())
    })
}

/// The payloads in order, without those forgotten.
pub(super) fn payloads(shard: ShardId, store: &dyn Read) -> Vec<Bytes> {
    let (from, to) = keys::outbox::shard_range(shard);
    store
        .scan(Table::Outbox, &from, &to, usize::MAX, Direction::Forward)
        .unwrap()
        .into_iter()
        .map(|(_, payload)| payload)
        .collect()
}

impl Ledger {
    pub(super) fn open(shard: ShardId, store: Arc<dyn Store>, counters: Arc<Counters>) -> Self {
        Self {
            shard,
            count: count(shard, &*store),
            store,
            last: None,
            counters,
        }
    }
}

impl Machine for Ledger {
    fn apply(
        &mut self,
        at: Position,
        payload: &Bytes,
        batch: &mut Batch,
    ) -> Result<Bytes, MachineError> {
        assert!(
            self.last
                .is_none_or(|last| last.index < at.index && last.term <= at.term)
        );
        assert_ne!(at.leader.0, 0);
        if let Some(last) = self.last.filter(|last| last.term == at.term) {
            assert_eq!(last.leader, at.leader, "two leaders in term {}", at.term);
        }
        self.last = Some(at);
        if payload == POISON.as_bytes() {
            return Err(MachineError::new("poisoned"));
        }
        assert_ne!(payload, PANIC.as_bytes());
        if payload == FORGET.as_bytes() {
            let (from, to) = keys::outbox::shard_range(self.shard);
            batch.delete_range(Table::Outbox, from, to);
        }
        self.count += 1;
        let number = Bytes::copy_from_slice(&self.count.to_be_bytes());
        let key = row(self.shard, self.count);
        batch.put(Table::Outbox, key, Bytes::copy_from_slice(payload));
        batch.put(Table::Shards, keys::shards::key(self.shard), number.clone());
        Ok(number)
    }

    fn applied(&mut self) {
        assert_eq!(count(self.shard, &*self.store), self.count);
        self.counters.published.store(self.count, Ordering::Relaxed);
    }

    fn ranges(&self) -> Vec<Range> {
        let (from, to) = keys::outbox::shard_range(self.shard);
        let (first, end) = keys::shards::range(self.shard);
        vec![(Table::Outbox, from, to), (Table::Shards, first, end)]
    }

    fn inspector(&self) -> Arc<dyn Inspector> {
        Arc::new(Auditor)
    }

    fn restored(&mut self) -> Result<(), MachineError> {
        self.count = count(self.shard, &*self.store);
        self.last = None;
        self.counters.restored.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

struct Auditor;

impl Inspector for Auditor {
    fn inspect(
        &self,
        state: &dyn Read,
        (table, from, to): &Range,
        whose: Whose,
    ) -> Result<(), Unsound> {
        let pairs = state.scan(*table, from, to, usize::MAX, Direction::Forward);
        for (_, value) in pairs.unwrap() {
            let there = whose == Whose::Sent && value == UNSOUND_THERE;
            if value == UNSOUND || there {
                return Err(Unsound("a payload does not hold".into()));
            }
        }
        Ok(())
    }
}
