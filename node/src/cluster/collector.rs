//! Collects, at a shard's leader, the rows that only say that something is
//! gone: found page by page, proposed once every voter has them on disk.
//!
//! A voter that is away keeps all of them where they are, however long: it is
//! that, and no clock, that says when nobody needs them any more.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_consensus::Sequencer;
use folkmoot_replication::apply::{applied, tombstones};
use folkmoot_replication::placement::Shard;
use folkmoot_storage::{Read, Seat, Store, StoreError, keys, log};
use folkmoot_wire::proto::{CollectRows, Command, StoredApplied, Tombstone, command};
use folkmoot_wire::{Fault, GroupId, NodeId, limits, version};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::peers::Peers;
use super::router::Router;
use super::shards::VoterShard;
use super::versions::Versions;
use super::view::ClusterView;

/// Heads read at once, at most.
const HEADS: usize = 512;

/// One shard's collector.
pub struct Collector {
    pub voter: VoterShard,
    pub store: Arc<dyn Store>,
    pub router: Arc<Router>,
    pub peers: Arc<Peers>,
    pub view: Arc<ClusterView>,
}

/// Rows of one group that are to go.
struct Found {
    group: GroupId,
    rows: Vec<Tombstone>,
}

/// How far one walk through all groups of the shard is.
#[derive(Default)]
struct Walk {
    /// The group that is looked at, and the last row key; before that, the
    /// last group that was.
    group: Option<GroupId>,
    rows_after: Bytes,
    /// What waits until every voter has it, and the version at which it does.
    found: Vec<Found>,
    seen_at: u64,
    /// Something was found.
    found_any: bool,
    /// Version of the shard when this walk began, and when the last one began
    /// that found nothing: groups that did not change since have nothing.
    began: u64,
    clean: u64,
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
        let found = std::mem::take(&mut walk.found);
        let rows: usize = found.iter().map(|found| found.rows.len()).sum();
        for Found { group, rows } in found {
            let collect = command::Op::Collect(CollectRows { rows });
            self.propose(shard, group.to_bytes(), collect).await?;
        }
        self.voter.count_collected(rows as u64);
        Ok(())
    }

    async fn propose(&self, shard: &Shard, group: Bytes, op: command::Op) -> Result<(), Fault> {
        let command = Command {
            group,
            op: Some(op),
        };
        self.router.propose(shard, vec![command]).await.map(|_| ())
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

    /// Goes on with the walk for a bounded number of reads, or until a
    /// command's worth was found.
    fn look(&self, shard: &Shard, walk: &mut Walk) -> Result<(), StoreError> {
        let (mut reads, mut found) = (0, 0);
        let seat = Seat::new(&*self.store, shard.region);
        while reads < limits::COLLECT_READS && found < limits::COLLECT_ROWS {
            reads += 1;
            if walk.rows_after.is_empty() && !self.next_group(shard, &seat, walk)? {
                return Ok(());
            }
            let Some(group) = walk.group else {
                return Ok(());
            };
            let Some(head) = log::read_head(&seat, &group)? else {
                walk.rows_after = Bytes::new();
                continue;
            };
            let limit = limits::COLLECT_ROWS - found;
            let page = tombstones(&seat, &group, &head, &walk.rows_after, limit)?;
            walk.rows_after = page.next;
            reads += page.read;
            if page.rows.is_empty() {
                continue;
            }
            // Read behind the rows: nothing of them is newer.
            let head = log::read_head(&seat, &group)?.unwrap_or(head);
            walk.seen_at = walk.seen_at.max(head.version);
            walk.found_any = true;
            found += page.rows.len();
            walk.found.push(Found {
                group,
                rows: page.rows,
            });
        }
        Ok(())
    }

    /// To the next group that has changed. False: the walk is at its end.
    fn next_group(
        &self,
        shard: &Shard,
        seat: &dyn Read,
        walk: &mut Walk,
    ) -> Result<bool, StoreError> {
        let (from, to) = keys::slots::range(shard.region, shard.slots.0, shard.slots.1);
        if walk.group.is_none() {
            walk.began = self.applied()?.index;
            walk.found_any = false;
            if walk.began == walk.clean {
                return Ok(false);
            }
        }
        let mut from = match &walk.group {
            Some(group) => keys::successor(&shard.place(*group).key()),
            None => from,
        };
        let (mut heads, mut page) = (0, 1);
        while heads < limits::COLLECT_READS {
            let next = log::heads_in(seat, &from, &to, page)?;
            let Some((last, _)) = next.last() else {
                if !walk.found_any {
                    walk.clean = walk.began;
                }
                walk.group = None;
                return Ok(false);
            };
            let changed = next.iter().find(|(_, head)| head.version > walk.clean);
            if let Some((group, _)) = changed {
                walk.group = Some(*group);
                return Ok(true);
            }
            walk.group = Some(*last);
            from = keys::successor(&shard.place(*last).key());
            heads += next.len();
            // The next that changed may be far.
            page = (2 * page).min(HEADS);
        }
        Ok(false)
    }
}
