//! Proposing what an edge's sessions say, at the home or, while that cannot be
//! reached, to the region's keepers.

use folkmoot_wire::proto::{Command, Committed, Outcome, command, outcome};
use folkmoot_wire::{Code, Fault, GroupId, limits};
use tokio::time::timeout;

use super::NodeBackend;
use crate::cluster::outcome::{effect_is_awaited, judged, may_be_tentative};

impl NodeBackend {
    /// Proposes commands, and waits until their effects can be seen here.
    pub(super) async fn committed(
        &self,
        group: GroupId,
        ops: Vec<command::Op>,
    ) -> Result<Vec<Result<Outcome, Fault>>, Fault> {
        let awaited: Vec<bool> = ops.iter().map(effect_is_awaited).collect();
        let commands = ops
            .into_iter()
            .map(|op| Command {
                group: group.to_bytes(),
                op: Some(op),
            })
            .collect();
        let (shard, outcomes) = self.router.propose_of(&group, commands).await?;
        let reached = outcomes
            .iter()
            .zip(&awaited)
            .filter_map(|(outcome, awaited)| match &outcome.result {
                Some(outcome::Result::Committed(Committed { seq, .. })) if *awaited => Some(*seq),
                _ => None,
            })
            .max();
        if let Some(seq) = reached
            && let Err(fault) = self.copies.reach_effect(&shard, &group, seq).await
        {
            tracing::warn!(%group, %fault, "the copy here is behind what was committed");
        }
        Ok(outcomes.into_iter().map(judged).collect())
    }

    /// The same for a session that takes `accepted` for an answer (D9).
    pub(super) async fn said(
        &self,
        group: GroupId,
        mut ops: Vec<command::Op>,
    ) -> Vec<Result<Outcome, Fault>> {
        let count = ops.len();
        let speaks = ops.iter().take_while(|op| may_be_tentative(op)).count();
        let Some(shard) = self.view.home_of(&group) else {
            return vec![Err(Code::NotFound.into()); count];
        };
        let cut = self.keeper.is_cut(shard.id, &group);
        let mut last = Fault::new(Code::Unavailable, "what was said before waits for the home")
            .retry_after(limits::BUSY_RETRY_MS);
        if !cut {
            let tried = self.committed(group, ops.clone());
            let within = if speaks > 0 {
                limits::ACCEPT_AFTER
            } else {
                limits::PROPOSE_DEADLINE * 2
            };
            match timeout(within, tried).await {
                Ok(Ok(results)) => return results,
                Ok(Err(fault)) if !is_out_of_reach(&fault) => {
                    return vec![Err(fault); count];
                }
                Ok(Err(fault)) => last = fault,
                Err(_) => {}
            }
        }
        // What may not be tentative waits, and whatever comes behind it.
        ops.truncate(speaks);
        let appends = ops.into_iter().filter_map(|op| match op {
            command::Op::Append(append) => Some(append),
            _ => None,
        });
        let now = self.stamps.wall_ms();
        let mut results = self
            .keeper
            .accept(&shard, group, appends.collect(), now)
            .await;
        results.resize(count, Err(last));
        results
    }
}

fn is_out_of_reach(fault: &Fault) -> bool {
    matches!(fault.code, Code::Unavailable | Code::Deadline)
}
