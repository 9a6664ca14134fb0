//! Where things live: from the meta shard's state to shards and voters.

pub mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use folkmoot_storage::Place;
use folkmoot_storage::keys::slots;
use folkmoot_wire::proto::{MetaState, NodeRecord, ShardRecord};
use folkmoot_wire::{GroupId, NodeId, RegionId, ShardId, Slot};

use crate::apply::directory_place;

/// One shard, as the meta shard placed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: ShardId,
    /// The region that sequences it.
    pub region: RegionId,
    /// The slots of the groups it is asked for, inclusive. Those that are to be
    /// split off are among them until that is known to be done.
    pub slots: (Slot, Slot),
    /// Those that it is to have.
    pub own: (Slot, Slot),
    /// Its voters.
    pub voters: Vec<NodeId>,
    /// Placement generation.
    pub generation: u32,
    /// Counts changes of who votes.
    pub change: u64,
    /// Who is to vote; empty: no change is under way.
    pub next: Vec<NodeId>,
    /// Who has a replica: whoever may be a voter.
    pub replicas: BTreeSet<NodeId>,
    /// The slots it was made with. A replica that has not applied the splits
    /// since keeps all of them.
    pub made: (Slot, Slot),
    /// The shard that it was split off from.
    pub parent: Option<ShardId>,
    /// It is not known yet that the parent has applied that.
    pub unborn: bool,
    /// A split is under way by which it gets its slots, or loses some.
    pub splitting: bool,
    /// The shard that is being split off from it.
    pub child: Option<ShardId>,
}

impl Shard {
    /// Where it keeps a group.
    #[must_use]
    pub fn place(&self, group: GroupId) -> Place {
        Place {
            region: self.region,
            group,
        }
    }

    /// Whether a group was born in it.
    #[must_use]
    pub fn bore(&self, group: &GroupId) -> bool {
        slots::contains(self.region, self.slots, group)
    }

    /// Whether groups of this slot may be at home in it.
    #[must_use]
    pub fn has_slot_of(&self, group: &GroupId) -> bool {
        has_slot(self.slots, group)
    }

    /// Whether it ever was split, or came out of a split.
    #[must_use]
    pub fn was_split(&self) -> bool {
        self.parent.is_some() || self.made != self.own
    }
}

/// Whether a group's slot is one of these, wherever the group was born.
#[must_use]
pub fn has_slot((first, last): (Slot, Slot), group: &GroupId) -> bool {
    (first..=last).contains(&group.slot())
}

impl From<&ShardRecord> for Shard {
    fn from(record: &ShardRecord) -> Self {
        let nodes = |ids: &[u32]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
        let (voters, next) = (nodes(&record.voters), nodes(&record.next));
        let replicas = [&voters, &next, &nodes(&record.tried)];
        let slots = (Slot(record.slot_from as u16), Slot(record.slot_to as u16));
        let made = match record.slots_made {
            0 => slots,
            made => (slots.0, Slot((record.slot_from + made - 1) as u16)),
        };
        Self {
            id: ShardId(record.id),
            region: RegionId(record.region as u16),
            slots,
            own: slots,
            made,
            parent: (record.parent != 0).then_some(ShardId(record.parent)),
            unborn: record.unborn,
            splitting: record.unborn,
            child: None,
            replicas: replicas.into_iter().flatten().copied().collect(),
            voters,
            generation: record.generation,
            change: record.change,
            next,
        }
    }
}

/// An index over one version of the meta shard's state.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    state: Arc<MetaState>,
    shards: BTreeMap<ShardId, Shard>,
    /// By region and last slot.
    slots: BTreeMap<(RegionId, Slot), ShardId>,
    nodes: BTreeMap<NodeId, NodeRecord>,
}

impl Placement {
    /// Indexes a state.
    #[must_use]
    pub fn new(state: Arc<MetaState>) -> Self {
        let mut shards: BTreeMap<_, _> = state
            .shards
            .iter()
            .map(|record| (ShardId(record.id), Shard::from(record)))
            .collect();
        for unborn in state.shards.iter().filter(|record| record.unborn) {
            if let Some(parent) = shards.get_mut(&ShardId(unborn.parent)) {
                parent.splitting = true;
                parent.child = Some(ShardId(unborn.id));
                parent.slots.1 = Slot(unborn.slot_to as u16);
            }
        }
        let slots = shards
            .values()
            .filter(|shard| shard.id != ShardId::META && !shard.unborn)
            .map(|shard| ((shard.region, shard.slots.1), shard.id))
            .collect();
        let nodes = state
            .nodes
            .iter()
            .map(|node| (NodeId(node.id), node.clone()))
            .collect();
        Self {
            state,
            shards,
            slots,
            nodes,
        }
    }

    /// The state indexed.
    #[must_use]
    pub fn state(&self) -> &Arc<MetaState> {
        &self.state
    }

    /// Every shard, the meta shard aside.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards
            .values()
            .filter(|shard| shard.id != ShardId::META)
    }

    /// Every shard, the meta shard first.
    pub fn all_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.values()
    }

    /// One shard.
    #[must_use]
    pub fn shard(&self, id: ShardId) -> Option<&Shard> {
        self.shards.get(&id)
    }

    /// The shard of a slot.
    #[must_use]
    pub fn shard_of_slot(&self, region: RegionId, slot: Slot) -> Option<&Shard> {
        let (_, id) = self.slots.range((region, slot)..).next()?;
        let shard = self.shards.get(id)?;
        (shard.region == region && shard.slots.0 <= slot).then_some(shard)
    }

    /// The shard that a group is at home in, by the word of one who said that
    /// this is it: the slot may have been split off from that since.
    #[must_use]
    pub fn shard_since(&self, said: ShardId, group: &GroupId) -> Option<&Shard> {
        let said = self.shard(said)?;
        match said.id == ShardId::META || said.has_slot_of(group) {
            true => Some(said),
            false => self.shard_of_slot(said.region, group.slot()),
        }
    }

    /// The shard that a group was born in.
    #[must_use]
    pub fn birth_shard(&self, group: &GroupId) -> Option<&Shard> {
        self.shard_of_slot(group.region(), group.slot())
    }

    /// The shard that keeps a user's directory slot.
    #[must_use]
    pub fn directory_shard(&self, realm: &str, subject: &str) -> Option<&Shard> {
        let (slot, _) = directory_place(realm, subject);
        let range = self
            .state
            .directory
            .iter()
            .find(|range| (range.from..=range.to).contains(&u32::from(slot)))?;
        self.shards.get(&ShardId(range.shard))
    }

    /// A region's id by its name.
    #[must_use]
    pub fn region_id(&self, name: &str) -> Option<RegionId> {
        let region = self.state.regions.iter().find(|r| r.name == name)?;
        Some(RegionId(region.id as u16))
    }

    /// A region's name by its id.
    #[must_use]
    pub fn region_name(&self, id: RegionId) -> Option<&str> {
        let region = self
            .state
            .regions
            .iter()
            .find(|r| r.id == u32::from(id.0))?;
        Some(&region.name)
    }

    /// A node's record.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&NodeRecord> {
        self.nodes.get(&id)
    }

    /// Every node that has not left.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeRecord)> {
        self.nodes
            .iter()
            .filter(|(_, node)| !node.left)
            .map(|(id, node)| (*id, node))
    }

    /// Whether those who may be voters of a shard stand in several regions.
    #[must_use]
    pub fn is_across_regions(&self, shard: &Shard) -> bool {
        let replicas = shard.replicas.iter();
        let regions: BTreeSet<_> = replicas.map(|node| self.region_of_node(*node)).collect();
        regions.len() > 1
    }

    /// The region a node stands in.
    #[must_use]
    pub fn region_of_node(&self, id: NodeId) -> Option<&str> {
        self.nodes.get(&id).map(|node| node.region.as_str())
    }
}
