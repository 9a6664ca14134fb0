//! A node in memory: one shard, the real apply, one edge.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_replication::apply::{At, ShardApply, ShardConfig, pending};
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_storage::{
    Batch, Direction, Indexed, MemStore, Place, Read, Store, Table, keys, log, member_counts,
    members, value,
};
use folkmoot_wire::proto::{
    Command, CommandBatch, Covers, CursorBatch, CursorChange, GroupPush, Head, LogSlice, OutboxAck,
    Outcome, ResolveUser, Row, SealedEntry, command, outcome, row,
};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, RegionId, ShardId, Slot, UserId, entry};
use parking_lot::Mutex;
use prost::Message;
use tokio::time::Instant;

use super::news::merged;
use super::setting::placement;
pub(super) use super::setting::{EPOCH_MS, SECRET, token};
use crate::backend::{Backend, FoundMembers, LogRange, MembersWanted, Standing};
use crate::edge::auth::Auth;
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
    pub(super) tentative: Mutex<BTreeMap<GroupId, Vec<SealedEntry>>>,
    /// The disk has failed: no more stamps.
    pub(super) no_stamp: AtomicBool,
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
            tentative: Mutex::default(),
            no_stamp: AtomicBool::new(false),
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

#[async_trait]
impl Backend for World {
    fn node(&self) -> NodeId {
        NodeId(1)
    }

    fn region(&self) -> String {
        "here".into()
    }

    fn cluster(&self) -> String {
        "03".repeat(16)
    }

    fn stamp(&self) -> Result<Hlc, Fault> {
        if self.no_stamp.load(Ordering::SeqCst) {
            return Err(Code::StorageFailed.into());
        }
        let now = Hlc::from_parts(self.wall_ms(), 0).as_u64();
        self.stamps.fetch_max(now, Ordering::SeqCst);
        Ok(Hlc::from_u64(self.stamps.fetch_add(1, Ordering::SeqCst)))
    }

    fn wall_ms(&self) -> u64 {
        EPOCH_MS + self.start.elapsed().as_millis() as u64
    }

    fn random(&self, out: &mut [u8]) {
        for byte in out {
            *byte = self.random.fetch_add(7, Ordering::SeqCst) as u8;
        }
    }

    fn home_of(&self, group: &GroupId) -> Option<Shard> {
        self.placement.birth_shard(group).cloned()
    }

    fn placement(&self) -> Arc<Placement> {
        Arc::clone(&self.placement)
    }

    async fn propose(&self, group: GroupId, op: command::Op) -> Result<Outcome, Fault> {
        self.propose_many(group, vec![op], false)
            .await
            .pop()
            .unwrap()
    }

    async fn propose_many(
        &self,
        group: GroupId,
        ops: Vec<command::Op>,
        _tentative: bool,
    ) -> Vec<Result<Outcome, Fault>> {
        self.calls.lock().push(ops.len());
        self.wait().await;
        if let Some(fault) = self.fail.lock().take() {
            return vec![Err(fault); ops.len()];
        }
        let command = |op| Command {
            group: group.to_bytes(),
            op: Some(op),
        };
        let outcomes = self.apply(ops.into_iter().map(command).collect());
        outcomes.into_iter().map(Ok).collect()
    }

    fn tentative(&self, group: &GroupId) -> Vec<SealedEntry> {
        self.tentative
            .lock()
            .get(group)
            .cloned()
            .unwrap_or_default()
    }

    async fn resolve_user(&self, realm: &str, subject: &str) -> Result<UserId, Fault> {
        let mut unique = [0; 11];
        self.random(&mut unique);
        let candidate = UserId::new(RegionId(1), Slot(7), unique);
        let resolve = Command {
            group: Bytes::new(),
            op: Some(command::Op::ResolveUser(ResolveUser {
                realm: realm.to_owned(),
                subject: subject.to_owned(),
                candidate: candidate.to_bytes(),
            })),
        };
        match self.apply(vec![resolve]).pop().unwrap().result {
            Some(outcome::Result::Resolved(resolved)) => {
                Ok(UserId::from_slice(&resolved.user).unwrap())
            }
            _ => Err(Code::Internal.into()),
        }
    }

    async fn head(&self, group: GroupId) -> Result<Option<Head>, Fault> {
        let head = self.head_of(&group);
        self.wait().await;
        Ok(head)
    }

    async fn home_head(&self, group: GroupId) -> Result<Option<Head>, Fault> {
        Ok(self.head_of(&group))
    }

    async fn standings(&self, user: UserId, groups: &[GroupId]) -> Vec<Option<Standing>> {
        let mut standings = Vec::new();
        for group in groups {
            let head = self.head_of(group);
            let row = self.row(*group, RowKey::Cursor(user)).await.unwrap();
            let cursor = match row.and_then(|row| row.value) {
                Some(row::Value::Cursor(cursor)) => Some(cursor),
                _ => None,
            };
            standings.push(Some(Standing { head, cursor }));
        }
        self.wait().await;
        standings
    }

    async fn row(&self, group: GroupId, key: RowKey) -> Result<Option<Row>, Fault> {
        let key = keys::rows::key(&group, &key);
        let bytes = self.store.get(Table::Rows, &key).unwrap();
        Ok(bytes.map(|bytes| value::decode_value(bytes).unwrap()))
    }

    async fn rows(
        &self,
        group: GroupId,
        kind: Option<RowKind>,
        after: Bytes,
        limit: u32,
    ) -> Result<(Vec<Row>, Bytes), Fault> {
        let (mut from, to) = match kind {
            Some(kind) => keys::rows::kind_range(&group, kind),
            None => keys::rows::group_range(&group),
        };
        if !after.is_empty() {
            let last = [group.as_bytes(), &after[..]].concat();
            from = from.max(keys::successor(&last));
        }
        let (limit, way) = (limit as usize, Direction::Forward);
        let scan = self.store.scan(Table::Rows, &from, &to, limit, way);
        let decoded = scan.unwrap().into_iter();
        let rows: Vec<Row> = decoded
            .map(|(_, bytes)| value::decode_value(bytes).unwrap())
            .collect();
        let full = rows.len() == limit;
        let next = rows.last().filter(|_| full).map(|row| row.key.clone());
        Ok((rows, next.unwrap_or_default()))
    }

    async fn members(&self, group: GroupId, wanted: &MembersWanted) -> Result<FoundMembers, Fault> {
        let (place, limit) = (Place::of_birth(group), wanted.limit as usize);
        let found = members(&*self.store, &place, &wanted.sorted, &wanted.after, limit);
        let (rows, next) = found.unwrap();
        let by_role = member_counts(&*self.store, &place).unwrap().to_vec();
        Ok(FoundMembers {
            rows,
            next,
            by_role,
        })
    }

    async fn log(&self, group: GroupId, range: LogRange) -> Result<LogSlice, Fault> {
        let head = self.head_of(&group).ok_or(Code::NotFound)?;
        let LogRange {
            after,
            before,
            max_bytes,
            backward,
            ..
        } = range;
        let limit = range.limit as usize;
        let read = if backward {
            log::read_entries_back(&*self.store, &group, after, before, limit, max_bytes)
        } else {
            log::read_entries(&*self.store, &group, after, before, limit, max_bytes)
        };
        let entries = read.unwrap();
        let from = entries.first().map_or(after + 1, |(seq, _)| *seq);
        let to = entries.last().map_or(after, |(seq, _)| *seq);
        let chain_before = match from {
            1 => Bytes::copy_from_slice(&entry::genesis(&CLUSTER, &group)),
            from => {
                let before = log::read_entry(&*self.store, &group, from - 1).unwrap();
                before.map(|entry| entry.chain).unwrap_or_default()
            }
        };
        Ok(LogSlice {
            group: group.to_bytes(),
            covers: Some(Covers { from, to }),
            chain_before,
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            head: Some(head),
            gone: false,
        })
    }

    async fn want(&self, group: GroupId) -> Result<(), Fault> {
        *self.wanted.lock().entry(group).or_default() += 1;
        Ok(())
    }

    fn unwant(&self, group: GroupId) {
        *self.wanted.lock().entry(group).or_default() -= 1;
    }

    fn move_cursor(&self, group: GroupId, user: UserId, seq: u64) {
        let op = command::Op::Cursors(CursorBatch {
            changes: vec![CursorChange {
                user: user.to_bytes(),
                seq,
            }],
        });
        self.apply(vec![Command {
            group: group.to_bytes(),
            op: Some(op),
        }]);
    }
}
