//! A node in memory: one shard, the real apply, one edge.

mod port;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_replication::apply::{At, ShardApply, ShardConfig, pending};
use folkmoot_replication::placement::Placement;
use folkmoot_replication::presence::Home;
use folkmoot_storage::{Batch, Indexed, MemStore, Read, Store, Table, keys, value};
use folkmoot_wire::proto::{
    Command, CommandBatch, GroupPush, Head, OutboxAck, Outcome, SealedEntry, command,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Fault, GroupId, NodeId, RegionId, ShardId, Slot};
use parking_lot::Mutex;
use prost::Message;
use tokio::time::Instant;

use super::news::merged;
use super::setting::placement;
pub(super) use super::setting::{EPOCH_MS, SECRET, token};
use crate::backend::Backend;
use crate::edge::auth::Auth;
use crate::edge::presence::BOUNDS;
use crate::edge::{Edge, EdgeOptions};

const CLUSTER: [u8; 16] = [3; 16];

pub(super) struct World {
    store: Arc<dyn Store>,
    apply: Mutex<ShardApply>,
    index: AtomicU64,
    stamps: AtomicU64,
    random: AtomicU64,
    start: Instant,
    placement: Arc<Placement>,
    edge: OnceLock<Arc<Edge>>,
    /// Sizes of the calls of `propose_many`.
    pub(super) calls: Mutex<Vec<usize>>,
    /// The next calls fail with this.
    pub(super) fail: Mutex<Option<Fault>>,
    /// Proposals take this long, and heads are this old.
    pub(super) latency: Mutex<Duration>,
    /// `want`s minus `unwant`s.
    pub(super) wanted: Mutex<BTreeMap<GroupId, i64>>,
    /// Rows that the home has, and the copy here does not have yet.
    pub(super) not_here: Mutex<BTreeSet<RowKey>>,
    /// The copy here ends there.
    pub(super) head_here: Mutex<Option<Head>>,
    pub(super) tentative: Mutex<BTreeMap<GroupId, Vec<SealedEntry>>>,
    /// The disk has failed: no more stamps.
    pub(super) no_stamp: AtomicBool,
    /// The home of all users.
    pub(super) home: Mutex<Home>,
    /// It cannot be reached, for this reason.
    pub(super) no_homes: Mutex<Option<Fault>>,
    pub(super) hold_news: AtomicBool,
    pub(super) held_news: Mutex<Vec<GroupPush>>,
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        Self::with(EdgeOptions::default())
    }

    pub(super) fn with(options: EdgeOptions) -> Arc<Self> {
        let store = Indexed::over(Arc::new(MemStore::new())).unwrap();
        let config = ShardConfig {
            shard: ShardId(1),
            region: RegionId(1),
            slots: (Slot(0), Slot(u16::MAX)),
            generation: 1,
            cluster: CLUSTER,
            digest_key: [4; 32],
        };
        let apply = ShardApply::open(config, Arc::clone(&store) as Arc<dyn Read>).unwrap();
        let world = Arc::new(Self {
            store,
            apply: Mutex::new(apply),
            index: AtomicU64::new(0),
            stamps: AtomicU64::new(Hlc::from_parts(EPOCH_MS, 0).as_u64()),
            random: AtomicU64::new(1),
            start: Instant::now(),
            placement: Arc::new(placement()),
            edge: OnceLock::new(),
            calls: Mutex::default(),
            fail: Mutex::default(),
            latency: Mutex::default(),
            wanted: Mutex::default(),
            not_here: Mutex::default(),
            head_here: Mutex::default(),
            tentative: Mutex::default(),
            no_stamp: AtomicBool::new(false),
            home: Mutex::new(Home::new(ShardId(1), 1, BOUNDS)),
            no_homes: Mutex::default(),
            hold_news: AtomicBool::new(false),
            held_news: Mutex::default(),
        });
        let auth = Auth::new("app", "folkmoot").with_hs256("k", &SECRET);
        let edge = Edge::new(Arc::clone(&world) as Arc<dyn Backend>, auth, options);
        assert!(world.edge.set(edge).is_ok());
        world
    }

    pub(super) fn edge(&self) -> &Arc<Edge> {
        self.edge.get().unwrap()
    }

    /// Applies; what waits in the outbox is delivered at once.
    fn apply(&self, commands: Vec<Command>) -> Vec<Outcome> {
        let mut apply = self.apply.lock();
        let (outcomes, pushes) = self.apply_one(&mut apply, commands);
        self.publish(pushes);
        loop {
            let waiting = pending(&*self.store, ShardId(1), 100).unwrap();
            let Some(last) = waiting.last() else {
                return outcomes;
            };
            let ack = Command {
                group: Bytes::new(),
                op: Some(command::Op::OutboxAck(OutboxAck { up_to: last.number })),
            };
            let commands = waiting
                .into_iter()
                .map(|p| p.command)
                .chain([ack])
                .collect();
            let (_, pushes) = self.apply_one(&mut apply, commands);
            self.publish(pushes);
        }
    }

    fn apply_one(
        &self,
        apply: &mut ShardApply,
        commands: Vec<Command>,
    ) -> (Vec<Outcome>, Vec<GroupPush>) {
        let at = At {
            index: self.index.fetch_add(1, Ordering::SeqCst) + 1,
            term: 1,
            leader: NodeId(1),
        };
        let payload = CommandBatch {
            proposed_hlc: self.stamp().unwrap().as_u64(),
            commands,
        };
        let mut batch = Batch::default();
        let done = apply
            .apply(at, &payload.encode_to_vec().into(), &mut batch)
            .unwrap();
        self.store.write(batch).unwrap();
        apply.settled();
        done
    }

    fn publish(&self, pushes: Vec<GroupPush>) {
        if self.hold_news.load(Ordering::SeqCst) {
            self.held_news.lock().extend(pushes);
        } else if let Some(edge) = self.edge.get() {
            edge.publish(&pushes);
        }
    }

    /// Publishes what was kept back, in one go.
    pub(super) fn release_news(&self) {
        self.hold_news.store(false, Ordering::SeqCst);
        let held = std::mem::take(&mut *self.held_news.lock());
        self.publish(merged(held));
    }

    async fn wait(&self) {
        let latency = *self.latency.lock();
        tokio::time::sleep(latency).await;
    }

    fn head_of(&self, group: &GroupId) -> Option<Head> {
        let bytes = self
            .store
            .get(Table::Heads, &keys::heads::key(group))
            .unwrap()?;
        Some(value::decode_value(bytes).unwrap())
    }
}
