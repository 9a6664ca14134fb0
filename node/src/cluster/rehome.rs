//! Moves groups that are to leave a shard, at its leader: reads what the core
//! asks for, proposes what it says, and gives up what takes too long.

mod begin;
mod people;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use folkmoot_consensus::Sequencer;
use folkmoot_replication::apply::{HomeRecord, home_record, home_records};
use folkmoot_replication::placement::Shard;
use folkmoot_replication::rehome::{At, Next, Rehoming, leftover};
use folkmoot_storage::{Seat, Store, StoreError};
use folkmoot_wire::proto::{Command, HomePhase, HomeState, StoredHome, outcome};
use folkmoot_wire::{Code, Fault, GroupId, ShardId, limits};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::outcome::judged;
use super::router::Router;
use super::shards::VoterShard;
use super::view::ClusterView;
pub use begin::Begun;

/// Records looked at each time.
const PAGE: usize = 256;

/// What became of moves while this node led the shard they left.
#[derive(Debug, Default)]
pub struct MoveCounts {
    moved: AtomicU64,
    given_up: AtomicU64,
}

impl MoveCounts {
    /// By name.
    #[must_use]
    pub fn all(&self) -> [(&'static str, u64); 2] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("moved", read(&self.moved)),
            ("given_up", read(&self.given_up)),
        ]
    }
}

/// One shard's mover of groups.
pub struct Rehomer {
    pub voter: VoterShard,
    pub store: Arc<dyn Store>,
    pub router: Arc<Router>,
    pub view: Arc<ClusterView>,
}

impl Rehomer {
    /// Runs until the replica ends.
    pub async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&self) {
        let mut look = interval(limits::REHOME_EVERY);
        let mut after = None;
        let mut moving = BTreeSet::new();
        let mut moves = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(group) = moves.next() => { moving.remove(&group); }
                _ = look.tick() => {
                    if !self.leads() {
                        continue;
                    }
                    let page = match home_records(&*self.store, self.voter.id, after.as_ref(), PAGE) {
                        Ok(page) => page,
                        Err(error) => {
                            tracing::error!(shard = self.voter.id.0, %error, "records of moves cannot be read");
                            continue;
                        }
                    };
                    after = page.last().filter(|_| page.len() == PAGE).map(|last| last.group);
                    for record in page {
                        let room = moves.len() < limits::REHOMES_AT_ONCE;
                        if room && is_to_do(&record) && moving.insert(record.group) {
                            moves.push(self.one(record));
                        }
                    }
                }
            }
        }
    }

    fn leads(&self) -> bool {
        self.voter.raft.status().is_leader
    }

    async fn one(&self, record: HomeRecord) -> GroupId {
        let group = record.group;
        if let Some(drop) = leftover(&record) {
            self.drop_leftover(&group, drop).await;
        } else if let Err(error) = self.drive(&record).await {
            tracing::error!(shard = self.voter.id.0, %group, %error, "a group cannot be read to be moved");
        }
        group
    }

    async fn drop_leftover(&self, group: &GroupId, command: Command) {
        let placement = self.view.placement();
        let Some(shard) = placement.shard(self.voter.id) else {
            return;
        };
        if let Err(fault) = self.router.propose(shard, vec![command]).await {
            tracing::debug!(shard = shard.id.0, %group, %fault, "what is left of a group goes later");
        }
    }

    /// Drives one move for as long as this node leads the shard.
    async fn drive(&self, record: &HomeRecord) -> Result<(), StoreError> {
        let (group, own) = (record.group, self.voter.id);
        let placement = self.view.placement();
        let (Some(shard), Some(birth)) = (placement.shard(own), placement.birth_shard(&group))
        else {
            return Ok(());
        };
        let seat = Seat::new(&*self.store, shard.region);
        let mut rehoming = Rehoming::new(own, birth.id, record);
        let mut patience = Patience::new(&record.home);
        tracing::info!(shard = own.0, %group, to = rehoming.to().0, "the group is moved to another shard");
        while self.leads() {
            let Some(home) = home_record(&*self.store, own, &group)? else {
                return Ok(()); // split off: it goes on there
            };
            if !rehoming.is_given_up() && patience.is_over(&home) {
                tracing::warn!(shard = own.0, %group, to = rehoming.to().0, "the move takes too long: the group stays");
                rehoming.give_up();
            }
            match rehoming.next(&seat, &home)? {
                Next::Again => tokio::task::yield_now().await,
                Next::Wait => sleep(limits::HOME_HOP_PAUSE).await,
                Next::Done => {
                    self.ended(&group, &home);
                    return Ok(());
                }
                Next::Propose(at, command) => {
                    let shard = self.shard_at(at, &rehoming, birth);
                    let answer = self.propose(shard.as_ref(), &command).await;
                    if let Err(fault) = &answer {
                        tracing::debug!(shard = own.0, %group, ?at, %fault, "a step of a move is taken again");
                        sleep(limits::HOME_HOP_PAUSE).await;
                    }
                    rehoming.answered(at, &command, answer);
                }
            }
        }
        Ok(())
    }

    fn ended(&self, group: &GroupId, home: &StoredHome) {
        let (shard, counts) = (self.voter.id.0, &self.voter.moves);
        if home.phase() == HomePhase::Gone {
            counts.moved.fetch_add(1, Ordering::Relaxed);
            tracing::info!(shard, %group, to = home.redirect, "the group has another home");
        } else {
            counts.given_up.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(shard, %group, "the move was given up: the group is at home where it was");
        }
    }

    fn shard_at(&self, at: At, rehoming: &Rehoming, birth: &Shard) -> Option<Shard> {
        let (placement, group) = (self.view.placement(), rehoming.of().0);
        let shard = match at {
            At::Source => placement.shard(self.voter.id),
            At::Target => placement.shard_since(rehoming.to(), &group),
            At::Birth => placement.shard_since(birth.id, &group),
        };
        shard.cloned()
    }

    async fn propose(&self, shard: Option<&Shard>, command: &Command) -> Result<HomeState, Fault> {
        let gone = || Fault::new(Code::Unavailable, "the shard is not placed");
        let shard = shard.ok_or_else(gone)?;
        propose_step(&self.router, &self.view, shard, command.clone()).await
    }
}

/// Proposes one step of a move. Gives how the shard stands to the group then.
async fn propose_step(
    router: &Router,
    view: &ClusterView,
    shard: &Shard,
    command: Command,
) -> Result<HomeState, Fault> {
    let mut shard = shard.clone();
    for _ in 0..2 {
        let outcomes = router.propose(&shard, vec![command.clone()]).await?;
        let outcome = outcomes.into_iter().next().map(judged).transpose()?;
        match outcome.and_then(|outcome| outcome.result) {
            Some(outcome::Result::HomeState(state)) => return Ok(state),
            // Its slot was split off, and that is not known here yet.
            Some(outcome::Result::Moved(moved)) => {
                let there = view.placement().shard(ShardId(moved.shard)).cloned();
                shard = there.ok_or(Code::Unavailable)?;
            }
            _ => return Err(Code::Internal.into()),
        }
    }
    Err(Code::Unavailable.into())
}

fn is_to_do(record: &HomeRecord) -> bool {
    let leaves = matches!(record.home.phase(), HomePhase::Leaving | HomePhase::Fenced);
    leaves || leftover(record).is_some()
}

/// How long a move may take.
struct Patience {
    began: Instant,
    fenced: Option<Instant>,
}

impl Patience {
    fn new(home: &StoredHome) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            fenced: (home.phase() == HomePhase::Fenced).then_some(now),
        }
    }

    fn is_over(&mut self, home: &StoredHome) -> bool {
        if home.phase() == HomePhase::Fenced {
            let fenced = self.fenced.get_or_insert_with(Instant::now);
            return fenced.elapsed() > limits::REHOME_FENCED;
        }
        self.began.elapsed() > limits::REHOME_WITHIN
    }
}
