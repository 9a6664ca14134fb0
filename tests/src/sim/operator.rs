//! What an operator does while the history runs: lets a node in, moves
//! everything off another, moves groups, and splits shards. What does not work
//! at once is tried again, as long as it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_consensus::Sequencer;
use folkmoot_node::cluster::start::Node;
use folkmoot_replication::meta::FOUNDER;
use folkmoot_wire::proto::{DrainNode, JoinReply, MetaCommand, meta_command};
use folkmoot_wire::{Code, NodeId, ShardId, Slot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::net::REGIONS;
use super::oracle::Oracle;
use super::sometimes::State;
use super::workload::Made;
use super::world::World;

/// An answer is waited for this long.
const PATIENCE: Duration = Duration::from_secs(2);
/// When all faults are over, everything is done within this time.
const WITHIN: Duration = Duration::from_secs(60);

/// What is to be done, and was not yet.
pub struct Operator<'a> {
    oracle: &'a Oracle,
    joining: Option<(usize, JoinHandle<anyhow::Result<JoinReply>>)>,
    groups: &'a [Made],
    /// Machines that are to be drained, or no longer.
    drains: BTreeMap<usize, bool>,
    /// Groups, and the region they are to move to.
    rehomes: BTreeMap<usize, usize>,
    /// Groups, at whose slot their shard is to be split, or behind it.
    splits: BTreeMap<usize, bool>,
    /// Why a group was not moved the last time.
    not_moved: Option<String>,
    /// Voters that shards were seen to have.
    voters: BTreeSet<(ShardId, Vec<NodeId>)>,
    /// Shards, and machines of other regions that were seen to lead them.
    abroad: BTreeSet<(ShardId, usize)>,
    /// Machines that were seen to lead the meta shard.
    meta: BTreeSet<usize>,
    /// Shards that were seen to have come out of a split.
    born: BTreeSet<ShardId>,
}

impl<'a> Operator<'a> {
    /// Nothing is to be done.
    pub fn new(oracle: &'a Oracle, groups: &'a [Made]) -> Self {
        Self {
            oracle,
            groups,
            rehomes: BTreeMap::new(),
            splits: BTreeMap::new(),
            joining: None,
            drains: BTreeMap::new(),
            not_moved: None,
            voters: BTreeSet::new(),
            abroad: BTreeSet::new(),
            meta: BTreeSet::new(),
            born: BTreeSet::new(),
        }
    }

    /// Lets a machine in.
    ///
    /// # Errors
    /// When it has no token.
    pub fn join(&mut self, world: &World, machine: usize) -> anyhow::Result<()> {
        let token = world.token.clone().context("it has no token")?;
        let installed = world.machines.iter().filter(|m| m.id().is_some());
        let through = installed.map(|m| m.addr().to_string()).collect();
        let asked = tokio::spawn(world.ask(machine, token, through));
        self.joining = Some((machine, asked));
        Ok(())
    }

    /// Has a machine drained, or no longer.
    pub fn drain(&mut self, machine: usize, draining: bool) {
        self.drains.insert(machine, draining);
    }

    /// Has a group moved to a region; the last word counts.
    pub fn rehome(&mut self, group: usize, to: usize) {
        self.rehomes.insert(group, to);
    }

    /// Has the shard in which a group is at home split: at the group's slot, or
    /// behind it.
    pub fn split(&mut self, group: usize, behind: bool) {
        self.splits.insert(group, behind);
    }

    /// Goes on with everything. Gives a machine that was let in and is to be
    /// started.
    ///
    /// # Errors
    /// When the cluster's answer to the join is not one of this cluster.
    pub async fn look(&mut self, world: &mut World) -> anyhow::Result<Option<usize>> {
        for (machine, draining) in std::mem::take(&mut self.drains) {
            if !self.try_drain(world, machine, draining).await {
                self.drains.insert(machine, draining);
            }
        }
        for (group, to) in std::mem::take(&mut self.rehomes) {
            if !self.try_rehome(world, group, to).await {
                self.rehomes.insert(group, to);
            }
        }
        for (group, behind) in std::mem::take(&mut self.splits) {
            if !self.try_split(world, group, behind).await {
                self.splits.insert(group, behind);
            }
        }
        self.see(world);
        let Some((machine, asked)) = self.joining.take_if(|(_, asked)| asked.is_finished()) else {
            return Ok(None);
        };
        match asked.await? {
            Ok(reply) => {
                world.machines[machine].joined(reply)?;
                Ok(Some(machine))
            }
            Err(_) => {
                self.join(world, machine)?;
                Ok(None)
            }
        }
    }

    /// Whether nothing is left to be done.
    ///
    /// # Errors
    /// When that is so for too long.
    pub async fn rests(&self, since: Instant) -> anyhow::Result<bool> {
        let none = self.drains.is_empty() && self.rehomes.is_empty() && self.splits.is_empty();
        if self.joining.is_none() && none {
            return Ok(true);
        }
        if since.elapsed() > WITHIN {
            let (joins, drains) = (self.joining.is_some(), &self.drains);
            let (rehomes, splits) = (&self.rehomes, &self.splits);
            bail!(
                "{WITHIN:?} after the faults, joining: {joins}, to drain: {drains:?}, to move: {rehomes:?}, to split at: {splits:?}, not moved: {:?}",
                self.not_moved
            );
        }
        sleep(Duration::from_millis(500)).await;
        Ok(false)
    }

    /// Whether it is done, or need not be.
    async fn try_drain(&self, world: &World, machine: usize, draining: bool) -> bool {
        let Some(id) = world.machines[machine].id() else {
            return true;
        };
        let Some((_, node)) = world.nodes().next() else {
            return false;
        };
        if draining && !node.lost_without(id).is_empty() {
            self.oracle.sometimes.saw(State::DrainRefused);
            return true;
        }
        command(node, id, draining).await
    }

    /// Whether the move has begun, or the group is there.
    async fn try_rehome(&mut self, world: &World, group: usize, to: usize) -> bool {
        let Some((_, node)) = world.nodes().next() else {
            return false;
        };
        let asked = node.rehome(self.groups[group].id, REGIONS[to]);
        match timeout(PATIENCE, asked).await {
            Ok(Ok(_)) => true,
            Ok(Err(fault)) if fault.code == Code::AlreadyExists => true,
            Ok(Err(fault)) => {
                self.not_moved = Some(fault.to_string());
                false
            }
            Err(_) => {
                self.not_moved = Some(format!("no answer within {PATIENCE:?}"));
                false
            }
        }
    }

    /// Whether the split is decided, or there is nothing to split there.
    async fn try_split(&self, world: &World, group: usize, behind: bool) -> bool {
        let Some((_, node)) = world.nodes().next() else {
            return false;
        };
        let group = self.groups[group].id;
        let Some(shard) = node.view.home_of(&group) else {
            return false;
        };
        let at = group.slot().0.checked_add(u16::from(behind)).map(Slot);
        let Some(at) = at.filter(|at| shard.slots.0 < *at && *at <= shard.slots.1) else {
            return true;
        };
        match timeout(PATIENCE, node.split_shard(shard.id, Some(at))).await {
            // It may have been decided, and the answer lost.
            Ok(done) => done.is_ok(),
            Err(_) => false,
        }
    }

    fn see(&mut self, world: &World) {
        for (machine, node) in world.nodes() {
            let elsewhere = machine.id() != Some(FOUNDER) && node.meta.leads();
            if elsewhere && self.meta.insert(machine.index) {
                self.oracle.sometimes.saw(State::MetaElsewhere);
            }
            let placement = node.view.placement();
            for voter in node.voters.all() {
                let shard = placement.shard(voter.id);
                let home = shard.and_then(|shard| placement.region_name(shard.region));
                let abroad = home.is_some_and(|home| home != REGIONS[machine.region]);
                if abroad
                    && voter.raft.status().is_leader
                    && self.abroad.insert((voter.id, machine.index))
                {
                    self.oracle.sometimes.saw(State::LedAbroad);
                }
            }
        }
        let Some((_, node)) = world.nodes().next() else {
            return;
        };
        for shard in node.view.placement().shards() {
            if shard.parent.is_some() && !shard.unborn && self.born.insert(shard.id) {
                self.oracle.sometimes.saw(State::Split);
            }
            let before = self.voters.iter().any(|(id, _)| *id == shard.id);
            let new = self.voters.insert((shard.id, shard.voters.clone()));
            if before && new {
                self.oracle.sometimes.saw(State::VotersChanged);
            }
        }
    }
}

async fn command(node: &Node, id: NodeId, draining: bool) -> bool {
    let command = MetaCommand {
        now_ms: node.stamps.wall_ms(),
        op: Some(meta_command::Op::DrainNode(DrainNode {
            node: id.0,
            draining,
        })),
    };
    let done = timeout(PATIENCE, node.router.meta(&node.meta, command)).await;
    matches!(done, Ok(Ok(_)))
}
