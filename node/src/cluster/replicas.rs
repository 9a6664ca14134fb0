//! This node's replicas of shards, as they begin and end. A replica begins
//! with nothing and learns; when it ends, it forgets all but its promises.

use std::sync::Arc;

use folkmoot_consensus::{RaftShard, Sequencer, holds, retire};
use folkmoot_replication::apply::{ShardApply, ShardConfig};
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_storage::{Batch, StoreError, Table, keys};
use folkmoot_wire::proto::DirectoryRange;
use folkmoot_wire::{NodeId, ShardId};

use super::chains::{Chains, Keeps};
use super::collector::Collector;
use super::extent::{Extent, Slots};
use super::machine::{Applied, ShardMachine, state_ranges};
use super::outbox::Outbox;
use super::parts::{StartError, node_number};
use super::rehome::Rehomer;
use super::shards::VoterShard;
use super::split::Splitter;
use super::start::{Node, digest_key};

impl Node {
    /// Whether this node has a replica of the shard, by what is agreed on. A
    /// copy of that from before the replica began knows nothing of it.
    pub(super) fn has_part_in(&self, shard: &Shard) -> Result<bool, StartError> {
        if shard.replicas.contains(&self.me) {
            return Ok(true);
        }
        if self.followers.get(shard.id).is_some() {
            return Ok(false);
        }
        let late = shard.change <= self.part_since(shard)?;
        Ok(late && holds(shard.id, &*self.store)?)
    }

    /// At which count of the shard's changes the replica here began.
    fn part_since(&self, shard: &Shard) -> Result<u64, StoreError> {
        node_number(&*self.store, &keys::node::replica(shard.id))
    }

    fn directory_of(&self, shard: &Shard) -> Vec<DirectoryRange> {
        let placement = self.view.placement();
        let ranges = placement.state().directory.iter();
        ranges
            .filter(|range| range.shard == shard.id.0)
            .cloned()
            .collect()
    }

    /// What is to be deleted of a shard that has these slots here, before it has
    /// another role.
    fn clearing(&self, shard: &Shard, slots: Slots) -> Batch {
        let mut batch = Batch::new();
        for (table, from, to) in state_ranges(shard, slots, &self.directory_of(shard)) {
            batch.delete_range(table, from, to);
        }
        let (from, to) = keys::node::copies_of(shard.region, slots.0, slots.1);
        batch.delete_range(Table::Node, from, to);
        batch.delete(Table::Node, keys::node::follow(shard.id));
        batch
    }

    /// Begins or goes on with a replica.
    pub(super) async fn take_part(&self, shard: &Shard) -> Result<(), StartError> {
        let followed = self.followers.remove(shard.id);
        if let Some(follower) = &followed {
            follower.end().await;
        }
        // The first voters have nothing to begin with.
        if shard.change > 0 && !holds(shard.id, &*self.store)? {
            // What a follower copied is not what the log builds: apply begins
            // with nothing, or with a snapshot.
            let mut batch = self.clearing(shard, self.slots_at_first(shard)?);
            let since = shard.change.to_be_bytes().to_vec();
            batch.put(Table::Node, keys::node::replica(shard.id), since);
            self.write_durably(batch)?;
        }
        self.start_voter(shard).await
    }

    /// Ends a replica, where there is one.
    pub(super) async fn take_no_part(&self, shard: &Shard) -> Result<(), StartError> {
        if let Some(voter) = self.voters.remove(shard.id) {
            voter.end().await;
        }
        if let Some(slots) = self.slots_on_disk(shard)? {
            let mut batch = self.clearing(shard, slots);
            batch.delete(Table::Node, keys::node::replica(shard.id));
            retire(shard.id, &*self.store, &*self.commit, batch).await?;
            self.feed_begins_anew(shard, 0).await;
            tracing::info!(shard = shard.id.0, "this node votes on the shard no more");
        }
        Ok(())
    }

    /// Replicas whose voters stand in other regions than when they began start
    /// again, with the election timeouts for that. They keep what they have:
    /// it is what a restart of the node is to them. Those that lead come last,
    /// and have another voter lead first.
    pub(super) async fn retime(&self, placement: &Placement) -> Result<(), StartError> {
        let mut late = self.voters.all();
        late.retain(|voter| self.is_mistimed(&voter.raft, voter.id));
        late.sort_by_key(|voter| voter.raft.status().is_leader);
        for voter in late {
            let Some(shard) = placement.shard(voter.id) else {
                continue;
            };
            self.hand_over(voter.id, &voter.raft).await;
            self.voters.remove(voter.id);
            voter.end().await;
            self.start_voter(shard).await?;
            tracing::info!(
                shard = shard.id.0,
                across_regions = placement.is_across_regions(shard),
                "the replica has other election timeouts"
            );
        }
        Ok(())
    }

    /// Whether its election timeouts are not those for where its voters stand.
    pub(super) fn is_mistimed(&self, raft: &RaftShard, shard: ShardId) -> bool {
        raft.lease() != self.raft_options(shard).election_max
    }

    /// Without it the others would miss their leader first.
    pub(super) async fn hand_over(&self, shard: ShardId, raft: &RaftShard) {
        let status = raft.status();
        let other = |node: &&NodeId| **node != self.me && self.view.alive(**node);
        let to = status.voters.iter().find(other);
        let Some(to) = to.filter(|_| status.is_leader) else {
            return;
        };
        let handed = tokio::select! {
            biased;
            // It ends anyway.
            () = self.ending.cancelled() => return,
            handed = raft.transfer(*to) => handed,
        };
        if let Err(error) = handed {
            tracing::info!(shard = shard.0, to = to.0, %error, "no other voter leads yet");
        }
    }

    pub(super) fn write_durably(&self, batch: Batch) -> Result<(), StoreError> {
        self.store.write(batch)?;
        self.store.sync()
    }

    /// What was here is gone: those who follow through this node compare.
    async fn feed_begins_anew(&self, shard: &Shard, version: u64) {
        if let Some(feed) = self.feeds.get(shard.id) {
            let replaced = Applied {
                pushes: Vec::new(),
                version,
                replaced: true,
                slots: None,
            };
            // The feed is gone only when the node stops.
            let _ = feed.sink().send(replaced).await;
        }
    }

    async fn start_voter(&self, shard: &Shard) -> Result<(), StartError> {
        let held = self.slots_on_disk(shard)?;
        let slots = match held {
            Some(slots) => slots,
            None => self.slots_at_first(shard)?,
        };
        let apply = ShardApply::open(
            ShardConfig {
                shard: shard.id,
                region: shard.region,
                slots,
                generation: shard.generation,
                cluster: self.cluster,
                digest_key: digest_key(&self.cluster),
            },
            Arc::clone(&self.store) as Arc<dyn folkmoot_storage::Read>,
        )?;
        let applied = apply.applied_index();
        let extent = Arc::new(Extent::new(slots, held.is_some(), Arc::clone(&self.view)));
        let known = self.feeds.get(shard.id).is_some();
        let kept = Shard {
            slots,
            ..shard.clone()
        };
        let feed = self.feeds.start(&kept, applied)?;
        if known {
            self.feed_begins_anew(shard, applied).await;
        }
        let chains = Arc::new(Chains {
            cluster: self.cluster,
            suspects: Arc::clone(&self.reads.suspects),
            keeps: Keeps {
                shard: shard.id,
                made: shard.made,
                extent: Arc::clone(&extent),
            },
        });
        let directory = self.directory_of(shard);
        let machine = ShardMachine::new(
            apply,
            shard.clone(),
            directory,
            chains,
            Arc::clone(&extent),
            feed.sink(),
        );
        let mut options = self.raft_options(shard.id);
        // Only the first voters found a group.
        options.bootstrap &= shard.change == 0;
        // What begins with nothing begins behind all splits.
        options.snapshot_first = shard.parent.is_some() || slots != shard.made;
        let raft = RaftShard::start(
            shard.id,
            self.me,
            &shard.voters,
            Arc::clone(&self.store),
            Arc::clone(&self.commit),
            Box::new(machine),
            Arc::new(self.raft_link()),
            options,
        )
        .await?;
        let stop = self.stop.child_token();
        let leadership = self.heed(&raft, stop.clone());
        let stamps = Arc::clone(&self.stamps);
        let voter = VoterShard::start(shard.id, raft, leadership, extent, stamps, stop.clone());
        let outbox = Outbox {
            voter: voter.clone(),
            published: feed.status(),
            store: Arc::clone(&self.store),
            router: Arc::clone(&self.router),
            view: Arc::clone(&self.view),
        };
        let mover = self.mover(shard.id, &voter.raft);
        let collector = Collector {
            voter: voter.clone(),
            store: Arc::clone(&self.store),
            router: Arc::clone(&self.router),
            peers: Arc::clone(&self.peers),
            view: Arc::clone(&self.view),
        };
        let rehomer = Rehomer {
            voter: voter.clone(),
            store: Arc::clone(&self.store),
            router: Arc::clone(&self.router),
            view: Arc::clone(&self.view),
        };
        let splitter = Splitter {
            voter: voter.clone(),
            voters: Arc::clone(&self.voters),
            store: Arc::clone(&self.store),
            router: Arc::clone(&self.router),
            meta: Arc::clone(&self.meta),
            view: Arc::clone(&self.view),
            stamps: Arc::clone(&self.stamps),
        };
        self.voters.insert(voter);
        self.tasks.spawn(splitter.run(stop.clone()));
        self.tasks.spawn(collector.run(stop.clone()));
        self.tasks.spawn(rehomer.run(stop.clone()));
        self.tasks.spawn(outbox.run(stop.clone()));
        self.tasks.spawn(mover.run(stop));
        Ok(())
    }
}
