//! Who votes, and how that changes: newcomers learn everything first (design
//! decision D19), then the old and the new voters agree together (joint
//! consensus), then the new ones alone. Every step may be asked for again.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::NodeId;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::ChangeMembershipError;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::impls::EmptyNode;
use openraft::{ChangeMembers, RaftMetrics};

use crate::shard::RaftShard;
use crate::types::Types;
use crate::{ProposeError, Sequencer};

/// Who takes part in a shard, as one replica knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    /// Who votes; during a change the old and the new voters.
    pub voters: BTreeSet<NodeId>,
    /// Between two sets of voters: both have to agree.
    pub joint: bool,
    /// Who learns and does not vote.
    pub learners: BTreeSet<NodeId>,
    /// Committed, and not joint: nobody else can elect a leader.
    pub settled: bool,
    /// At the leader: up to which index each other replica holds its log.
    pub matched: BTreeMap<NodeId, u64>,
}

impl Membership {
    pub(crate) fn of(metrics: &RaftMetrics<Types>) -> Self {
        let effective = metrics.membership_config.membership();
        let joint = effective.get_joint_config().len() > 1;
        let committed = metrics.committed_membership_config.log_id();
        let matched = metrics.replication.iter().flatten();
        Self {
            voters: effective.voter_ids().map(NodeId).collect(),
            joint,
            learners: effective.learner_ids().map(NodeId).collect(),
            settled: !joint && committed == metrics.membership_config.log_id(),
            matched: matched
                .map(|(node, at)| (NodeId(*node), at.map_or(0, |at| at.index)))
                .collect(),
        }
    }
}

impl RaftShard {
    /// Who takes part.
    #[must_use]
    pub fn membership(&self) -> Membership {
        Membership::of(&self.raft.metrics().borrow_watched())
    }

    /// Makes `voters` the voters of the group, step by step: those that are
    /// new first hold all that the leader holds now. Leader only. Nobody else
    /// takes part afterwards. Waits for as long as a newcomer takes; when it
    /// is dropped, or the leader dies half way, asking again carries on.
    ///
    /// # Errors
    /// As for [`Sequencer::propose`]; `Busy` while another change is under way.
    pub async fn set_voters(&self, voters: &[NodeId]) -> Result<(), ProposeError> {
        if voters.is_empty() {
            return Err(ProposeError::Refused("a group needs a voter".into()));
        }
        self.check_running()?;
        let wanted: BTreeSet<NodeId> = voters.iter().copied().collect();
        let before = self.membership();
        for node in &wanted {
            if !before.voters.contains(node) && !before.learners.contains(node) {
                let added = self.raft.add_learner(node.0, EmptyNode::new(), false).await;
                added.map_err(|error| self.change_error(error))?;
            }
        }
        for node in wanted.difference(&before.voters) {
            self.caught_up(*node).await?;
        }
        if !before.settled || before.voters != wanted {
            let numbers: BTreeSet<u32> = wanted.iter().map(|node| node.0).collect();
            let changed = self.raft.change_membership(numbers, false).await;
            changed.map_err(|error| self.change_error(error))?;
        }
        // Learners of a change that was given up.
        let after = self.membership();
        let rest: BTreeSet<u32> = after.learners.iter().map(|node| node.0).collect();
        if !rest.is_empty() {
            let gone = ChangeMembers::RemoveNodes(rest);
            let changed = self.raft.change_membership(gone, false).await;
            changed.map_err(|error| self.change_error(error))?;
        }
        Ok(())
    }

    /// Waits until `node` holds what the leader holds now. openraft's own wait
    /// is content with a learner that lags by as much as the log keeps.
    async fn caught_up(&self, node: NodeId) -> Result<(), ProposeError> {
        let goal = self.status().last_log;
        let mut metrics = self.raft.metrics();
        loop {
            let there = {
                let metrics = metrics.borrow_and_update();
                if let Err(fatal) = &metrics.running_state {
                    return Err(self.fatal(fatal));
                }
                let Some(replication) = &metrics.replication else {
                    return Err(ProposeError::NotLeader {
                        leader: metrics.current_leader.map(NodeId),
                        term: metrics.current_term,
                    });
                };
                let matched = replication.get(&node.0).and_then(Option::as_ref);
                matched.is_some_and(|matched| matched.index >= goal)
            };
            if there {
                return Ok(());
            }
            metrics.changed().await.map_err(|_| ProposeError::Stopped)?;
        }
    }

    fn change_error(&self, error: RaftError<Types, ClientWriteError<Types>>) -> ProposeError {
        match error {
            RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_),
            )) => ProposeError::Busy,
            other => self.write_error(other),
        }
    }
}
