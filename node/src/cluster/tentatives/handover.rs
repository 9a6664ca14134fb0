//! Handing over what is kept, until the home has answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use folkmoot_replication::relay::rendezvous;
use folkmoot_replication::tentative::Tentative;
use folkmoot_wire::proto::{Committed, Outcome, Settled, TentativeNews, TentativeSettled, outcome};
use folkmoot_wire::{Fault, GroupId, NodeId, ShardId, limits};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Keeper, PAGE, command_of};
use crate::cluster::outcome::{Later, judged, later};

/// Between two rounds while something is kept.
const PAUSE: Duration = Duration::from_millis(250);
/// Between two rounds while nothing is.
const IDLE: Duration = Duration::from_secs(5);

/// What goes together. Where groups were born says who hands them over: all
/// nodes know that alike. Of where they are at home each knows what it has
/// heard; two that chose by it could each take the other for the one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    born: ShardId,
    home: ShardId,
}

/// When what was done last.
#[derive(Default)]
struct Rounds {
    /// Kept messages given to who hands them over.
    given: BTreeMap<Way, Duration>,
    /// Neighbours told of what is kept here.
    told: BTreeMap<Way, Duration>,
}

fn due(last: &mut BTreeMap<Way, Duration>, way: Way, now: Duration) -> bool {
    let due = last
        .get(&way)
        .is_none_or(|last| *last + limits::TENTATIVE_BEAT <= now);
    if due {
        last.insert(way, now);
    }
    due
}

impl Keeper {
    /// Works until the node stops.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut rounds = Rounds::default();
        loop {
            let pause = if self.known.lock().is_empty() {
                IDLE
            } else {
                PAUSE
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = timeout(pause, self.work.notified()) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.round(&mut rounds) => {}
            }
            let silent = self.known.lock().expire(self.now());
            drop(silent);
        }
    }

    /// Every shard of which something is kept, all at once: one home that is
    /// out of reach does not keep the others waiting.
    async fn round(&self, rounds: &mut Rounds) {
        let mut ways: BTreeMap<Way, Vec<GroupId>> = BTreeMap::new();
        let (view, placement) = (&self.parts.copies.view, self.parts.copies.view.placement());
        for group in self.known.lock().groups() {
            let born = placement.birth_shard(&group).map(|shard| shard.id);
            let home = view.home_of(&group).map(|shard| shard.id);
            if let (Some(born), Some(home)) = (born, home) {
                ways.entry(Way { born, home }).or_default().push(group);
            }
        }
        let homes: BTreeSet<ShardId> = ways.keys().map(|way| way.home).collect();
        self.cut.lock().retain(|shard| homes.contains(shard));
        let now = self.now();
        let mut work = Vec::new();
        for (way, groups) in ways {
            let relay = self.relay(way.born);
            let beat = if relay == self.me() {
                due(&mut rounds.told, way, now)
            } else {
                due(&mut rounds.given, way, now)
            };
            work.push(self.pass_on(way.home, groups, relay, beat));
        }
        join_all(work).await;
    }

    fn relay(&self, born: ShardId) -> NodeId {
        let nodes = self.neighbours().into_iter().chain([self.me()]);
        rendezvous(&self.region(), born, nodes).unwrap_or_else(|| self.me())
    }

    async fn pass_on(&self, home: ShardId, groups: Vec<GroupId>, relay: NodeId, beat: bool) {
        if relay != self.me() {
            if beat {
                self.give_all(relay, &groups).await;
            }
            return;
        }
        if beat {
            let kept = self.next(&groups);
            let news = TentativeNews {
                held: kept.iter().map(command_of).collect(),
                ..TentativeNews::default()
            };
            self.tell_all(&news).await;
        }
        self.hand_over(home, &groups).await;
    }

    pub(super) fn next(&self, groups: &[GroupId]) -> Vec<Tentative> {
        let known = self.known.lock();
        known.kept(|group| groups.contains(group), PAGE)
    }

    /// Proposes what is kept, in order, until nothing is left or the home
    /// does not answer.
    async fn hand_over(&self, shard: ShardId, groups: &[GroupId]) {
        let mut done = 0;
        loop {
            let kept = self.next(groups);
            let placement = self.parts.copies.view.placement();
            let Some(home) = placement.shard(shard).filter(|_| !kept.is_empty()) else {
                break;
            };
            let commands = kept.iter().map(command_of).collect();
            match self.parts.router.propose(home, commands).await {
                Ok(outcomes) => {
                    let settled = self.answered(shard, &kept, outcomes).await;
                    done += settled;
                    if settled < kept.len() {
                        // The others go with the next round, to where their
                        // groups are by then.
                        return;
                    }
                }
                Err(fault) => {
                    self.cut.lock().insert(shard);
                    tracing::debug!(shard = shard.0, %fault, "tentative messages wait");
                    sleep(PAUSE).await;
                    return;
                }
            }
        }
        self.cut.lock().remove(&shard);
        if done > 0 {
            tracing::info!(
                shard = shard.0,
                messages = done,
                "tentative messages were handed over"
            );
        }
    }

    /// Gives how many messages the home has answered for good.
    async fn answered(&self, shard: ShardId, kept: &[Tentative], outcomes: Vec<Outcome>) -> usize {
        let mut settled: Vec<(GroupId, Settled)> = Vec::with_capacity(kept.len());
        for (tentative, outcome) in kept.iter().zip(outcomes) {
            let group = tentative.group;
            match later(&outcome) {
                None => settled.push((group, settled_by(tentative, judged(outcome)))),
                Some(Later::Fenced) => {}
                Some(Later::Moved(moved)) => {
                    drop(self.parts.copies.view.moved(&group, shard, moved))
                }
            }
        }
        let count = settled.len();
        let news = TentativeNews {
            settled: settled
                .iter()
                .map(|(group, settled)| TentativeSettled {
                    group: group.to_bytes(),
                    settled: Some(settled.clone()),
                })
                .collect(),
            ..TentativeNews::default()
        };
        self.settle(settled);
        self.tell_all(&news).await;
        count
    }
}

/// What the home said, whatever it was, is its last word: what apply refuses
/// it refuses for good, unless the group is on its way elsewhere.
fn settled_by(tentative: &Tentative, outcome: Result<Outcome, Fault>) -> Settled {
    let append = &tentative.append;
    let settled = Settled {
        sender: append.sender.clone(),
        device: append.device,
        client_msg_id: append.client_msg_id.clone(),
        ..Settled::default()
    };
    match outcome.map(|outcome| outcome.result) {
        Ok(Some(outcome::Result::Committed(Committed { seq, hlc, id, .. }))) => Settled {
            seq,
            hlc,
            id,
            ..settled
        },
        Ok(_) => settled,
        Err(fault) => Settled {
            error: Some(fault.into()),
            ..settled
        },
    }
}
