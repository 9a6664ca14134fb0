//! Following a shard this node does not vote on: the driver of the follower
//! core. It finds the upstream, keeps the stream, writes what was taken, and
//! asks for what is missing.

mod link;
mod wishes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_replication::apply::ApplyError;
use folkmoot_replication::follow::follower::{Event, Fetch, Follower, Output};
use folkmoot_replication::placement::Shard;
use folkmoot_replication::relay::{Upstream, upstream};
use folkmoot_storage::Store;
use folkmoot_wire::proto::{
    FetchLog, FollowUpdate, ReconcileRows, SlotRange, node_reply, node_request,
};
use folkmoot_wire::{GroupId, NodeId, ShardId, Slot, limits};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod handle;

use handle::Wish;
pub use handle::{FollowHandle, FollowStatus, Followers};

use super::extent::Extent;
use super::feeds::FeedHandle;
use super::machine::Applied;
use super::peers::{Class, Peers};
use super::view::ClusterView;
pub use link::Links;
use link::Subscription;

/// Between attempts to follow.
const REFOLLOW: Duration = Duration::from_millis(300);
/// Fetches that failed are tried again this often.
const RETRY: Duration = Duration::from_secs(1);
/// Answers and wishes that wait. Full: their senders wait.
const QUEUE: usize = 256;

/// What a follower works with.
pub struct FollowParts {
    /// The shard.
    pub shard: Shard,
    /// The core.
    pub follower: Follower,
    /// Follows every group.
    pub all_groups: bool,
    /// The shard's feed here.
    pub feed: FeedHandle,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Other nodes.
    pub peers: Arc<Peers>,
    /// The streams to those that are followed.
    pub links: Arc<Links>,
    /// The cluster as seen from here.
    pub view: Arc<ClusterView>,
    /// Ends it.
    pub stop: CancellationToken,
    /// Told when the store failed: the node stops.
    pub fatal: mpsc::Sender<String>,
}

/// Starts following.
#[must_use]
pub fn start(parts: FollowParts) -> FollowHandle {
    let (wishes, wished) = mpsc::channel(QUEUE);
    let (status, watch) = watch::channel(FollowStatus {
        watermark: parts.follower.watermark(),
        ..FollowStatus::default()
    });
    let stop = parts.stop.clone();
    let tasks = TaskTracker::new();
    let has = Arc::new(Extent::new(
        parts.shard.slots,
        true,
        Arc::clone(&parts.view),
    ));
    let handle = FollowHandle::new(
        wishes,
        watch,
        Arc::clone(&has),
        parts.all_groups,
        stop.clone(),
        tasks.clone(),
    );
    let (answers, answered) = mpsc::channel(QUEUE);
    let fatal = parts.fatal.clone();
    let task = Task {
        parts,
        has,
        status,
        answers,
        upstream: None,
        own: BTreeSet::new(),
        relayed: BTreeSet::new(),
        more: false,
    };
    tasks.spawn(async move {
        let run = task.run(wished, answered);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            result = run => if let Err(error) = result {
                let _ = fatal.send(error.to_string()).await;
            }
        }
    });
    handle
}

struct Task {
    parts: FollowParts,
    /// The slots that the upstream has.
    has: Arc<Extent>,
    status: watch::Sender<FollowStatus>,
    answers: mpsc::Sender<Event>,
    upstream: Option<NodeId>,
    /// Groups that this node's edge wants in full,
    own: BTreeSet<GroupId>,
    /// and those that the nodes want which follow through this one.
    relayed: BTreeSet<GroupId>,
    /// The core has more to do.
    more: bool,
}

/// Why one subscription ended.
enum End {
    /// It broke or fell silent.
    Broken,
    /// Another upstream is the better one now.
    Moved,
}

impl Task {
    async fn run(
        mut self,
        mut wishes: mpsc::Receiver<Wish>,
        mut answers: mpsc::Receiver<Event>,
    ) -> Result<(), ApplyError> {
        loop {
            if let Some(node) = self.choose()
                && let Some(subscription) = self.connect(node).await
            {
                self.upstream = Some(node);
                self.status.send_modify(|status| {
                    status.upstream = Some(node);
                    status.streams += 1;
                });
                let end = self.stream(subscription, &mut wishes, &mut answers).await?;
                self.upstream = None;
                self.status.send_modify(|status| status.upstream = None);
                if matches!(end, End::Moved) {
                    continue;
                }
            }
            sleep(REFOLLOW).await;
        }
    }

    fn choose(&self) -> Option<NodeId> {
        let me = self.parts.peers.me();
        let view = &self.parts.view;
        let relaying = self.parts.feed.status().borrow().followers > 0;
        let placement = view.placement();
        // Its voters may be others than when it began.
        let shard = placement.shard(self.parts.shard.id)?;
        let chosen = upstream(
            me,
            shard,
            &placement,
            &|node| view.alive(node),
            view.leader(self.parts.shard.id),
            relaying,
        );
        match chosen {
            Upstream::Voter(node) | Upstream::Relay(node) => Some(node),
            Upstream::Local | Upstream::Nobody => None,
        }
    }

    async fn connect(&self, node: NodeId) -> Option<Subscription> {
        let open = self.parts.follower.open_message();
        let opening = self.parts.links.follow(node, open);
        timeout(limits::RPC_DEADLINE, opening).await.ok()?.ok()
    }

    async fn stream(
        &mut self,
        mut upstream: Subscription,
        wishes: &mut mpsc::Receiver<Wish>,
        answers: &mut mpsc::Receiver<Event>,
    ) -> Result<End, ApplyError> {
        let mut retry = interval(RETRY);
        let mut changed = self.parts.view.watch();
        let mut wanted = self.parts.feed.wanted();
        // What was wanted before this stream is told first.
        wanted.mark_changed();
        loop {
            tokio::select! {
                biased;
                Some(event) = answers.recv() => self.handle(event).await?,
                push = upstream.pushes.recv() => {
                    let Some(push) = push else { return Ok(End::Broken) };
                    self.heed(push.slots);
                    self.handle(Event::Push(push)).await?;
                }
                Some(wish) = wishes.recv() => {
                    let update = self.wish(wish).await?;
                    if !tell(&upstream, update) {
                        return Ok(End::Broken);
                    }
                }
                Ok(()) = wanted.changed() => {
                    let now = wanted.borrow_and_update().clone();
                    let update = self.relay(now).await?;
                    if !tell(&upstream, update) {
                        return Ok(End::Broken);
                    }
                }
                _ = retry.tick() => {
                    // A follower gained here makes this node a relay, which
                    // the view does not show: two nodes must not keep
                    // following each other.
                    if self.choose() != self.upstream {
                        return Ok(End::Moved);
                    }
                    self.handle(Event::Tick).await?;
                }
                Ok(()) = changed.changed() => {
                    if self.choose() != self.upstream {
                        return Ok(End::Moved);
                    }
                }
                () = yield_now(), if self.more => self.handle(Event::Continue).await?,
            }
        }
    }

    /// An upstream that has fewer slots says nothing of the others any more. One
    /// that has more again is only behind with the split.
    fn heed(&self, slots: Option<SlotRange>) {
        let (first, last) = self.has.slots();
        let upto = slots.map_or(last, |slots| Slot(slots.to as u16));
        self.has.set((first, last.min(upto)));
    }

    async fn handle(&mut self, event: Event) -> Result<(), ApplyError> {
        let out = self.parts.follower.handle(event)?;
        let Output {
            batch,
            pushes,
            watermark,
            fetches,
            diverged,
            reconciled,
            gone,
            more,
        } = out;
        self.more = more;
        if !batch.is_empty() {
            self.parts.store.write(batch)?;
        }
        for group in &diverged {
            tracing::error!(
                shard = self.parts.shard.id.0, %group,
                "the copy of this group does not follow from its home's log: it is fetched anew"
            );
        }
        if !pushes.is_empty() || watermark.is_some() {
            // The feed is gone only when the node stops.
            let applied = Applied {
                pushes,
                version: watermark.unwrap_or(0),
                replaced: false,
                slots: None,
            };
            let _ = self.parts.feed.sink().send(applied).await;
        }
        for session in &reconciled {
            tracing::debug!(
                shard = self.parts.shard.id.0, group = %session.group, rows = session.rows,
                answers = session.answers, bytes = session.bytes, "rows were reconciled"
            );
            if session.wrong > 0 {
                tracing::warn!(
                    shard = self.parts.shard.id.0, group = %session.group, wrong = session.wrong,
                    "rows of this copy were not its home's: they were replaced"
                );
            }
            self.status.send_modify(|status| status.rows.add(session));
        }
        if watermark.is_some() || !diverged.is_empty() || gone > 0 {
            self.status.send_modify(|status| {
                status.watermark = watermark.unwrap_or(status.watermark);
                status.diverged += diverged.len() as u64;
                status.gone += gone;
            });
        }
        for fetch in fetches {
            self.fetch(fetch);
        }
        Ok(())
    }

    /// Asks the upstream; the answer comes back as an event.
    fn fetch(&self, fetch: Fetch) {
        let (peers, answers) = (Arc::clone(&self.parts.peers), self.answers.clone());
        let (upstream, shard) = (self.upstream, self.parts.shard.id);
        tokio::spawn(async move {
            let event = match upstream {
                Some(node) => ask(&peers, node, shard, &fetch).await,
                None => None,
            };
            let group = match fetch {
                Fetch::Log { group, .. } | Fetch::Rows { group, .. } => group,
            };
            let event = event.unwrap_or(Event::FetchFailed { group });
            let _ = answers.send(event).await;
        });
    }
}

/// Whether the upstream is told; an update that says nothing is not sent.
fn tell(upstream: &link::Subscription, update: FollowUpdate) -> bool {
    let nothing = update.add.is_empty() && update.remove.is_empty();
    nothing || upstream.update(update).is_ok()
}

async fn ask(peers: &Peers, node: NodeId, shard: ShardId, fetch: &Fetch) -> Option<Event> {
    let request = match fetch {
        Fetch::Log { group, after } => node_request::Request::FetchLog(FetchLog {
            group: group.to_bytes(),
            after: *after,
            before: 0,
            limit: limits::PAGE_ENTRIES,
            max_bytes: limits::PAGE_BYTES as u32,
            shard: shard.0,
            ..FetchLog::default()
        }),
        Fetch::Rows { asked, .. } => node_request::Request::ReconcileRows(ReconcileRows {
            shard: shard.0,
            ..asked.clone()
        }),
    };
    let reply = peers
        .call(node, Class::Bulk, request, limits::RPC_DEADLINE)
        .await;
    match (fetch, reply) {
        (Fetch::Log { group, .. }, Ok(node_reply::Reply::Log(slice))) => Some(Event::Log {
            group: *group,
            slice,
        }),
        (Fetch::Rows { group, .. }, Ok(node_reply::Reply::RowDiff(diff))) => Some(Event::Rows {
            group: *group,
            diff,
        }),
        _ => None,
    }
}
