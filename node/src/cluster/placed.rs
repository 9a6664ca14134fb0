//! What the placement gives this node: replicas and followers, started as
//! the meta shard's state changes.

use std::sync::Arc;

use folkmoot_consensus::{RaftOptions, RaftShard};
use folkmoot_replication::follow::follower::{Config as FollowerConfig, Follower};
use folkmoot_replication::placement::Shard;
use folkmoot_wire::ShardId;
use tokio_util::sync::CancellationToken;

use super::follow::{self, FollowParts};
use super::leadership::Leadership;
use super::machine::Applied;
use super::meta::MetaHost;
use super::movers::timing;
use super::parts::StartError;
use super::serve::PeerRaftLink;
use super::start::{Node, digest_key};

impl Node {
    pub(super) fn raft_link(&self) -> PeerRaftLink {
        PeerRaftLink {
            peers: Arc::clone(&self.peers),
            witness: Arc::clone(&self.standing.witness),
        }
    }

    pub(super) fn raft_options(&self, shard: ShardId) -> RaftOptions {
        let seed = self.raft.seed ^ (u64::from(shard.0) << 32) ^ u64::from(self.me.0);
        let placement = self.view.placement();
        let options = match placement.shard(shard) {
            Some(shard) => timing(&self.raft, &placement, shard),
            None => self.raft.clone(),
        };
        options.with_seed(seed)
    }

    /// Starts what the placement gives this node, as it changes.
    pub(super) async fn keep_placed(self: Arc<Self>) {
        let mut changed = self.view.watch();
        let mut kept = 0;
        loop {
            if let Err(error) = self.reconcile().await {
                tracing::error!(%error, "a shard does not start");
                let _ = self.fatal.send(error.to_string()).await;
                return;
            }
            let meta = Arc::clone(self.view.placement().state());
            if self.meta.raft().is_some() && meta.version > kept {
                if let Err(error) = MetaHost::keep(&*self.store, &meta) {
                    let _ = self.fatal.send(error.to_string()).await;
                    return;
                }
                kept = meta.version;
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                changed = changed.changed() => if changed.is_err() { return },
            }
        }
    }

    pub(super) async fn reconcile(&self) -> Result<(), StartError> {
        let ended = self.placing.lock().await;
        if *ended {
            return Ok(());
        }
        let placement = self.view.placement();
        self.reconcile_meta(&placement).await?;
        self.retime(&placement).await?;
        for shard in placement.shards() {
            self.follow_less(shard).await?;
            if let Some(parent) = shard.parent {
                self.leases.inherit(shard.id, parent);
            }
        }
        for shard in placement.shards() {
            match self.has_part_in(shard)? {
                true if self.voters.get(shard.id).is_none()
                    && self.standing.may_begin(shard)
                    && self.is_free(shard)? =>
                {
                    self.take_part(shard).await?;
                }
                false if self.followers.get(shard.id).is_none() && self.is_free(shard)? => {
                    self.take_no_part(shard).await?;
                    self.start_follower(shard).await?;
                }
                _ => {}
            }
        }
        for shard in placement.shards().filter(|shard| shard.was_split()) {
            let follower = self.followers.get(shard.id);
            let slots = follower.map_or(shard.slots, |follower| follower.slots);
            self.again.look(shard.id, slots);
        }
        Ok(())
    }

    /// A shard that is followed here and lost slots: they are another's to
    /// write, before that begins.
    async fn follow_less(&self, shard: &Shard) -> Result<(), StartError> {
        let Some(follower) = self.followers.get(shard.id) else {
            return Ok(());
        };
        let slots = follower.should_follow(shard.slots);
        if slots == follower.slots {
            return Ok(());
        }
        self.followers.remove(shard.id);
        follower.end().await;
        let fewer = Shard {
            slots,
            ..shard.clone()
        };
        self.start_follower(&fewer).await?;
        // Nothing changed for those that are left.
        if let Some(new) = self.followers.get(shard.id) {
            for (group, version) in follower.trusted() {
                new.trust_from(&group, version);
            }
        }
        Ok(())
    }

    /// Follows who leads. And a replica that stopped after a fault stops the
    /// node: it would answer nothing more and still be counted on.
    pub(super) fn heed(&self, raft: &Arc<RaftShard>, stop: CancellationToken) -> Arc<Leadership> {
        let (mut failed, fatal) = (raft.failed(), self.fatal.clone());
        let leadership = Arc::<Leadership>::default();
        let watch = Arc::clone(&leadership).run(self.me, Arc::clone(raft), stop.clone());
        self.tasks.spawn(watch);
        self.tasks.spawn(async move {
            let why = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                failed = failed.wait_for(Option::is_some) => match failed {
                    Ok(why) => why.clone().unwrap_or_default(),
                    Err(_) => return,
                },
            };
            let _ = fatal.send(why).await;
        });
        leadership
    }

    async fn start_follower(&self, shard: &Shard) -> Result<(), StartError> {
        let follower = Follower::open(
            FollowerConfig {
                shard: shard.id,
                region: shard.region,
                slots: shard.slots,
                cluster: self.cluster,
                digest_key: digest_key(&self.cluster),
                all_groups: self.follow_all,
            },
            Arc::clone(&self.store) as Arc<dyn folkmoot_storage::Read>,
            Arc::clone(&self.sums),
        )?;
        let feed = self.feeds.start(shard, follower.watermark())?;
        // It may be from before a split.
        let has = Applied {
            pushes: Vec::new(),
            version: 0,
            replaced: false,
            slots: Some(shard.slots),
        };
        // The feed is gone only when the node stops.
        let _ = feed.sink().send(has).await;
        let handle = follow::start(FollowParts {
            shard: shard.clone(),
            follower,
            all_groups: self.follow_all,
            feed,
            store: Arc::clone(&self.store),
            peers: Arc::clone(&self.peers),
            links: Arc::clone(&self.links),
            view: Arc::clone(&self.view),
            stop: self.stop.child_token(),
            fatal: self.fatal.clone(),
        });
        self.followers.insert(shard.id, handle.clone());
        // Sessions may have groups active from before.
        let wanted = self.followers.wanted(shard.id);
        for group in &wanted {
            handle.want(*group).await;
        }
        // From when on the copies here speak for them is found out again.
        self.again.find(wanted);
        Ok(())
    }
}
