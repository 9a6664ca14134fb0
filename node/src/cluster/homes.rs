//! Where groups are at home, as far as this node has heard. A group is at home
//! in the shard it was born in unless a shard that was asked said where it
//! went; what is kept here spares that question, and being forgotten, or being
//! old, only costs it again.

use std::collections::BTreeMap;

use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_storage::Place;
use folkmoot_wire::proto::Moved;
use folkmoot_wire::{Code, Fault, GroupId, ShardId};
use parking_lot::RwLock;

use super::view::ClusterView;

/// Groups kept. Full: all are forgotten and asked for again.
const KEPT: usize = 200_000;

/// What was heard.
#[derive(Default)]
pub struct Homes(RwLock<BTreeMap<GroupId, Moved>>);

impl Homes {
    /// A shard that was asked for the group said where it went, or (shard 0)
    /// that it does not know.
    fn learn(&self, group: GroupId, asked: ShardId, moved: Moved, placement: &Placement) {
        let mut kept = self.0.write();
        let known = kept.get(&group).copied();
        let led_here = |known: &Moved| {
            let known = placement.shard_since(ShardId(known.shard), &group);
            known.is_some_and(|known| known.id == asked)
        };
        let known = known.filter(|known| known.shard != asked.0 && !led_here(known));
        match known {
            // Later epochs win, wherever they are heard of.
            Some(known) if known.epoch >= moved.epoch => {}
            _ if moved.shard == 0 => {
                kept.remove(&group);
            }
            _ => {
                if kept.len() >= KEPT {
                    kept.clear();
                }
                kept.insert(group, moved);
            }
        }
    }

    fn shard<'a>(&self, group: &GroupId, placement: &'a Placement) -> Option<&'a Shard> {
        let known = self.0.read().get(group).map(|moved| ShardId(moved.shard));
        let known = known.and_then(|shard| placement.shard_since(shard, group));
        known.or_else(|| placement.birth_shard(group))
    }
}

impl ClusterView {
    /// The shard that a group is at home in, as far as this node has heard.
    #[must_use]
    pub fn home_of(&self, group: &GroupId) -> Option<Shard> {
        self.homes.shard(group, &self.placement()).cloned()
    }

    /// Whether that is this one.
    #[must_use]
    pub fn is_home(&self, group: &GroupId, shard: ShardId) -> bool {
        let placement = self.placement();
        let home = self.homes.shard(group, &placement);
        home.is_some_and(|home| home.id == shard)
    }

    /// Where the shards of its home's region keep a group.
    #[must_use]
    pub fn place_of(&self, group: &GroupId) -> Place {
        let placement = self.placement();
        let home = self.homes.shard(group, &placement);
        match home {
            Some(home) => home.place(*group),
            None => Place::of_birth(*group),
        }
    }

    /// A shard that was asked for the group is not its home. Gives what whoever
    /// asked is told: to ask again.
    pub fn moved(&self, group: &GroupId, asked: ShardId, moved: Moved) -> Fault {
        tracing::debug!(%group, asked = asked.0, shard = moved.shard, epoch = moved.epoch, "the group is at home elsewhere");
        let placement = self.placement();
        self.homes.learn(*group, asked, moved, &placement);
        Code::Moved.into()
    }
}

#[cfg(test)]
mod tests;
