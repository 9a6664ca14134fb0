//! Whether this node may vote: it asks others what they know of it, before its
//! replicas begin and all the time afterwards.
//!
//! A node whose folder is older than what it had says so, and its replicas
//! begin only when they are bound by all that they may have forgotten: then
//! they take what leaders send, and neither vote for a log nor stand with one
//! that lacks it. A node under whose number another process started stops.

mod answer;
mod begin;
pub mod judge;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_consensus::{holds, remember};
use folkmoot_replication::placement::Shard;
use folkmoot_storage::{Batch, Commit, Store, Table, keys};
use folkmoot_wire::proto::{AskOfMe, KnownOfYou, node_reply, node_request};
use folkmoot_wire::{Code, NodeId, ShardId, limits};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::judge::{Finding, Judge, Older};
use super::meta::MetaHost;
use super::parts::{StartError, Started, node_number};
use super::peers::{Class, Peers};
use super::shards::Voters;
use super::view::ClusterView;
use super::witness::Witness;

struct State {
    judge: Judge,
    /// Number of the finding that the folder is older, as it is kept; 0: none.
    older: u64,
    /// Shards whose replicas may begin or have begun.
    cleared: BTreeSet<ShardId>,
    /// Whom the others wait for.
    waiting: BTreeMap<ShardId, Vec<NodeId>>,
    /// Of an older folder: those that hold all again.
    whole: BTreeSet<ShardId>,
}

/// What a [`Standing`] is made of.
pub struct StandingParts {
    pub me: NodeId,
    pub started: Started,
    pub store: Arc<dyn Store>,
    pub commit: Arc<dyn Commit>,
    pub peers: Arc<Peers>,
    pub view: Arc<ClusterView>,
    pub voters: Arc<Voters>,
    pub meta: Arc<MetaHost>,
    pub fatal: mpsc::Sender<String>,
}

/// This node's standing with the others.
pub struct Standing {
    parts: StandingParts,
    pub witness: Arc<Witness>,
    begun: Instant,
    /// Shards whose replicas were there at the start.
    held: BTreeSet<ShardId>,
    state: Mutex<State>,
}

impl Standing {
    /// Before anybody was asked.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(parts: StandingParts) -> Result<Self, StartError> {
        let replaced = parts.store.get(Table::Node, keys::node::REPLACED)?;
        if replaced.is_some() {
            return Err(StartError::ReplacedBefore(parts.me));
        }
        let witness = Witness::open(Arc::clone(&parts.store), Arc::clone(&parts.commit))?;
        let mut judge = Judge::new(
            parts.me,
            parts.started.before,
            parts.started.now,
            Duration::ZERO,
        );
        let older = node_number(&*parts.store, keys::node::OLDER)?;
        if older > 0 {
            judge.doubt(Older::Before, Duration::ZERO);
        }
        let state = State {
            judge,
            older,
            cleared: BTreeSet::new(),
            waiting: BTreeMap::new(),
            whole: BTreeSet::new(),
        };
        let mut held = BTreeSet::new();
        for shard in parts.view.placement().all_shards() {
            if holds(shard.id, &*parts.store)? {
                held.insert(shard.id);
            }
        }
        Ok(Self {
            witness: Arc::new(witness),
            begun: Instant::now(),
            held,
            state: Mutex::new(state),
            parts,
        })
    }

    /// Whether this node may have forgotten what it promised of a shard.
    fn unsure(&self, shard: ShardId) -> bool {
        let state = self.state.lock();
        state.judge.older().is_some() && !state.cleared.contains(&shard)
    }

    /// Asks until the node stops.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let work = async {
            loop {
                if let Err(error) = self.round().await {
                    let _ = self.parts.fatal.send(error.to_string()).await;
                    return;
                }
                sleep(match self.is_settled() {
                    true => limits::ASK_EVERY,
                    false => limits::ASK_SOON,
                })
                .await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Whether it votes, with all that it had.
    fn is_settled(&self) -> bool {
        let state = self.state.lock();
        let whole = state.judge.older().is_none() || state.whole == state.cleared;
        whole && state.waiting.is_empty()
    }

    async fn round(&self) -> Result<(), StartError> {
        let mine = self.mine();
        let shards: Vec<u32> = mine.iter().map(|shard| shard.id.0).collect();
        let mut asked: FuturesUnordered<_> = self
            .others(&mine)
            .into_iter()
            .map(|node| self.ask(node, shards.clone()))
            .collect();
        self.clear(&mine).await?;
        while let Some((node, answer)) = asked.next().await {
            let Some(answer) = answer else { continue };
            self.take(node, answer).await?;
            self.confirm(node).await;
            self.clear(&self.mine()).await?;
        }
        Ok(())
    }

    /// The shards this node has a part in, and has to ask others about.
    fn mine(&self) -> Vec<Shard> {
        let placement = self.parts.view.placement();
        let mine = placement.all_shards();
        mine.filter(|shard| self.has_to_ask(shard))
            .cloned()
            .collect()
    }

    /// Whom to ask: who votes with this node first.
    fn others(&self, mine: &[Shard]) -> Vec<NodeId> {
        let placement = self.parts.view.placement();
        let voters = mine.iter().flat_map(|shard| shard.replicas.iter().copied());
        let mut others: Vec<NodeId> = voters.collect::<BTreeSet<_>>().into_iter().collect();
        let with_me = others.len();
        let rest = placement.nodes().map(|(id, _)| id);
        let rest: Vec<NodeId> = rest.filter(|node| !others.contains(node)).collect();
        others.extend(rest);
        others.retain(|node| *node != self.parts.me);
        others.truncate(with_me.max(limits::ASK_PEERS));
        others
    }

    async fn ask(&self, node: NodeId, shards: Vec<u32>) -> (NodeId, Option<Option<KnownOfYou>>) {
        let (start, before) = {
            let judge = &self.state.lock().judge;
            (judge.start(), judge.before())
        };
        let asked = AskOfMe {
            start,
            shards,
            before,
        };
        let request = node_request::Request::AskOfMe(asked);
        let deadline = limits::ASK_DEADLINE;
        let answer = self.parts.peers.call(node, Class::Live, request, deadline);
        let answer = match answer.await {
            Ok(node_reply::Reply::KnownOfYou(known)) => Some(Some(known)),
            // A build that keeps nothing of others.
            Err(fault) if fault.code == Code::UnknownRequest => Some(None),
            _ => None,
        };
        (node, answer)
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    async fn take(&self, from: NodeId, answer: Option<KnownOfYou>) -> Result<(), StartError> {
        let now = self.now();
        let found = {
            let judge = &mut self.state.lock().judge;
            match answer {
                Some(known) => judge.answered(from, now, &known, |shard| self.here(shard)),
                None => {
                    judge.answered_nothing(from, now);
                    None
                }
            }
        };
        match found {
            None => Ok(()),
            Some(Finding::Replaced { by }) => self.is_replaced(by),
            Some(Finding::Older(why)) => self.is_found_older(why, now),
        }
    }

    /// It stays stopped: started again and again, the two would take turns.
    fn is_replaced(&self, by: NodeId) -> Result<(), StartError> {
        let mut batch = Batch::new();
        let name = Bytes::from_static(keys::node::REPLACED);
        batch.put(Table::Node, name, Bytes::from_static(&[1]));
        self.parts.store.write(batch)?;
        self.parts.store.sync()?;
        let node = self.parts.me;
        Err(StartError::Replaced { node, by })
    }

    fn is_found_older(&self, why: Older, now: Duration) -> Result<(), StartError> {
        let mut state = self.state.lock();
        let start = state.judge.start();
        if !state.judge.doubt(why, now) {
            return self.keep(start, state.older);
        }
        // On disk before anybody hears of this start again: then nothing else
        // tells any more.
        self.keep(start, start)?;
        state.older = start;
        tracing::error!(
            %why,
            "the data folder is older than what this node had: it votes with others only when it has caught up; what nobody else has is lost"
        );
        let begun = !self.parts.voters.all().is_empty() || self.parts.meta.raft().is_some();
        match begun || !state.cleared.is_empty() {
            true => Err(StartError::Older(why.to_string())),
            false => Ok(()),
        }
    }

    fn keep(&self, start: u64, older: u64) -> Result<(), StartError> {
        let mut batch = Batch::new();
        let value = |number: u64| Bytes::copy_from_slice(&number.to_be_bytes());
        let names = Bytes::from_static;
        batch.put(Table::Node, names(keys::node::INCARNATION), value(start));
        batch.put(Table::Node, names(keys::node::OLDER), value(older));
        self.parts.store.write(batch)?;
        self.parts.store.sync()?;
        Ok(())
    }

    /// Lets those replicas begin that may.
    async fn clear(&self, mine: &[Shard]) -> Result<(), StartError> {
        let mut new = false;
        for shard in mine {
            new |= self.clear_one(shard).await?;
        }
        self.forget_gone(mine);
        self.see_whole();
        if new {
            self.parts.view.nudge();
        }
        Ok(())
    }

    async fn clear_one(&self, shard: &Shard) -> Result<bool, StartError> {
        let id = shard.id;
        let replicas: Vec<NodeId> = shard.replicas.iter().copied().collect();
        let (promises, older) = {
            let mut state = self.state.lock();
            let state = &mut *state;
            // One that began as a newcomer votes by now.
            if state.cleared.contains(&id) || self.replica(id).is_some() {
                state.cleared.insert(id);
                return Ok(false);
            }
            if state.older > 0
                && node_number(&*self.parts.store, &keys::node::remembered(id))? == state.older
            {
                state.judge.remembered(id);
            }
            let waits = self.waits(&state.judge, shard);
            if waits.is_empty() {
                state.waiting.remove(&id);
                state.cleared.insert(id);
                return Ok(true);
            }
            if state.judge.older().is_none() || state.judge.lacks_place() {
                state.waiting.insert(id, waits);
                return Ok(false);
            }
            match state.judge.recall(id, &replicas) {
                Ok(promises) => (promises, state.older),
                Err(missing) => {
                    state.waiting.insert(id, missing);
                    return Ok(false);
                }
            }
        };
        let mut batch = Batch::new();
        let value = Bytes::copy_from_slice(&older.to_be_bytes());
        batch.put(Table::Node, keys::node::remembered(id), value);
        let (store, commit) = (&*self.parts.store, &*self.parts.commit);
        remember(id, self.parts.me, store, commit, batch, &promises).await?;
        tracing::warn!(
            shard = id.0,
            "the other voters have said what this replica may have forgotten: it catches up"
        );
        let mut state = self.state.lock();
        state.judge.remembered(id);
        state.waiting.remove(&id);
        state.cleared.insert(id);
        Ok(true)
    }

    /// Shards that have other voters by now are waited for no more.
    fn forget_gone(&self, mine: &[Shard]) {
        let mut state = self.state.lock();
        let there = |shard: &ShardId| mine.iter().any(|mine| mine.id == *shard);
        state.waiting.retain(|shard, _| there(shard));
    }

    /// Says, once, that a replica of an older folder holds all again.
    fn see_whole(&self) {
        let mut state = self.state.lock();
        if state.judge.older().is_none() {
            return;
        }
        let State { cleared, whole, .. } = &mut *state;
        for shard in cleared.iter() {
            let Some(raft) = self.replica(*shard) else {
                continue;
            };
            if !whole.contains(shard) && raft.lacks().is_none() {
                whole.insert(*shard);
                tracing::info!(shard = shard.0, "the replica holds again what it had");
            }
        }
    }
}
