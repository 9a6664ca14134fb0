//! Who is there, between nodes: the homes of users whose shards this node leads,
//! and the way to all others. The protocol is in
//! [`folkmoot_replication::presence`].

mod convert;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use folkmoot_consensus::Sequencer;
use folkmoot_replication::presence::{Answer, Home, News, Push};
use folkmoot_wire::proto::{
    Done, NotLeader, PresenceNews, PresenceStates, node_reply, node_request,
};
use folkmoot_wire::{Code, Fault, NodeId, ShardId, limits};
use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::peers::{Class, Peers};
use super::shards::{NotDone, Voters};
use super::view::ClusterView;
use crate::edge::Edge;
use crate::edge::presence::BOUNDS;

/// Nodes that are asked in turn who leads.
const HOPS: usize = 6;
/// Pushes to one edge that may be under way. More are dropped: its next renewal
/// tells it.
const PUSHES: usize = 8;
/// With nothing to do homes are looked at this often: others may lead by now.
const LOOK: Duration = Duration::from_secs(1);

/// The homes at this node.
pub struct Presences {
    peers: Arc<Peers>,
    voters: Arc<Voters>,
    view: Arc<ClusterView>,
    homes: Mutex<BTreeMap<ShardId, Home>>,
    news: Notify,
    since: Instant,
}

impl Presences {
    /// None so far.
    #[must_use]
    pub fn new(peers: Arc<Peers>, voters: Arc<Voters>, view: Arc<ClusterView>) -> Self {
        Self {
            peers,
            voters,
            view,
            homes: Mutex::default(),
            news: Notify::new(),
            since: Instant::now(),
        }
    }

    /// Users who are there, by the homes at this node.
    #[must_use]
    pub fn online(&self) -> usize {
        self.homes.lock().values().map(Home::online).sum()
    }

    /// What another node's edge says.
    ///
    /// # Errors
    /// `invalid` when it cannot be read.
    pub fn answer(&self, from: NodeId, said: &PresenceNews) -> Result<node_reply::Reply, Fault> {
        let shard = ShardId(said.shard);
        let news = convert::news(said)?;
        match self.hear(from, shard, &news) {
            Ok(answer) => Ok(node_reply::Reply::Presence(convert::answer_to_proto(
                &answer,
            ))),
            Err(NotDone::NotLeader(hint)) => Ok(node_reply::Reply::NotLeader(hint)),
            Err(NotDone::Fault(fault)) => Err(fault),
        }
    }

    fn hear(&self, from: NodeId, shard: ShardId, news: &News) -> Result<Answer, NotDone> {
        let voter = self.voters.get(shard).ok_or(Code::Unavailable);
        let voter = voter.map_err(|code| NotDone::Fault(code.into()))?;
        let status = voter.raft.status();
        if !status.is_leader {
            return Err(NotDone::NotLeader(NotLeader {
                shard: shard.0,
                leader: status.leader.map_or(0, |node| node.0),
                term: status.term,
            }));
        }
        let answer = {
            let mut homes = self.homes.lock();
            let new = || Home::new(shard, status.term, BOUNDS);
            let home = homes.entry(shard).or_insert_with(new);
            if home.term() != status.term {
                *home = new();
            }
            home.hear(from, news, self.since.elapsed())
        };
        self.news.notify_one();
        Ok(answer)
    }

    /// Tells the leader of a shard, and gives who that was.
    ///
    /// # Errors
    /// `unavailable` when nobody who leads can be reached.
    pub async fn tell(&self, shard: ShardId, news: &News) -> Result<(NodeId, Answer), Fault> {
        let mut asked = BTreeSet::new();
        let mut target = self.leader(shard, &asked);
        while let Some(node) = target.filter(|_| asked.len() < HOPS) {
            asked.insert(node);
            let led_by = match self.tell_one(node, shard, news).await {
                Ok(answer) => return Ok((node, answer)),
                Err(NotDone::NotLeader(hint)) => Some(NodeId(hint.leader)),
                Err(NotDone::Fault(_)) => None,
            };
            let led_by = led_by.filter(|other| other.0 != 0 && !asked.contains(other));
            target = led_by.or_else(|| self.leader(shard, &asked));
        }
        Err(Fault::new(
            Code::Unavailable,
            "nobody leads the shard of these users",
        ))
    }

    async fn tell_one(&self, node: NodeId, shard: ShardId, news: &News) -> Result<Answer, NotDone> {
        if node == self.peers.me() {
            return self.hear(node, shard, news);
        }
        let request = node_request::Request::Presence(convert::news_to_proto(shard, news));
        let call = self
            .peers
            .call_living(node, Class::Live, request, limits::RPC_DEADLINE);
        match call.await.map_err(NotDone::Fault)? {
            node_reply::Reply::Presence(answer) => convert::answer(&answer).map_err(NotDone::Fault),
            node_reply::Reply::NotLeader(hint) => Err(NotDone::NotLeader(hint)),
            _ => Err(NotDone::Fault(Fault::new(
                Code::Internal,
                "an answer of another kind",
            ))),
        }
    }

    /// The leader as far as is known, or else a voter who may know it; none that
    /// was asked already, for what is known may be old.
    fn leader(&self, shard: ShardId, asked: &BTreeSet<NodeId>) -> Option<NodeId> {
        let known = self.voters.leader(shard).into_iter();
        let placement = self.view.placement();
        let voters = placement.shard(shard).map(|shard| shard.voters.clone());
        known
            .chain(self.view.leader(shard))
            .chain(voters.unwrap_or_default())
            .find(|node| !asked.contains(node) && self.view.alive(*node))
    }

    /// Another node's word of users who are watched here.
    ///
    /// # Errors
    /// `invalid` when it cannot be read.
    pub fn heard(&self, edge: &Edge, states: &PresenceStates) -> Result<node_reply::Reply, Fault> {
        edge.presence(&convert::states(states)?);
        Ok(node_reply::Reply::Done(Done {}))
    }

    /// Tells edges what changes, until the node stops.
    pub async fn run(self: Arc<Self>, edge: Arc<Edge>, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        let mut counts: BTreeMap<NodeId, usize> = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(to) = under_way.next() => {
                    if let Some(count) = counts.get_mut(&to) {
                        *count -= 1;
                    }
                }
                () = self.wait() => for push in self.due() {
                    if push.to == self.peers.me() {
                        edge.presence(&push.states);
                        continue;
                    }
                    let count = counts.entry(push.to).or_default();
                    if *count < PUSHES {
                        *count += 1;
                        under_way.push(self.push(push));
                    }
                }
            }
        }
    }

    async fn wait(&self) {
        let now = self.since.elapsed();
        let wakes = {
            let homes = self.homes.lock();
            homes.values().filter_map(|home| home.wake_at(now)).min()
        };
        let within = wakes.map_or(LOOK, |wake| wake.saturating_sub(now).min(LOOK));
        let _ = timeout(within, self.news.notified()).await;
        sleep(limits::PRESENCE_FLUSH).await;
    }

    fn due(&self) -> Vec<Push> {
        let now = self.since.elapsed();
        let mut homes = self.homes.lock();
        homes.retain(|shard, home| {
            let status = self.voters.get(*shard).map(|voter| voter.raft.status());
            status.is_some_and(|status| status.is_leader && status.term == home.term())
        });
        homes.values_mut().flat_map(|home| home.due(now)).collect()
    }

    async fn push(&self, push: Push) -> NodeId {
        let states = convert::states_to_proto(&push.states);
        let request = node_request::Request::PresenceStates(states);
        let call = self
            .peers
            .call_living(push.to, Class::Live, request, limits::RPC_DEADLINE);
        if let Err(fault) = call.await {
            tracing::debug!(node = push.to.0, %fault, "an edge was not told who is there");
        }
        push.to
    }
}
