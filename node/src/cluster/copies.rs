//! Whose copy of a group is read: this node's, where it speaks for the group,
//! or the home's.

use std::sync::Arc;

use folkmoot_replication::placement::Shard;
use folkmoot_storage::Place;
use folkmoot_wire::proto::{FetchHead, Head, node_reply, node_request};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, ShardId, limits};
use tokio::time::timeout;

use super::extent::Kept;
use super::feeds::Feeds;
use super::follow::Followers;
use super::leases::Leases;
use super::peers::{Class, Peers};
use super::read::LocalReads;
use super::shards::Voters;
use super::view::ClusterView;

/// The copies here and there.
pub struct Copies {
    pub peers: Arc<Peers>,
    pub view: Arc<ClusterView>,
    pub voters: Arc<Voters>,
    pub feeds: Arc<Feeds>,
    pub followers: Arc<Followers>,
    pub reads: Arc<LocalReads>,
    pub leases: Arc<Leases>,
}

impl Copies {
    /// What the home answers, or `None` when the copy here is to be read: it
    /// speaks for the group, or the home is out of reach and an old copy is
    /// better than none.
    ///
    /// # Errors
    /// When nobody who knows can be reached.
    pub async fn from_home(
        &self,
        shard: &Shard,
        group: &GroupId,
        request: node_request::Request,
    ) -> Result<Option<node_reply::Reply>, Fault> {
        // Whether the group is at home there shows when it is read.
        if self.good_here(shard, group)? {
            return Ok(None);
        }
        self.asked_or_held(shard, group, request).await
    }

    /// The same where a copy that lies a moment behind will not do.
    ///
    /// # Errors
    /// As [`Copies::from_home`].
    pub async fn from_leader(
        &self,
        shard: &Shard,
        group: &GroupId,
        request: node_request::Request,
    ) -> Result<Option<node_reply::Reply>, Fault> {
        let leads = self.voters.leader(shard.id) == Some(self.peers.me());
        if leads && self.leases.check(shard.id).is_ok() {
            return Ok(None);
        }
        self.asked_or_held(shard, group, request).await
    }

    async fn asked_or_held(
        &self,
        shard: &Shard,
        group: &GroupId,
        request: node_request::Request,
    ) -> Result<Option<node_reply::Reply>, Fault> {
        let (here, lease) = (self.head_here(shard, group)?, self.leases.check(shard.id));
        let held = is_whole(here.as_ref());
        match self.ask(shard, group, request).await {
            Ok(reply) => Ok(Some(reply)),
            Err(fault) if fault.code == Code::Moved => Err(fault),
            Err(fault) if held && fault.code.temporary() => lease.map(|()| None),
            Err(fault) => Err(fault),
        }
    }

    /// Reads the copy here.
    ///
    /// # Errors
    /// What the reading failed with, or `moved` when the group is not at home in
    /// the shard.
    pub fn here<T>(
        &self,
        shard: &Shard,
        group: &GroupId,
        read: impl FnOnce(&Place) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let read = read(&shard.place(*group));
        // Looked up after it: what was read then is the home's.
        match self.reads.moved(shard, group, self.keeps(shard.id))? {
            Some(moved) => Err(self.view.moved(group, shard.id, moved)),
            None => read,
        }
    }

    /// Whether the copy here may be read in place of the home's.
    ///
    /// # Errors
    /// As [`Copies::here`].
    pub fn good_here(&self, shard: &Shard, group: &GroupId) -> Result<bool, Fault> {
        if self.leases.check(shard.id).is_err() {
            return Ok(false);
        }
        if self.votes(shard.id) {
            return Ok(true);
        }
        let here = self.head_here(shard, group)?;
        Ok(self.speaks_for(shard.id, group, here.as_ref()))
    }

    /// Whether there is a copy here that may still be read, however old.
    ///
    /// # Errors
    /// As [`Copies::here`].
    pub fn held_here(&self, shard: &Shard, group: &GroupId) -> Result<bool, Fault> {
        let here = self.head_here(shard, group)?;
        Ok(is_whole(here.as_ref()) && self.leases.check(shard.id).is_ok())
    }

    fn head_here(&self, shard: &Shard, group: &GroupId) -> Result<Option<Head>, Fault> {
        self.here(shard, group, |place| self.reads.head(place))
    }

    /// The head as the leader has it, or else another voter.
    ///
    /// # Errors
    /// When none can be reached.
    pub async fn home_head(&self, shard: &Shard, group: GroupId) -> Result<Option<Head>, Fault> {
        if self.voters.leader(shard.id) == Some(self.peers.me()) {
            return self.head_here(shard, &group);
        }
        let request = node_request::Request::FetchHead(FetchHead {
            group: group.to_bytes(),
            shard: shard.id.0,
            as_voter: true,
        });
        match self.ask(shard, &group, request).await {
            Ok(node_reply::Reply::Head(there)) => Ok(there.head),
            Ok(_) => Err(Code::Internal.into()),
            Err(fault) if fault.code == Code::Moved => Err(fault),
            // There may be no other voter.
            Err(_) if self.votes(shard.id) => self.head_here(shard, &group),
            Err(fault) => Err(fault),
        }
    }

    /// Whether the replica here speaks for the shard. One that is still
    /// learning, or was left out, does not.
    fn votes(&self, shard: ShardId) -> bool {
        let placement = self.view.placement();
        let placed = placement.shard(shard);
        placed.is_some_and(|placed| placed.voters.contains(&self.peers.me()))
            && self.voters.kept(shard).is_some()
    }

    /// What the replica here keeps, where it speaks for the shard.
    fn keeps(&self, shard: ShardId) -> Option<Kept> {
        self.voters.kept(shard).filter(|_| self.votes(shard))
    }

    /// Whether the group is followed now.
    fn follows(&self, shard: ShardId, group: &GroupId) -> bool {
        let follower = self.followers.get(shard);
        follower.is_some_and(|follower| follower.wants(group))
    }

    /// Whether the copy here is whole, followed, and has caught up. One that
    /// was followed once knows nothing of what came since.
    fn speaks_for(&self, shard: ShardId, group: &GroupId, here: Option<&Head>) -> bool {
        let Some(here) = here.filter(|head| is_whole(Some(head))) else {
            return false;
        };
        let follower = self.followers.get(shard);
        follower.is_some_and(|follower| follower.speaks_for(group, here.version))
    }

    /// Asks those who must know: the leader, then the other voters.
    ///
    /// # Errors
    /// When none answers, or `moved`.
    pub async fn ask(
        &self,
        shard: &Shard,
        group: &GroupId,
        request: node_request::Request,
    ) -> Result<node_reply::Reply, Fault> {
        match self.ask_shard(shard, request).await? {
            node_reply::Reply::Moved(moved) => Err(self.view.moved(group, shard.id, moved)),
            reply => Ok(reply),
        }
    }

    /// The same with a question about more than one group.
    ///
    /// # Errors
    /// When none answers.
    pub async fn ask_shard(
        &self,
        shard: &Shard,
        request: node_request::Request,
    ) -> Result<node_reply::Reply, Fault> {
        // The last leader heard of may vote no more.
        let leader = self.view.leader(shard.id);
        let leader = leader.filter(|leader| shard.voters.contains(leader));
        let mut nodes: Vec<NodeId> = leader.into_iter().collect();
        nodes.extend(shard.voters.iter().copied());
        nodes.dedup();
        // Dialling a dead one takes seconds, and there may be an old copy here.
        nodes.retain(|node| *node != self.peers.me() && self.view.alive(*node));
        let mut last = Fault::from(Code::Unavailable);
        for node in nodes {
            match self
                .peers
                .call_living(node, Class::Bulk, request.clone(), limits::RPC_DEADLINE)
                .await
            {
                Ok(reply) => return Ok(reply),
                Err(fault) if fault.code.temporary() => last = fault,
                Err(fault) => return Err(fault),
            }
        }
        Err(last)
    }

    /// Waits until entry `seq` is here, so that a client that was told of it
    /// finds it. What is not followed here is read at its home.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reach_seq(&self, shard: &Shard, group: &GroupId, seq: u64) -> Result<(), Fault> {
        if !self.votes(shard.id) && !self.follows(shard.id, group) {
            return Ok(());
        }
        self.reach(shard, group, |head| head.seq >= seq).await
    }

    /// The same with all that the entry did: a copy may have its entries before
    /// its rows.
    ///
    /// # Errors
    /// When the store fails, or the home cannot be asked.
    pub async fn reach_effect(
        &self,
        shard: &Shard,
        group: &GroupId,
        seq: u64,
    ) -> Result<(), Fault> {
        self.reach_seq(shard, group, seq).await?;
        if self.votes(shard.id) || !self.follows(shard.id, group) {
            return Ok(());
        }
        match self.home_head(shard, *group).await? {
            Some(there) => {
                let far = |here: &Head| here.version >= there.version;
                self.reach(shard, group, far).await
            }
            None => Ok(()),
        }
    }

    async fn reach(
        &self,
        shard: &Shard,
        group: &GroupId,
        far: impl Fn(&Head) -> bool,
    ) -> Result<(), Fault> {
        let Some(feed) = self.feeds.get(shard.id) else {
            return Ok(());
        };
        let mut status = feed.status();
        let reached = async {
            loop {
                status.mark_unchanged();
                if self.head_here(shard, group)?.as_ref().is_some_and(&far)
                    || status.changed().await.is_err()
                {
                    return Ok::<(), Fault>(());
                }
            }
        };
        timeout(limits::RPC_DEADLINE, reached)
            .await
            .unwrap_or(Ok(()))
    }

    /// Follows a group; returns when the copy here is as far as the home's
    /// was.
    ///
    /// # Errors
    /// When there is no such group, or neither home nor copy.
    pub async fn want(&self, shard: &Shard, group: GroupId) -> Result<(), Fault> {
        let before = self.followers.want(shard.id, group);
        self.follow(shard, group, before).await
    }

    /// The same for a group that has another home now, if it is wanted still.
    ///
    /// # Errors
    /// As [`Copies::want`].
    pub async fn want_again(&self, shard: &Shard, group: GroupId) -> Result<(), Fault> {
        let Some(before) = self.followers.switch(shard.id, group) else {
            return Ok(());
        };
        let followed = self.follow(shard, group, Some(before)).await;
        if self.followers.wanted_of(&group) != Some(shard.id)
            && let Some(follower) = self.followers.get(shard.id)
        {
            follower.unwant(group);
        }
        followed
    }

    async fn follow(
        &self,
        shard: &Shard,
        group: GroupId,
        before: Option<ShardId>,
    ) -> Result<(), Fault> {
        if let Some(before) = before.filter(|before| *before != shard.id)
            && let Some(follower) = self.followers.get(before)
        {
            follower.unwant(group);
        }
        if self.votes(shard.id) {
            return self.head_here(shard, &group).map(drop);
        }
        if let Some(follower) = self.followers.get(shard.id) {
            follower.want(group).await;
        }
        let here = self.head_here(shard, &group)?;
        if self.speaks_for(shard.id, &group, here.as_ref()) {
            return Ok(());
        }
        match self.home_head(shard, group).await {
            Ok(None) => Err(Code::NotFound.into()),
            Ok(Some(there)) => {
                self.trust_from(shard.id, &group, there.version);
                let far = |here: &Head| here.version >= there.version;
                self.reach(shard, &group, far).await
            }
            Err(fault) if fault.code == Code::Moved => Err(fault),
            Err(fault) => match here.filter(|head| is_whole(Some(head))) {
                // Cut off from the home, an old copy is better than none.
                Some(here) if fault.code.temporary() => {
                    self.leases.check(shard.id)?;
                    self.trust_from(shard.id, &group, here.version);
                    Ok(())
                }
                _ => Err(fault),
            },
        }
    }

    /// The copy here speaks for the group from this version on.
    fn trust_from(&self, shard: ShardId, group: &GroupId, version: u64) {
        if let Some(follower) = self.followers.get(shard) {
            follower.trust_from(group, version);
        }
    }

    /// No longer.
    pub fn unwant(&self, group: GroupId) {
        if let Some(shard) = self.followers.unwant(&group)
            && let Some(follower) = self.followers.get(shard)
        {
            follower.unwant(group);
        }
    }
}

/// A copy is whole when its rows have been fetched too: the log comes first.
fn is_whole(head: Option<&Head>) -> bool {
    head.is_some_and(|head| head.version > 0)
}
