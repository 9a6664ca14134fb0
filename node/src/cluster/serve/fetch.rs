//! What other nodes read here, of one shard's copy of a group.

use bytes::Bytes;
use folkmoot_replication::placement::Shard;
use folkmoot_wire::proto::{
    FetchHead, FetchStandings, GroupHead, Moved, Standing, Standings, node_reply,
};
use folkmoot_wire::{Code, Fault, GroupId, ShardId, UserId, limits};

use super::Serve;

type Reply = Result<node_reply::Reply, Fault>;

fn unknown() -> Fault {
    Fault::new(Code::Unavailable, "this node does not know that shard yet")
}

impl Serve {
    /// As which shard this node is asked, and for which group.
    pub(super) fn asked(&self, shard: u32, group: &Bytes) -> Result<(Shard, GroupId), Fault> {
        let group = GroupId::from_slice(group)
            .map_err(|error| Fault::new(Code::Invalid, error.to_string()))?;
        let shard = match shard {
            0 => {
                let placement = self.view.placement();
                placement.birth_shard(&group).cloned().ok_or_else(unknown)?
            }
            shard => self.shard(ShardId(shard))?,
        };
        Ok((shard, group))
    }

    fn shard(&self, shard: ShardId) -> Result<Shard, Fault> {
        let placement = self.view.placement();
        placement.shard(shard).cloned().ok_or_else(unknown)
    }

    /// Whether what is here speaks for the shard, where that is asked for. The
    /// copy of who left, or who is learning to vote or begins with nothing, does
    /// not; nor that of a voter whose lease has ended.
    pub(super) fn may_answer(&self, shard: &Shard, as_voter: bool) -> Result<(), Fault> {
        if !as_voter {
            return Ok(());
        }
        if shard.voters.contains(&self.me) && self.voters.kept(shard.id).is_some() {
            // Cut off together with who asks, it knows no more than that one.
            return self.leases.check(shard.id);
        }
        Err(Fault::new(
            Code::Unavailable,
            "this node does not vote on that shard: ask its voters",
        ))
    }

    /// The reply, unless the group is not at home in the shard. Looked up after
    /// the reading: what was read then is the home's.
    pub(super) fn at_home(&self, shard: &Shard, group: &GroupId, reply: Reply) -> Reply {
        match self.moved(shard, group)? {
            Some(moved) => Ok(node_reply::Reply::Moved(moved)),
            None => reply,
        }
    }

    fn moved(&self, shard: &Shard, group: &GroupId) -> Result<Option<Moved>, Fault> {
        self.reads.moved(shard, group, self.voters.kept(shard.id))
    }

    pub(super) fn standings(&self, fetch: &FetchStandings) -> Reply {
        if fetch.groups.len() > limits::STANDINGS {
            return Err(Code::TooLarge.into());
        }
        let shard = self.shard(ShardId(fetch.shard))?;
        self.may_answer(&shard, fetch.as_voter)?;
        let user = UserId::from_slice(&fetch.user)
            .map_err(|error| Fault::new(Code::Invalid, error.to_string()))?;
        let groups = fetch.groups.iter().map(|group| GroupId::from_slice(group));
        let groups: Vec<GroupId> = groups
            .collect::<Result<_, _>>()
            .map_err(|error| Fault::new(Code::Invalid, error.to_string()))?;
        let mut standings = Vec::with_capacity(groups.len());
        let read = self.reads.standings(&shard, &user, &groups);
        for (group, read) in groups.iter().zip(read) {
            let read = read?;
            standings.push(match self.moved(&shard, group)? {
                Some(_) => Standing {
                    moved: true,
                    ..Standing::default()
                },
                None => Standing {
                    head: read.head,
                    cursor: read.cursor,
                    moved: false,
                    mentions: read.mentions,
                },
            });
        }
        Ok(node_reply::Reply::Standings(Standings { standings }))
    }

    pub(super) fn head(&self, fetch: &FetchHead) -> Reply {
        let (shard, group) = self.asked(fetch.shard, &fetch.group)?;
        self.may_answer(&shard, fetch.as_voter)?;
        let reply = node_reply::Reply::Head(GroupHead {
            group: fetch.group.clone(),
            head: self.reads.head(&shard.place(group))?,
            home: Some(self.reads.home(&shard, &group)?),
        });
        self.at_home(&shard, &group, Ok(reply))
    }
}
