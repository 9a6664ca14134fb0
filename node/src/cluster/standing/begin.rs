//! Which replicas may begin, and whom the others wait for.

use std::time::Duration;

use folkmoot_replication::placement::Shard;
use folkmoot_wire::NodeId;

use super::Standing;
use super::judge::Judge;

impl Standing {
    /// Whether the replica of a shard may begin.
    #[must_use]
    pub fn may_begin(&self, shard: &Shard) -> bool {
        if !self.has_to_ask(shard) {
            return true;
        }
        // What is agreed on may have turned out to be something else meanwhile.
        if self.parts.view.placement().shard(shard.id) != Some(shard) {
            return false;
        }
        let state = &mut *self.state.lock();
        // A shard that is made while the node runs need not wait for the next
        // round: its voters may all have answered.
        let waits = self.waits(&state.judge, shard);
        let asks = state.judge.older().is_some() || !waits.is_empty();
        if !state.cleared.contains(&shard.id) && asks {
            return false;
        }
        state.waiting.remove(&shard.id);
        state.cleared.insert(shard.id);
        true
    }

    /// In a cluster of one node there is nobody to ask.
    pub(super) fn has_to_ask(&self, shard: &Shard) -> bool {
        let me = self.parts.me;
        // One that is only to vote, by an older folder, may vote by now.
        let has_part = shard.replicas.contains(&me) || self.held.contains(&shard.id);
        has_part && !self.everybody_else().is_empty()
    }

    pub(super) fn everybody_else(&self) -> Vec<NodeId> {
        let placement = self.parts.view.placement();
        let nodes = placement.nodes().map(|(id, _)| id);
        nodes.filter(|node| *node != self.parts.me).collect()
    }

    /// Whom the replica of a shard waits for.
    pub(super) fn waits(&self, judge: &Judge, shard: &Shard) -> Vec<NodeId> {
        if judge.older().is_some() || shard.voters == [self.parts.me] {
            let others = judge.waits_for_others(shard.id, &self.everybody_else(), self.now());
            if !others.is_empty() {
                return others;
            }
        }
        judge.waits_for(shard.id, &shard.voters, self.now())
    }

    /// An older folder's copy of what is agreed on is older too: another node's
    /// is taken before anything is believed.
    pub(super) async fn confirm(&self, from: NodeId) {
        if !self.state.lock().judge.lacks_place() {
            return;
        }
        let asked = self.parts.meta.ask(&self.parts.peers, from, Duration::ZERO);
        if asked.await.is_some() {
            self.state.lock().judge.placed();
        }
    }
}
