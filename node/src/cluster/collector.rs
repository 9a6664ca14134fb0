//! Collects, at a shard's leader, the rows that only say that something is
//! gone: found by the store's table of them, proposed once every voter has them
//! on disk.
//!
//! A voter that is away keeps all of them where they are, however long: it is
//! that, and no clock, that says when nobody needs them any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_consensus::Sequencer;
use folkmoot_replication::apply::{applied, tombstones};
use folkmoot_replication::placement::Shard;
use folkmoot_storage::{Place, Store, StoreError, gone, keys};
use folkmoot_wire::proto::{CollectRows, Command, StoredApplied, command};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Fault, NodeId, limits, version};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::peers::Peers;
use super::router::Router;
use super::shards::VoterShard;
use super::versions::Versions;
use super::view::ClusterView;

/// One shard's collector.
pub struct Collector {
    pub voter: VoterShard,
    pub store: Arc<dyn Store>,
    pub router: Arc<Router>,
    pub peers: Arc<Peers>,
    pub view: Arc<ClusterView>,
}

/// How far one walk through what is gone in the shard is.
#[derive(Default)]
struct Walk {
    /// The last row that was looked at; empty: it begins anew.
    after: Bytes,
    /// What waits until every voter has it, how many rows that are, and the
    /// version at which all are there.
    found: Vec<Command>,
    rows: usize,
    seen_at: u64,
}

impl Collector {
    /// Runs until the replica ends.
    pub async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&self) {
        let mut walk = Walk::default();
        loop {
            sleep(limits::COLLECT_EVERY).await;
            if !self.voter.raft.status().is_leader {
                walk = Walk::default();
                continue;
            }
            let placement = self.view.placement();
            let shard = placement.shard(self.voter.id);
            // While voters change, who has what is about to.
            let Some(shard) = shard.filter(|shard| shard.next.is_empty()) else {
                continue;
            };
            if let Err(fault) = self.round(shard, &mut walk).await {
                tracing::debug!(shard = shard.id.0, %fault, "collecting rows waits");
            }
        }
    }

    async fn round(&self, shard: &Shard, walk: &mut Walk) -> Result<(), Fault> {
        if !self.may_collect(shard).await? {
            return Ok(());
        }
        if walk.found.is_empty() {
            self.look(shard, walk).map_err(super::read::storage)?;
        }
        if walk.found.is_empty() || !self.all_have(shard, walk.seen_at) {
            return Ok(());
        }
        // What is not committed is found again by the next walk.
        let (found, rows) = (std::mem::take(&mut walk.found), walk.rows);
        self.router.propose(shard, found).await?;
        self.voter.count_collected(rows as u64);
        Ok(())
    }

    /// Whether all voters have the log up to this version on disk. They apply
    /// it before anything that comes behind it.
    fn all_have(&self, shard: &Shard, version: u64) -> bool {
        let now = self.voter.raft.membership();
        let mut others = self.others(shard);
        others.all(|node| now.matched.get(&node).is_some_and(|at| *at >= version))
    }

    fn others(&self, shard: &Shard) -> impl Iterator<Item = NodeId> {
        let me = self.peers.me();
        let voters = shard.voters.clone().into_iter();
        voters.filter(move |node| *node != me)
    }

    /// Whether apply knows how to. A shard is told to go by the newest rules
    /// once all nodes know them: followers derive rows by them.
    async fn may_collect(&self, shard: &Shard) -> Result<bool, Fault> {
        let applied = self.applied().map_err(super::read::storage)?;
        if applied.apply_version >= version::APPLY {
            return Ok(true);
        }
        let versions = Versions {
            peers: Arc::clone(&self.peers),
            router: Arc::clone(&self.router),
        };
        let raised = match versions.check_living(&self.view, version::APPLY).await {
            Ok(()) => versions.raise(shard, version::APPLY).await,
            unknown => unknown,
        };
        if applied.apply_version >= version::APPLY_COLLECTS {
            return Ok(true);
        }
        raised.map(|()| false)
    }

    fn applied(&self) -> Result<StoredApplied, StoreError> {
        Ok(applied(&*self.store, self.voter.id)?.unwrap_or_default())
    }

    /// Goes on with the walk, by no more rows than a command may name. What has
    /// to wait is met again on the next one.
    fn look(&self, shard: &Shard, walk: &mut Walk) -> Result<(), StoreError> {
        let (first, to) = keys::slots::range(shard.region, shard.slots.0, shard.slots.1);
        let from = match &walk.after[..] {
            [] => first,
            after => keys::successor(after),
        };
        let keys = gone(&*self.store, &from, &to, limits::COLLECT_ROWS)?;
        let mut groups: BTreeMap<Place, Vec<RowKey>> = BTreeMap::new();
        for key in &keys {
            let (place, row) = keys::rows::placed(key)?;
            groups.entry(place).or_default().push(row);
        }
        walk.rows = 0;
        for (place, rows) in groups {
            let found = tombstones(&place.seat(&*self.store), &place.group, &rows)?;
            if found.rows.is_empty() {
                continue;
            }
            walk.seen_at = walk.seen_at.max(found.version);
            walk.rows += found.rows.len();
            walk.found.push(Command {
                group: place.group.to_bytes(),
                op: Some(command::Op::Collect(CollectRows { rows: found.rows })),
            });
        }
        let is_last = keys.len() < limits::COLLECT_ROWS;
        walk.after = keys
            .into_iter()
            .next_back()
            .filter(|_| !is_last)
            .unwrap_or_default();
        Ok(())
    }
}
