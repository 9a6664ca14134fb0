//! Beginning a move, at whichever node is asked for it, and following what
//! comes of it.

use std::sync::Arc;

use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_wire::id::Class;
use folkmoot_wire::proto::{
    BeginMove, Command, FetchHead, HomeState, command, node_reply, node_request,
};
use folkmoot_wire::{Code, Fault, GroupId, RegionId, version};
use futures_util::future::try_join_all;

use super::propose_step;
use crate::backend::Backend;
use crate::cluster::start::Node;
use crate::cluster::versions::Versions;

/// A move that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The shard it leaves, and its region.
    pub from: (u32, String),
    /// The one it goes to.
    pub to: (u32, String),
    /// The group's epoch.
    pub epoch: u64,
}

impl Node {
    /// Has a group move to another region. Returns once that has begun.
    ///
    /// # Errors
    /// `invalid`, `unknown_region`, `already_exists` when it is there, `not_found`
    /// when there is no such group, `unavailable` when the region or a voter that
    /// has to take part cannot.
    pub async fn rehome(&self, group: GroupId, region: &str) -> Result<Begun, Fault> {
        if group.class() == Class::SelfGroup {
            let detail = "a user's own group stays with the user";
            return Err(Fault::new(Code::Invalid, detail));
        }
        let placement = self.view.placement();
        let to = self.shard_in(&placement, &group, region)?;
        let (from, _) = self.home_state(group).await?;
        if from.region == to.region {
            let detail = format!("the group is at home in {region}");
            return Err(Fault::new(Code::AlreadyExists, detail));
        }
        if let Some(shard) = [&from, to].into_iter().find(|shard| shard.splitting) {
            let detail = format!("shard {} is being split: ask again in a moment", shard.id);
            return Err(Fault::new(Code::Unavailable, detail));
        }
        self.let_move(&placement, &group, [&from, to]).await?;
        let op = command::Op::BeginMove(BeginMove {
            epoch: 0,
            to_shard: to.id.0,
        });
        let command = Command {
            group: group.to_bytes(),
            op: Some(op),
        };
        let state = propose_step(&self.router, &self.view, &from, command).await?;
        let name = |shard: &Shard| {
            let name = placement.region_name(shard.region).unwrap_or_default();
            (shard.id.0, name.to_owned())
        };
        Ok(Begun {
            from: name(&from),
            to: name(to),
            epoch: state.epoch,
        })
    }

    /// The shard of a region that takes the group, if that can take one now.
    fn shard_in<'a>(
        &self,
        placement: &'a Placement,
        group: &GroupId,
        region: &str,
    ) -> Result<&'a Shard, Fault> {
        let id: RegionId = placement.region_id(region).ok_or_else(|| {
            Fault::new(Code::UnknownRegion, format!("no region is called {region}"))
        })?;
        let mut nodes = placement.nodes().filter(|(_, node)| node.region == region);
        let stays = nodes.any(|(id, node)| !node.draining && self.view.alive(id));
        let shard = placement.shard_of_slot(id, group.slot());
        let voters = shard.into_iter().flat_map(|shard| &shard.voters);
        let living = voters.filter(|voter| self.view.alive(**voter)).count();
        match shard {
            Some(shard) if stays && living * 2 > shard.voters.len() => Ok(shard),
            _ => {
                let detail = format!(
                    "region {region} cannot take the group: all its nodes are leaving, or too few of them live"
                );
                Err(Fault::new(Code::Unavailable, detail))
            }
        }
    }

    /// Groups move once every node knows what that is: those that hold copies
    /// have to throw them away.
    async fn let_move(
        &self,
        placement: &Placement,
        group: &GroupId,
        shards: [&Shard; 2],
    ) -> Result<(), Fault> {
        let versions = Versions {
            peers: Arc::clone(&self.peers),
            router: Arc::clone(&self.router),
        };
        versions
            .check_living(&self.view, version::APPLY_MOVES)
            .await?;
        let birth = placement.birth_shard(group);
        let birth = birth.filter(|birth| shards.iter().all(|shard| shard.id != birth.id));
        let raises = shards
            .into_iter()
            .chain(birth)
            .map(|shard| versions.raise(shard, version::APPLY_MOVES));
        try_join_all(raises).await.map(drop)
    }

    /// How the group's home stands to it, and which shard that is.
    ///
    /// # Errors
    /// `not_found` when there is no such group, or when nobody who knows can be
    /// reached.
    pub async fn home_state(&self, group: GroupId) -> Result<(Shard, HomeState), Fault> {
        // What is not known here is learnt on the way.
        self.backend.home_head(group).await?.ok_or(Code::NotFound)?;
        let shard = self.view.home_of(&group).ok_or(Code::NotFound)?;
        if self.voters.get(shard.id).is_some() {
            let state = self.reads.home(&shard, &group)?;
            return Ok((shard, state));
        }
        let request = node_request::Request::FetchHead(FetchHead {
            group: group.to_bytes(),
            shard: shard.id.0,
            as_voter: true,
        });
        match self.backend.copies.ask(&shard, &group, request).await? {
            node_reply::Reply::Head(head) => Ok((shard, head.home.unwrap_or_default())),
            _ => Err(Code::Internal.into()),
        }
    }
}
