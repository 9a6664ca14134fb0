//! Following a shard this node does not vote on: the driver of the follower
//! core. It finds the upstream, keeps the stream, writes what was taken, and
//! asks for what is missing.

mod link;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_replication::apply::ApplyError;
use folkmoot_replication::follow::follower::{Event, Fetch, Follower, Output};
use folkmoot_replication::placement::Shard;
use folkmoot_replication::relay::{Upstream, upstream};
use folkmoot_storage::Store;
use folkmoot_wire::proto::{FetchLog, FetchRows, FollowUpdate, node_reply, node_request};
use folkmoot_wire::{GroupId, NodeId, ShardId, limits};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

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

enum Wish {
    Want(GroupId),
    Unwant(GroupId),
}

/// A handle on one follower.
#[derive(Clone)]
pub struct FollowHandle {
    wishes: mpsc::Sender<Wish>,
    status: watch::Receiver<FollowStatus>,
    /// Follows every group, so wishes change nothing.
    all_groups: bool,
}

/// What a follower tells of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FollowStatus {
    /// Everything up to this shard version is held.
    pub watermark: u64,
    /// From whom it follows now.
    pub upstream: Option<NodeId>,
    /// Copies thrown away because their chain was not the upstream's.
    pub diverged: u64,
    /// Subscriptions since the start.
    pub streams: u64,
}

impl FollowHandle {
    /// Follow a group in full.
    pub async fn want(&self, group: GroupId) {
        if !self.all_groups {
            let _ = self.wishes.send(Wish::Want(group)).await;
        }
    }

    /// No longer. A wish that finds the queue full is dropped: following one
    /// group too many is harmless.
    pub fn unwant(&self, group: GroupId) {
        if !self.all_groups {
            let _ = self.wishes.try_send(Wish::Unwant(group));
        }
    }

    /// Whether every group of the shard is followed, wanted or not.
    #[must_use]
    pub fn in_full(&self) -> bool {
        self.all_groups
    }

    /// What the follower tells of itself.
    #[must_use]
    pub fn status(&self) -> FollowStatus {
        *self.status.borrow()
    }
}

/// The followers of this node.
#[derive(Default)]
pub struct Followers(Mutex<BTreeMap<ShardId, FollowHandle>>);

impl Followers {
    /// One of them.
    #[must_use]
    pub fn get(&self, shard: ShardId) -> Option<FollowHandle> {
        self.0.lock().get(&shard).cloned()
    }

    /// Adds one.
    pub fn insert(&self, shard: ShardId, handle: FollowHandle) {
        self.0.lock().insert(shard, handle);
    }
}

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
    /// Ends everything.
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
    let handle = FollowHandle {
        wishes,
        status: watch,
        all_groups: parts.all_groups,
    };
    let (answers, answered) = mpsc::channel(QUEUE);
    let stop = parts.stop.clone();
    let fatal = parts.fatal.clone();
    let task = Task {
        parts,
        status,
        answers,
        upstream: None,
    };
    tokio::spawn(async move {
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
    status: watch::Sender<FollowStatus>,
    answers: mpsc::Sender<Event>,
    upstream: Option<NodeId>,
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
        let chosen = upstream(
            me,
            &self.parts.shard,
            &view.placement(),
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
        loop {
            tokio::select! {
                biased;
                Some(event) = answers.recv() => self.handle(event).await?,
                push = upstream.pushes.recv() => {
                    let Some(push) = push else { return Ok(End::Broken) };
                    self.handle(Event::Push(push)).await?;
                }
                Some(wish) = wishes.recv() => {
                    let update = self.wish(wish).await?;
                    if upstream.update(update).is_err() {
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
            }
        }
    }

    async fn wish(&mut self, wish: Wish) -> Result<FollowUpdate, ApplyError> {
        let mut update = FollowUpdate::default();
        match wish {
            Wish::Want(group) => {
                update.add.push(group.to_bytes());
                self.handle(Event::Want {
                    groups: vec![group],
                })
                .await?;
            }
            Wish::Unwant(group) => {
                update.remove.push(group.to_bytes());
                self.handle(Event::Unwant {
                    groups: vec![group],
                })
                .await?;
            }
        }
        Ok(update)
    }

    async fn handle(&mut self, event: Event) -> Result<(), ApplyError> {
        let out = self.parts.follower.handle(event)?;
        let Output {
            batch,
            pushes,
            watermark,
            fetches,
            diverged,
        } = out;
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
            };
            let _ = self.parts.feed.sink().send(applied).await;
        }
        if watermark.is_some() || !diverged.is_empty() {
            self.status.send_modify(|status| {
                status.watermark = watermark.unwrap_or(status.watermark);
                status.diverged += diverged.len() as u64;
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
        let upstream = self.upstream;
        tokio::spawn(async move {
            let event = match upstream {
                Some(node) => ask(&peers, node, &fetch).await,
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

async fn ask(peers: &Peers, node: NodeId, fetch: &Fetch) -> Option<Event> {
    let request = match fetch {
        Fetch::Log { group, after } => node_request::Request::FetchLog(FetchLog {
            group: group.to_bytes(),
            after: *after,
            before: 0,
            limit: limits::PAGE_ENTRIES,
            max_bytes: limits::PAGE_BYTES as u32,
            backward: false,
        }),
        Fetch::Rows { group, after_key } => node_request::Request::FetchRows(FetchRows {
            group: group.to_bytes(),
            after_key: after_key.clone(),
            limit: limits::PAGE_ROWS,
            key: bytes::Bytes::new(),
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
        (Fetch::Rows { group, .. }, Ok(node_reply::Reply::Rows(page))) => Some(Event::Rows {
            group: *group,
            page,
        }),
        _ => None,
    }
}
