//! Who should vote and lead (design decision D10): from what is agreed on and
//! what gossip says to at most one step for each shard.
//!
//! A step never leaves a shard with fewer living voters than a quorum of the
//! old and of the new ones, one change goes on at a time, and where nothing
//! changes nothing is done: the choice among equals is by number, and loads
//! are evened out only where they differ by two or more.

mod aim;
mod pick;
mod survive;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::proto::RegionRecord;
use folkmoot_wire::{NodeId, ShardId, limits};

use super::{Placement, Shard};
use aim::Aim;
use pick::Loads;

pub use aim::voters_at_first;
pub use survive::{Survives, lost_without, survives};

/// What is thought of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers, for so many milliseconds.
    Up(u64),
    /// It does not, for so many milliseconds.
    Gone(u64),
}

/// What a plan is made from.
pub struct View<'a> {
    /// What is agreed on.
    pub placement: &'a Placement,
    /// What gossip says of each node.
    pub health: &'a dyn Fn(NodeId) -> Health,
    /// Who leads each shard, where known.
    pub leaders: &'a BTreeMap<ShardId, NodeId>,
    /// A voter that is gone for so many milliseconds is replaced.
    pub replace_after_ms: u64,
    /// Leadership goes to a node that is up for so many milliseconds.
    pub lead_after_ms: u64,
    /// Whether all living nodes know voters in several regions.
    pub across: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// These are to vote on the shard.
    Move {
        /// The shard.
        shard: ShardId,
        /// Its record's count, for the proposal.
        change: u64,
        /// Who is to vote.
        next: Vec<NodeId>,
    },
    /// This voter is to lead the shard.
    Lead {
        /// The shard.
        shard: ShardId,
        /// The voter.
        to: NodeId,
    },
}

impl View<'_> {
    fn is_up(&self, node: NodeId) -> bool {
        matches!((self.health)(node), Health::Up(_))
    }

    /// Whether a node may get voters, or keep them.
    fn serves(&self, node: NodeId) -> bool {
        let record = self.placement.node(node);
        let here = record.is_some_and(|record| !record.left && !record.draining);
        let gone = |ms| ms >= self.replace_after_ms;
        here && !matches!((self.health)(node), Health::Gone(ms) if gone(ms))
    }

    fn may_lead(&self, node: NodeId) -> bool {
        let long = |ms| ms >= self.lead_after_ms;
        self.serves(node) && matches!((self.health)(node), Health::Up(ms) if long(ms))
    }

    /// Whether a quorum of these lives.
    fn has_quorum(&self, voters: &BTreeSet<NodeId>) -> bool {
        let up = voters.iter().filter(|node| self.is_up(**node)).count();
        up > voters.len() / 2
    }

    /// How many nodes a region has, and how many regions have any: dead ones
    /// too, since a goal does not change by what is lost, but not those that are
    /// to leave.
    fn strength(&self, region: &str) -> (usize, usize) {
        let nodes = self.placement.nodes().filter(|(_, node)| !node.draining);
        let of: Vec<&str> = nodes.map(|(_, node)| node.region.as_str()).collect();
        let regions: BTreeSet<&str> = of.iter().copied().collect();
        let here = of.iter().filter(|of| **of == region).count();
        (here, regions.len())
    }

    /// Nodes of which this holds, by region.
    fn nodes_that(&self, holds: impl Fn(NodeId) -> bool) -> BTreeMap<&str, BTreeSet<NodeId>> {
        let mut nodes: BTreeMap<&str, BTreeSet<NodeId>> = BTreeMap::new();
        for (id, node) in self.placement.nodes().filter(|(id, _)| holds(*id)) {
            nodes.entry(&node.region).or_default().insert(id);
        }
        nodes
    }

    /// Nodes that may get voters, by region. A newcomer that is away already is
    /// no help.
    fn candidates(&self) -> BTreeMap<&str, BTreeSet<NodeId>> {
        self.nodes_that(|node| self.serves(node) && self.is_up(node))
    }
}

/// How many voters a shard should have in which regions.
type Shape<'a> = Vec<(&'a str, usize)>;

/// The steps to take now.
#[must_use]
pub fn plan(view: &View<'_>) -> Vec<Action> {
    let candidates = view.candidates();
    let mut loads = Loads::of(view.placement);
    let mut under_way = view
        .placement
        .shards()
        .filter(|shard| !shard.next.is_empty())
        .count();
    let mut actions = Vec::new();
    let mut moved = BTreeSet::new();
    for shard in view.placement.all_shards() {
        let is_meta = shard.id == ShardId::META;
        let next = match shard.next.is_empty() {
            // The meta shard would refuse it.
            true if shard.splitting => None,
            true if under_way < limits::MOVES_AT_ONCE => {
                next_of(view, &candidates, &loads, shard, !is_meta)
            }
            true => None,
            // It goes on unless somebody it waits for is not coming.
            false if shard.next.iter().all(|node| view.serves(*node)) => None,
            false => next_of(view, &candidates, &loads, shard, false),
        };
        let Some(next) = next else { continue };
        if !is_meta {
            loads.replace(shard, &next);
        }
        under_way += usize::from(shard.next.is_empty());
        moved.insert(shard.id);
        actions.push(Action::Move {
            shard: shard.id,
            change: shard.change,
            next: next.into_iter().collect(),
        });
    }
    lead(view, &moved, &mut actions);
    actions
}

/// The voters a shard should have; `None`: as it is, or nothing can be done.
fn next_of(
    view: &View<'_>,
    candidates: &BTreeMap<&str, BTreeSet<NodeId>>,
    loads: &Loads,
    shard: &Shard,
    even: bool,
) -> Option<BTreeSet<NodeId>> {
    let voters: BTreeSet<NodeId> = shard.voters.iter().copied().collect();
    let Some(shape) = shape(view, shard) else {
        // A change that waits for one who is not coming would wait for ever, and
        // others behind it.
        let pending = view.across && !shard.next.is_empty() && shard.next != shard.voters;
        return (pending && view.has_quorum(&voters)).then_some(voters);
    };
    let mut next = pick::fill(view, candidates, loads, &shape, &voters);
    let before = match shard.next.is_empty() {
        true => voters.clone(),
        false => shard.next.iter().copied().collect(),
    };
    if even && next == before {
        next = pick::even(candidates, loads, &shape, &voters)?;
    }
    // Without both quorums the change could not be committed, or the shard
    // would stand still after it.
    let safe = view.has_quorum(&voters) && view.has_quorum(&next);
    (next != before && safe).then_some(next)
}

fn shape<'a>(view: &'a View<'_>, shard: &Shard) -> Option<Shape<'a>> {
    if shard.id == ShardId::META {
        return aim::of_meta(view, shard);
    }
    let state = view.placement.state();
    let home = |region: &&RegionRecord| region.id == u32::from(shard.region.0);
    let record = state.regions.iter().find(home)?;
    let here = record.name.as_str();
    let (home, regions) = view.strength(here);
    match aim::aim(record, home, regions) {
        Aim::Home(voters) => Some(vec![(here, voters)]),
        Aim::Regions if view.across => aim::over_regions(view, shard, here),
        Aim::Regions => None,
    }
}

/// Leadership belongs in the home region, evenly.
fn lead(view: &View<'_>, moved: &BTreeSet<ShardId>, actions: &mut Vec<Action>) {
    let mut led: BTreeMap<NodeId, usize> = BTreeMap::new();
    for leader in view.leaders.values() {
        *led.entry(*leader).or_default() += 1;
    }
    for shard in view.placement.all_shards() {
        let Some(&leader) = view.leaders.get(&shard.id) else {
            continue;
        };
        let voters = shard.voters.iter().copied().collect();
        let busy = moved.contains(&shard.id) || !shard.next.is_empty() || shard.splitting;
        // One that is gone hands nothing over; its voters elect another.
        if busy || !view.is_up(leader) || !view.has_quorum(&voters) {
            continue;
        }
        let home = view.placement.region_name(shard.region);
        let at_home = |node: NodeId| view.placement.region_of_node(node) == home;
        let count = |node: NodeId| led.get(&node).copied().unwrap_or_default();
        let best = shard
            .voters
            .iter()
            .copied()
            .filter(|node| view.may_lead(*node))
            .min_by_key(|node| (!at_home(*node), count(*node), *node));
        let Some(best) = best.filter(|best| *best != leader) else {
            continue;
        };
        let returns = at_home(best) && !at_home(leader);
        let leaves = !view.serves(leader);
        // Who leads the meta shard has no more to do for it.
        let evens = shard.id != ShardId::META
            && at_home(best) == at_home(leader)
            && count(leader) >= count(best) + 2;
        if returns || leaves || evens {
            *led.entry(leader).or_default() -= 1;
            *led.entry(best).or_default() += 1;
            actions.push(Action::Lead {
                shard: shard.id,
                to: best,
            });
        }
    }
}
