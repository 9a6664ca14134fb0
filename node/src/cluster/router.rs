//! Proposals find their way to the shard's leader: cached hints, redirects,
//! retries within a deadline. Commands bear being proposed twice (appends by
//! their `client_msg_id`, the others by what they are), so an attempt whose
//! end is not known is simply made again.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_consensus::Sequencer;
use folkmoot_replication::placement::Shard;
use folkmoot_wire::proto::{
    Command, MetaCommand, MetaOutcome, NotLeader, Outcome, Propose, node_reply, node_request,
};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, ShardId, limits};
use tokio::time::{Instant, sleep};

use super::commands::Commands;
use super::meta::MetaHost;
use super::outcome::{Later, later};
use super::peers::{Class, Peers};
use super::shards::{NotDone, Voters};
use super::view::ClusterView;
use crate::ports::Random;

/// First and longest pause between attempts. Short: while voters elect, what
/// users notice is how soon somebody asks the new leader.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// A voter of the meta shard has so long; then another is asked.
const META_TRY: Duration = Duration::from_secs(2);

/// Routes proposals.
pub struct Router {
    me: NodeId,
    peers: Arc<Peers>,
    voters: Arc<Voters>,
    view: Arc<ClusterView>,
    random: Arc<dyn Random>,
}

/// What one that leads no more would answer.
fn passed_over(shard: ShardId, leader: NodeId) -> NotDone {
    NotDone::NotLeader(NotLeader {
        shard: shard.0,
        leader: leader.0,
        term: 0,
    })
}

impl Router {
    /// A router over this node's peers and replicas.
    pub fn new(
        peers: Arc<Peers>,
        voters: Arc<Voters>,
        view: Arc<ClusterView>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            me: peers.me(),
            peers,
            voters,
            view,
            random,
        }
    }

    /// Proposes commands to a shard. One outcome a command, in order.
    ///
    /// # Errors
    /// `unavailable` when no leader answered within the deadline, or what
    /// the leader refused the whole with.
    pub async fn propose(
        &self,
        shard: &Shard,
        commands: Vec<Command>,
    ) -> Result<Vec<Outcome>, Fault> {
        let deadline = Instant::now() + limits::PROPOSE_DEADLINE;
        let mut pause = PAUSE.0;
        let mut attempt = 0;
        let mut shard = shard.clone();
        loop {
            if attempt > 0 {
                // Its voters may be others by now.
                shard = self
                    .view
                    .placement()
                    .shard(shard.id)
                    .cloned()
                    .unwrap_or(shard);
            }
            let target = self.target(&shard, attempt);
            attempt += 1;
            let left = deadline.saturating_duration_since(Instant::now());
            let result = match target {
                None => Err(NotDone::Fault(Fault::new(
                    Code::Unavailable,
                    "no voter is alive",
                ))),
                Some(node) if node == self.me => self.propose_here(shard.id, &commands, left).await,
                Some(node) => tokio::select! {
                    biased;
                    result = self.propose_there(node, shard.id, &commands, left) => result,
                    leader = self.another_leads(shard.id, node) => Err(passed_over(shard.id, leader)),
                },
            };
            let fault = match result {
                Ok(outcomes) => {
                    self.view.set_leader(shard.id, target);
                    return Ok(outcomes);
                }
                Err(NotDone::NotLeader(hint)) => {
                    let leader = (hint.leader != 0).then_some(NodeId(hint.leader));
                    let news = leader.is_some() && leader != target;
                    self.view.set_leader(shard.id, leader.filter(|_| news));
                    if news && attempt < 3 {
                        continue;
                    }
                    Fault::new(Code::Unavailable, "no leader yet")
                }
                Err(NotDone::Fault(fault)) => {
                    // Neither passes by asking again at once.
                    let known = matches!(fault.code, Code::Busy | Code::ClockDrift);
                    if !fault.code.temporary() || known {
                        return Err(fault);
                    }
                    self.view.set_leader(shard.id, None);
                    fault
                }
            };
            if Instant::now() + pause >= deadline {
                return Err(Fault::new(Code::Unavailable, fault.to_string())
                    .retry_after(limits::BUSY_RETRY_MS));
            }
            sleep(self.jitter(pause)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Proposes commands of a group at its home, wherever that is. While the
    /// group moves they are proposed again, with all behind them: none is done
    /// twice. One that was committed keeps its place, so where a fence is lifted
    /// between two payloads of these the later ones may come first. Gives the
    /// shard that answered last.
    ///
    /// # Errors
    /// As [`Router::propose`]; `not_found` when no shard holds the group's slot.
    pub async fn propose_of(
        &self,
        group: &GroupId,
        commands: Vec<Command>,
    ) -> Result<(Shard, Vec<Outcome>), Fault> {
        let deadline = Instant::now() + limits::PROPOSE_DEADLINE;
        let (mut left, mut done) = (commands, Vec::new());
        let mut hops = 0;
        loop {
            let shard = self.view.home_of(group).ok_or(Code::NotFound)?;
            let mut outcomes = self.propose(&shard, left.clone()).await?;
            let first = outcomes
                .iter()
                .enumerate()
                .find_map(|(at, outcome)| Some((at, later(outcome)?)));
            let Some((at, why)) = first else {
                done.append(&mut outcomes);
                return Ok((shard, done));
            };
            done.extend(outcomes.drain(..at));
            left.drain(..at);
            if let Later::Moved(moved) = why {
                self.view.moved(group, shard.id, moved);
                hops += 1;
            }
            if Instant::now() >= deadline {
                let detail = "the group is on its way to another home";
                return Err(
                    Fault::new(Code::Unavailable, detail).retry_after(limits::BUSY_RETRY_MS)
                );
            }
            if matches!(why, Later::Fenced) || hops > 1 {
                sleep(self.jitter(limits::HOME_HOP_PAUSE)).await;
            }
        }
    }

    /// The leader by the last hint, else the voters in turn, living first.
    fn target(&self, shard: &Shard, attempt: usize) -> Option<NodeId> {
        if let Some(leader) = self.voters.leader(shard.id) {
            return Some(leader);
        }
        if let Some(leader) = self.view.leader(shard.id)
            && shard.voters.contains(&leader)
            && self.view.alive(leader)
        {
            return Some(leader);
        }
        let alive: Vec<_> = shard
            .voters
            .iter()
            .copied()
            .filter(|node| self.view.alive(*node))
            .collect();
        let choice = if alive.is_empty() {
            &shard.voters
        } else {
            &alive
        };
        (!choice.is_empty()).then(|| choice[attempt % choice.len()])
    }

    /// Waits until a replica here knows that another node than `target` leads.
    async fn another_leads(&self, shard: ShardId, target: NodeId) -> NodeId {
        let Some(voter) = self.voters.get(shard) else {
            return pending().await;
        };
        let mut status = voter.raft.watch();
        loop {
            let leader = voter.raft.status().leader;
            if let Some(leader) = leader.filter(|leader| *leader != target) {
                return leader;
            }
            if status.changed().await.is_err() {
                return pending().await;
            }
        }
    }

    async fn propose_here(
        &self,
        shard: ShardId,
        commands: &[Command],
        left: Duration,
    ) -> Result<Vec<Outcome>, NotDone> {
        let Some(voter) = self.voters.get(shard) else {
            return Err(NotDone::Fault(Code::Unavailable.into()));
        };
        tokio::time::timeout(left, voter.propose(Commands::new(commands.to_vec())))
            .await
            .unwrap_or_else(|_| Err(NotDone::Fault(Code::Deadline.into())))
    }

    async fn propose_there(
        &self,
        node: NodeId,
        shard: ShardId,
        commands: &[Command],
        left: Duration,
    ) -> Result<Vec<Outcome>, NotDone> {
        let request = node_request::Request::Propose(Propose {
            shard: shard.0,
            commands: commands.to_vec(),
        });
        match self
            .peers
            .call_living(node, Class::Live, request, left)
            .await
        {
            Ok(node_reply::Reply::Outcomes(outcomes))
                if outcomes.outcomes.len() == commands.len() =>
            {
                Ok(outcomes.outcomes)
            }
            Ok(node_reply::Reply::NotLeader(hint)) => Err(NotDone::NotLeader(hint)),
            Ok(_) => Err(NotDone::Fault(Fault::new(
                Code::Internal,
                "an answer of another kind",
            ))),
            Err(fault) => Err(NotDone::Fault(fault)),
        }
    }

    /// Proposes a change of the cluster's own state.
    ///
    /// # Errors
    /// `unavailable` when the meta shard has no leader; otherwise what the
    /// meta shard refused it with.
    pub async fn meta(&self, host: &MetaHost, command: MetaCommand) -> Result<MetaOutcome, Fault> {
        let deadline = Instant::now() + limits::PROPOSE_DEADLINE;
        let mut attempt = 0;
        loop {
            let node = self.meta_target(host, attempt);
            attempt += 1;
            match self.meta_at(node, host, command.clone()).await {
                Ok(outcome) => {
                    self.view.set_leader(ShardId::META, Some(node));
                    if outcome.code == 0 {
                        return Ok(outcome);
                    }
                    let code = Code::from_u32(outcome.code).unwrap_or(Code::Internal);
                    return Err(Fault::new(code, outcome.detail));
                }
                Err(fault) if !fault.code.temporary() || Instant::now() >= deadline => {
                    return Err(fault);
                }
                Err(_) => {
                    self.view.set_leader(ShardId::META, None);
                    sleep(self.jitter(PAUSE.1)).await;
                }
            }
        }
    }

    /// The voters in turn, living ones if there are any, and the leader first.
    fn meta_target(&self, host: &MetaHost, attempt: usize) -> NodeId {
        let mut voters = host.may_vote();
        if voters.iter().any(|node| self.view.alive(*node)) {
            voters.retain(|node| self.view.alive(*node));
        }
        let here = host.raft().and_then(|raft| raft.status().leader);
        let leader = here.or_else(|| self.view.leader(ShardId::META));
        voters.sort_by_key(|node| Some(*node) != leader);
        voters[attempt % voters.len()]
    }

    async fn meta_at(
        &self,
        node: NodeId,
        host: &MetaHost,
        command: MetaCommand,
    ) -> Result<MetaOutcome, Fault> {
        let deadline = META_TRY;
        if node == self.me {
            // One that has lost its quorum would wait until it hears of that.
            let here = tokio::time::timeout(deadline, host.propose(command)).await;
            return here.unwrap_or_else(|_| Err(Code::Deadline.into()));
        }
        let request = node_request::Request::MetaCommand(command);
        let call = self.peers.call_living(node, Class::Live, request, deadline);
        match call.await? {
            node_reply::Reply::MetaOutcome(outcome) => Ok(outcome),
            _ => Err(Fault::from(Code::NotLeader)),
        }
    }

    fn jitter(&self, pause: Duration) -> Duration {
        let half = (pause.as_millis() as u64 / 2).max(1);
        Duration::from_millis(half + self.random.number() % half)
    }
}

#[cfg(test)]
mod tests;
