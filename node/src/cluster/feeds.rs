//! One feed a shard: what is new here goes to the node's own sessions and to
//! the nodes that follow the shard through this one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use folkmoot_replication::apply::{away_groups, moved_groups};
use folkmoot_replication::follow::feed::{Event, Feed, SubscriberId};
use folkmoot_replication::placement::Shard;
use folkmoot_storage::{Seat, Store, StoreError, keys, log};
use folkmoot_wire::proto::{FollowOpen, FollowPush, FollowUpdate, GroupPush};
use folkmoot_wire::{GroupId, ShardId, limits};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::machine::Applied;

/// Coalesced heads go out this often.
const HEADS_EVERY: Duration = Duration::from_millis(200);
/// What was applied and waits for the feed. Full: apply, or the follower,
/// waits.
const APPLIED_QUEUE: usize = 64;
/// Requests to one feed that wait. Full: callers wait.
const CONTROL_QUEUE: usize = 256;
/// Heads read at once when a feed starts.
const SCAN_PAGE: usize = 1_000;

/// Takes what is new on this node: the edge's fan-out.
pub type Publish = Box<dyn Fn(ShardId, News<'_>) + Send + Sync>;

/// What is new.
#[derive(Clone, Copy)]
pub enum News<'a> {
    /// In order, for each group.
    Pushes(&'a [GroupPush]),
    /// All of the shard: what it was before does not lead to what it is.
    Replaced,
}

/// Where feeds publish to; set once the edge is there.
#[derive(Default)]
pub struct Publisher(OnceLock<Publish>);

impl Publisher {
    /// Sets the sink, once.
    pub fn set(&self, publish: Publish) {
        let _ = self.0.set(publish);
    }

    fn publish(&self, shard: ShardId, news: News<'_>) {
        if let Some(publish) = self.0.get() {
            publish(shard, news);
        }
    }
}

enum Control {
    Open {
        open: FollowOpen,
        pushes: mpsc::Sender<FollowPush>,
        id: oneshot::Sender<SubscriberId>,
    },
    Update(SubscriberId, FollowUpdate),
    Taken(SubscriberId),
    Closed(SubscriberId),
}

/// A handle on one shard's feed.
#[derive(Clone)]
pub struct FeedHandle {
    control: mpsc::Sender<Control>,
    applied: mpsc::Sender<Applied>,
    status: watch::Receiver<FeedStatus>,
    wanted: watch::Receiver<BTreeSet<GroupId>>,
}

/// What a feed tells of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct FeedStatus {
    /// Counts publications: it moves whenever something is new.
    pub publications: u64,
    /// Everything up to this shard version is held.
    pub watermark: u64,
    /// How many follow.
    pub followers: usize,
    /// Pushes lost to full queues.
    pub lost: u64,
}

impl FeedHandle {
    /// Where to put what was applied. One sender uses it.
    #[must_use]
    pub fn sink(&self) -> mpsc::Sender<Applied> {
        self.applied.clone()
    }

    /// What the feed tells of itself.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<FeedStatus> {
        self.status.clone()
    }

    /// Groups that followers of this feed want in full.
    #[must_use]
    pub fn wanted(&self) -> watch::Receiver<BTreeSet<GroupId>> {
        self.wanted.clone()
    }

    /// Begins a subscription. Its pushes arrive on the receiver; each has to
    /// be reported with [`Subscription::taken`].
    pub async fn open(&self, open: FollowOpen) -> Option<Subscription> {
        // Two more than the core keeps in flight, so that it never blocks.
        let (pushes, receiver) = mpsc::channel(limits::FOLLOW_QUEUE + 2);
        let (id, assigned) = oneshot::channel();
        let control = Control::Open { open, pushes, id };
        self.control.send(control).await.ok()?;
        Some(Subscription {
            id: assigned.await.ok()?,
            pushes: receiver,
            control: self.control.clone(),
        })
    }
}

/// One follower's side of a feed.
pub struct Subscription {
    id: SubscriberId,
    /// What to send.
    pub pushes: mpsc::Receiver<FollowPush>,
    control: mpsc::Sender<Control>,
}

impl Subscription {
    /// The transport took a push.
    pub async fn taken(&self) {
        let _ = self.control.send(Control::Taken(self.id)).await;
    }

    /// The follower wants other groups.
    pub async fn update(&self, update: FollowUpdate) {
        let _ = self.control.send(Control::Update(self.id, update)).await;
    }

    /// Ends it.
    pub async fn close(self) {
        let _ = self.control.send(Control::Closed(self.id)).await;
    }
}

/// All feeds of this node.
pub struct Feeds {
    store: Arc<dyn Store>,
    publisher: Arc<Publisher>,
    stop: CancellationToken,
    feeds: Mutex<BTreeMap<ShardId, FeedHandle>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Feeds {
    /// None yet.
    pub fn new(store: Arc<dyn Store>, publisher: Arc<Publisher>, stop: CancellationToken) -> Self {
        Self {
            store,
            publisher,
            stop,
            feeds: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    /// The feed of a shard, if it runs.
    #[must_use]
    pub fn get(&self, shard: ShardId) -> Option<FeedHandle> {
        self.feeds.lock().get(&shard).cloned()
    }

    /// Starts the feed of a shard over what the store holds.
    ///
    /// # Errors
    /// When the store fails.
    pub fn start(&self, shard: &Shard, watermark: u64) -> Result<FeedHandle, StoreError> {
        if let Some(feed) = self.get(shard.id) {
            return Ok(feed);
        }
        let (control, requests) = mpsc::channel(CONTROL_QUEUE);
        let (applied, published) = mpsc::channel(APPLIED_QUEUE);
        let (status_tx, status) = watch::channel(FeedStatus::default());
        let (wanted_tx, wanted) = watch::channel(BTreeSet::new());
        let task = FeedTask {
            feed: feed_of(&*self.store, shard, watermark)?,
            shard: shard.clone(),
            store: Arc::clone(&self.store),
            publisher: Arc::clone(&self.publisher),
            subscribers: BTreeMap::new(),
            next: 1,
            status: status_tx,
            wanted: wanted_tx,
        };
        let handle = FeedHandle {
            control,
            applied,
            status,
            wanted,
        };
        self.feeds.lock().insert(shard.id, handle.clone());
        let run = tokio::spawn(task.run(requests, published, self.stop.clone()));
        self.tasks.lock().push(run);
        Ok(handle)
    }
}

/// A feed over what the store holds of a shard.
fn feed_of(store: &dyn Store, shard: &Shard, watermark: u64) -> Result<Feed, StoreError> {
    let seat = Seat::new(store, shard.region);
    let (mut from, to) = keys::slots::range(shard.region, shard.slots.0, shard.slots.1);
    let mut heads = Vec::new();
    loop {
        let page = log::heads_in(&seat, &from, &to, SCAN_PAGE)?;
        let Some((last, _)) = page.last() else {
            break;
        };
        from = keys::successor(&shard.place(*last).key());
        heads.extend(page);
    }
    let away = away_groups(store, shard.id)?;
    let heads = heads.into_iter().filter(|(group, _)| !away.contains(group));
    let moved = moved_groups(store, shard.id)?;
    let of = (shard.id, shard.slots);
    Ok(Feed::new(of, watermark, heads, moved))
}

struct FeedTask {
    feed: Feed,
    shard: Shard,
    store: Arc<dyn Store>,
    publisher: Arc<Publisher>,
    subscribers: BTreeMap<SubscriberId, mpsc::Sender<FollowPush>>,
    next: SubscriberId,
    status: watch::Sender<FeedStatus>,
    wanted: watch::Sender<BTreeSet<GroupId>>,
}

impl FeedTask {
    async fn run(
        mut self,
        mut requests: mpsc::Receiver<Control>,
        mut published: mpsc::Receiver<Applied>,
        stop: CancellationToken,
    ) {
        let mut tick = interval(HEADS_EVERY);
        let per_watermark = (limits::FOLLOW_WATERMARK.as_millis() / HEADS_EVERY.as_millis()) as u64;
        let mut ticks = 0;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(applied) = published.recv() => self.applied(applied),
                Some(control) = requests.recv() => self.control(control),
                _ = tick.tick() => {
                    ticks += 1;
                    self.handle(Event::Tick { watermark: ticks % per_watermark == 0 });
                }
            }
        }
    }

    fn applied(&mut self, applied: Applied) {
        if let Some(slots) = applied.slots {
            self.shard.slots = slots;
        }
        if applied.replaced {
            return self.replaced(applied.version);
        }
        let news = News::Pushes(&applied.pushes);
        self.publisher.publish(self.shard.id, news);
        self.handle(Event::Published {
            pushes: applied.pushes,
            watermark: (applied.version > 0).then_some(applied.version),
        });
        // Behind what came before the split, in the same batch.
        if let Some(slots) = applied.slots {
            self.handle(Event::Slots { slots });
        }
        self.tell(true);
    }

    /// The store was replaced by a snapshot: the feed begins anew, and its
    /// followers with it.
    fn replaced(&mut self, version: u64) {
        match feed_of(&*self.store, &self.shard, version) {
            Ok(feed) => {
                self.feed = feed;
                self.subscribers.clear();
                self.wanted.send_modify(BTreeSet::clear);
                self.publisher.publish(self.shard.id, News::Replaced);
                self.tell(true);
            }
            Err(error) => tracing::error!(shard = self.shard.id.0, %error, "heads cannot be read"),
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Open { open, pushes, id } => {
                let subscriber = self.next;
                self.next += 1;
                if id.send(subscriber).is_ok() {
                    self.subscribers.insert(subscriber, pushes);
                    self.handle(Event::Open {
                        id: subscriber,
                        open,
                    });
                }
            }
            Control::Update(id, update) => self.handle(Event::Update { id, update }),
            Control::Taken(id) => self.handle(Event::Taken { id }),
            Control::Closed(id) => {
                self.subscribers.remove(&id);
                self.handle(Event::Closed { id });
            }
        }
        self.tell(false);
    }

    fn handle(&mut self, event: Event) {
        for send in self.feed.handle(event) {
            let gone = match self.subscribers.get(&send.to) {
                // The core keeps fewer in flight than the channel holds.
                Some(pushes) => pushes.try_send(send.push).is_err(),
                None => true,
            };
            if gone {
                self.subscribers.remove(&send.to);
                self.feed.handle(Event::Closed { id: send.to });
            }
        }
    }

    fn tell(&mut self, published: bool) {
        let (watermark, followers, lost) = (
            self.feed.watermark(),
            self.feed.followers(),
            self.feed.lost(),
        );
        self.status.send_modify(|status| {
            status.publications += u64::from(published);
            status.watermark = watermark;
            status.followers = followers;
            status.lost = lost;
        });
        let wishes = self.feed.take_wishes();
        if !wishes.is_empty() {
            self.wanted.send_modify(|wanted| {
                for (group, wants) in wishes {
                    match wants {
                        true => wanted.insert(group),
                        false => wanted.remove(&group),
                    };
                }
            });
        }
    }
}
