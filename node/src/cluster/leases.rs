//! How long this node may speak for groups whose home it does not hear from
//! (D11): what it knows of who may read and speak becomes too old.
//!
//! A lease is renewed by an empty proposal, which writes nothing and is answered
//! once a quorum has confirmed the leader. Neither a relay of the region nor a
//! voter that is cut off itself can renew it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use folkmoot_storage::{Batch, Commit, Direction, Store, StoreError, Table, keys};
use folkmoot_wire::{Code, Fault, ShardId, safeguard};
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::follow::Followers;
use super::router::Router;
use super::shards::Voters;
use super::view::ClusterView;
use crate::edge::Edge;
use crate::ports::Clock;

/// A lease is renewed so often in its time...
const RENEWALS: u32 = 48;
/// ...but at least this often,
const SELDOM: Duration = Duration::from_secs(600);
/// and looked at this often once it has run out.
const AGAIN: Duration = Duration::from_secs(10);
/// Leases read at once.
const PAGE: usize = 1_000;
/// Shards asked at once.
const AT_ONCE: usize = 8;

/// The leases of this node.
pub struct Leases {
    time: Duration,
    /// When each runs out. What was never heard from since the store began does
    /// with the first lease of this start.
    ends: Mutex<BTreeMap<ShardId, Instant>>,
    unknown: Instant,
    not_served: AtomicUsize,
    commit: Arc<dyn Commit>,
    clock: Arc<dyn Clock>,
}

/// What leases are renewed with.
pub(super) struct Renewal {
    pub(super) leases: Arc<Leases>,
    pub(super) view: Arc<ClusterView>,
    pub(super) router: Arc<Router>,
    pub(super) voters: Arc<Voters>,
    pub(super) followers: Arc<Followers>,
    pub(super) edge: Arc<Edge>,
}

impl Leases {
    /// Leases of this length, and when homes were heard from before this start.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(
        time: Duration,
        store: Arc<dyn Store>,
        commit: Arc<dyn Commit>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let (now, wall_ms) = (Instant::now(), clock.wall_ms());
        let mut ends = BTreeMap::new();
        let (mut from, to) = keys::node::leases();
        loop {
            let page = store.scan(Table::Node, &from, &to, PAGE, Direction::Forward)?;
            let Some((last, _)) = page.last() else { break };
            from = keys::successor(last);
            for (key, heard) in page {
                let heard = <[u8; 8]>::try_from(&heard[..]).map(u64::from_be_bytes);
                let ago = wall_ms.saturating_sub(heard.unwrap_or_default());
                let left = time.saturating_sub(Duration::from_millis(ago));
                ends.insert(keys::node::parse_lease(&key)?, now + left);
            }
        }
        Ok(Self {
            time,
            ends: Mutex::new(ends),
            unknown: now + time,
            not_served: AtomicUsize::new(0),
            commit,
            clock,
        })
    }

    /// Whether this node may speak for the shard's groups by what it holds.
    ///
    /// # Errors
    /// `unavailable` when nothing was heard from their home for too long.
    pub fn check(&self, shard: ShardId) -> Result<(), Fault> {
        match self.has_ended(shard) {
            false => Ok(()),
            true => Err(Fault::new(
                Code::Unavailable,
                format!(
                    "nothing was heard from the group's home for {} s: this node no longer knows \
                     who may see it",
                    self.time.as_secs()
                ),
            )),
        }
    }

    /// Shards of which something is kept here and that are not served, as of
    /// the last look.
    pub fn not_served(&self) -> usize {
        self.not_served.load(Ordering::Relaxed)
    }

    /// A shard that was split off from another one: who could speak for that
    /// can speak for both.
    pub fn inherit(&self, shard: ShardId, parent: ShardId) {
        let mut ends = self.ends.lock();
        if let Some(end) = ends.get(&parent).copied() {
            ends.entry(shard).or_insert(end);
        }
    }

    fn has_ended(&self, shard: ShardId) -> bool {
        let end = self.ends.lock().get(&shard).copied();
        safeguard!(
            AuthorityLease,
            end.unwrap_or(self.unknown) <= Instant::now()
        )
    }

    /// The home was heard from: it answered what it was `asked`.
    fn renew(&self, shard: ShardId, asked: Instant) {
        self.ends.lock().insert(shard, asked + self.time);
        let mut batch = Batch::default();
        let heard = Bytes::copy_from_slice(&self.clock.wall_ms().to_be_bytes());
        batch.put(Table::Node, keys::node::lease(shard), heard);
        // Lost in a crash: the lease is as old as the one before.
        self.commit.submit(batch, Box::new(|_| ()));
    }

    fn pause(&self) -> Duration {
        (self.time / RENEWALS).min(SELDOM)
    }
}

impl Renewal {
    /// Works until the node stops.
    pub(super) async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&self) {
        // Those that had ended when they were looked at last.
        let mut ended = BTreeSet::new();
        loop {
            let (leases, shards) = (&self.leases, self.shards());
            stream::iter(&shards)
                .for_each_concurrent(AT_ONCE, |shard| self.renew(*shard))
                .await;
            ended.retain(|shard| shards.contains(shard));
            for shard in shards {
                self.look(shard, &mut ended);
            }
            leases.not_served.store(ended.len(), Ordering::Relaxed);
            let pause = leases.pause();
            let short = if ended.is_empty() {
                pause
            } else {
                pause.min(AGAIN)
            };
            sleep(short).await;
        }
    }

    /// Those of which something is kept here.
    fn shards(&self) -> BTreeSet<ShardId> {
        let voted = self.voters.all().into_iter().map(|voter| voter.id);
        voted.chain(self.followers.shards()).collect()
    }

    async fn renew(&self, shard: ShardId) {
        let placement = self.view.placement();
        let Some(home) = placement.shard(shard) else {
            return;
        };
        // It led when it answered, at the earliest right after it was asked.
        let asked = Instant::now();
        if self.router.propose(home, Vec::new()).await.is_ok() {
            self.leases.renew(shard, asked);
        }
    }

    fn look(&self, shard: ShardId, ended: &mut BTreeSet<ShardId>) {
        if !self.leases.has_ended(shard) {
            if ended.remove(&shard) {
                tracing::info!(
                    shard = shard.0,
                    "the home is there again: its groups are served"
                );
            }
            return;
        }
        if !ended.insert(shard) {
            return;
        }
        tracing::warn!(
            shard = shard.0,
            seconds = self.leases.time.as_secs(),
            "nothing was heard from the home for this long: its groups are not served"
        );
        // Those who look on see nothing more until it is known whether they may;
        // who comes now is refused.
        self.edge.replaced(|group| self.view.is_home(group, shard));
    }
}

#[cfg(test)]
mod tests;
