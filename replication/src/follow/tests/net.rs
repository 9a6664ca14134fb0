//! A home, and followers behind it: Feed -> Follower -> Feed -> ...
//! Pushes and fetches wait until a test lets them through.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_storage::{MemStore, Store, Table, log};
use folkmoot_wire::proto::{Command, FollowOpen, FollowPush, GroupMoved, GroupPush};
use folkmoot_wire::{GroupId, RegionId, Slot, limits};

use crate::apply::moved_groups;
use crate::follow::feed::{self, Feed};
use crate::follow::follower::{Config, Event, Fetch, Follower, Output, Reconciled};
use crate::reconcile::RowSums;
use crate::testing::{CLUSTER, DIGEST_KEY, Home, SHARD, check_laws, dump, head};

use super::serve::serve;

/// All slots.
pub(crate) const ALL: (Slot, Slot) = (Slot(0), Slot(u16::MAX));

fn moved(store: &MemStore) -> BTreeMap<GroupId, GroupMoved> {
    moved_groups(store, SHARD).expect("records")
}

/// A follower with its store, its own feed, and what waits for it.
pub(crate) struct Tail {
    pub(crate) store: Arc<MemStore>,
    /// The same, for the follower's writes.
    writes: Arc<dyn Store>,
    pub(crate) follower: Follower,
    all_groups: bool,
    feed: Feed,
    pub(crate) inbox: VecDeque<FollowPush>,
    pub(crate) fetches: VecDeque<Fetch>,
    pub(crate) diverged: usize,
    /// Rows deleted since they are gone at the home.
    pub(crate) gone: u64,
    pub(crate) reconciled: Vec<Reconciled>,
    /// Last seq published, a group.
    published: BTreeMap<GroupId, u64>,
}

impl Tail {
    pub(crate) fn new(all_groups: bool) -> Self {
        let store = Arc::new(MemStore::new());
        let (writes, follower) = open(&store, all_groups);
        Self {
            follower,
            writes,
            all_groups,
            store,
            feed: Feed::new((SHARD, ALL), 0, [], BTreeMap::new()),
            inbox: VecDeque::new(),
            fetches: VecDeque::new(),
            diverged: 0,
            gone: 0,
            reconciled: Vec::new(),
            published: BTreeMap::new(),
        }
    }

    /// One event, as the driver does it. Gives what the own feed sends.
    pub(crate) fn handle(&mut self, event: Event) -> Vec<feed::Send> {
        let mut sends = Vec::new();
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let (sent, more) = self.step(event);
            sends.extend(sent);
            next = more.then_some(Event::Continue);
        }
        sends
    }

    fn step(&mut self, event: Event) -> (Vec<feed::Send>, bool) {
        let Output {
            batch,
            pushes,
            watermark,
            fetches,
            diverged,
            reconciled,
            gone,
            more,
        } = self.follower.handle(event).expect("handles");
        self.reconciled.extend(reconciled);
        self.gone += gone;
        self.writes.write(batch).expect("writes");
        for group in &diverged {
            self.published.remove(group);
        }
        for push in &pushes {
            self.covered(push);
        }
        self.diverged += diverged.len();
        self.fetches.extend(fetches);
        let sends = self
            .feed
            .handle(feed::Event::Published { pushes, watermark });
        (sends, more)
    }

    /// What is published of a group goes on where it ended, or right behind a
    /// floor above that.
    fn covered(&mut self, push: &GroupPush) {
        let Some(covers) = push.covers else { return };
        let group = GroupId::from_slice(&push.group).expect("a group");
        assert_eq!(covers.to - covers.from + 1, push.entries.len() as u64);
        if let Some(last) = self.published.insert(group, covers.to) {
            let floor = push.head.as_ref().and_then(|head| head.floor.as_ref());
            let floor = floor.map_or(0, |floor| floor.seq);
            assert_eq!(
                Some(covers.from),
                last.max(floor).checked_add(1),
                "{group}: a gap or a double"
            );
        }
    }

    pub(crate) fn restart(&mut self) {
        (self.writes, self.follower) = open(&self.store, self.all_groups);
        let heads = log::read_heads(&*self.store, None, usize::MAX).expect("heads");
        let heads = heads.into_iter().map(|(place, head)| (place.group, head));
        self.feed = Feed::new(
            (SHARD, ALL),
            self.follower.watermark(),
            heads,
            moved(&self.store),
        );
        self.inbox.clear();
        self.fetches.clear();
        self.published.clear();
    }
}

fn open(store: &Arc<MemStore>, all_groups: bool) -> (Arc<dyn Store>, Follower) {
    let config = Config {
        shard: SHARD,
        region: RegionId(1),
        slots: ALL,
        cluster: CLUSTER,
        digest_key: DIGEST_KEY,
        all_groups,
    };
    let (writes, sums) = RowSums::over(store.clone(), DIGEST_KEY);
    let follower = Follower::open(config, store.clone(), sums).expect("opens");
    (writes, follower)
}

/// The home and those behind it: at first a chain. Tail 0 follows the home.
pub(crate) struct Net {
    pub(crate) home: Home,
    feed: Feed,
    pub(crate) tails: Vec<Tail>,
    /// Whom each tail follows: 0 is the home, n the tail n - 1.
    upstreams: Vec<usize>,
    /// The subscription of each tail at its upstream.
    subscriptions: Vec<u64>,
    /// Every version of every group at the home.
    versions: BTreeMap<GroupId, Vec<u64>>,
    next: u64,
}

impl Net {
    pub(crate) fn new(home: Home, tails: Vec<Tail>) -> Self {
        let heads = log::read_heads(&*home.store, None, usize::MAX).expect("heads");
        let heads = heads.into_iter().map(|(place, head)| (place.group, head));
        let mut net = Self {
            feed: Feed::new((SHARD, ALL), home.index, heads, moved(&home.store)),
            home,
            upstreams: (0..tails.len()).collect(),
            subscriptions: vec![0; tails.len()],
            versions: BTreeMap::new(),
            tails,
            next: 1,
        };
        for n in 0..net.tails.len() {
            net.connect(n);
        }
        net
    }

    fn feed(&mut self, n: usize) -> &mut Feed {
        match self.upstreams[n] {
            0 => &mut self.feed,
            up => &mut self.tails[up - 1].feed,
        }
    }

    fn sent(&mut self, sends: Vec<feed::Send>) {
        for send in sends {
            if let Some(n) = self.subscriptions.iter().position(|id| *id == send.to) {
                let inbox = &mut self.tails[n].inbox;
                inbox.push_back(send.push);
                assert!(inbox.len() <= limits::FOLLOW_QUEUE, "queues are bounded");
            }
        }
    }

    pub(crate) fn run(&mut self, commands: Vec<Command>) {
        self.home.run(commands);
        self.publish();
    }

    /// What the home did last goes to its feed.
    pub(crate) fn publish(&mut self) {
        for push in &self.home.pushes {
            let group = GroupId::from_slice(&push.group).expect("a group");
            self.versions
                .entry(group)
                .or_default()
                .push(self.home.index);
        }
        let published = feed::Event::Published {
            pushes: std::mem::take(&mut self.home.pushes),
            watermark: Some(self.home.index),
        };
        let sends = self.feed.handle(published);
        self.sent(sends);
    }

    /// Tail `n` follows anew, from where it is.
    pub(crate) fn connect(&mut self, n: usize) {
        let old = std::mem::replace(&mut self.subscriptions[n], self.next);
        self.next += 1;
        self.tails[n].inbox.clear();
        self.feed(n).handle(feed::Event::Closed { id: old });
        let open = self.tails[n].follower.open_message();
        let id = self.subscriptions[n];
        let sends = self.feed(n).handle(feed::Event::Open { id, open });
        self.sent(sends);
    }

    /// Tail `n` follows anew and says that it holds nothing.
    pub(crate) fn connect_from_nothing(&mut self, n: usize) {
        self.connect(n);
        self.tails[n].inbox.clear();
        let id = self.subscriptions[n];
        self.feed(n).handle(feed::Event::Closed { id });
        let open = FollowOpen {
            watermark: 0,
            ..self.tails[n].follower.open_message()
        };
        let sends = self.feed(n).handle(feed::Event::Open { id, open });
        self.sent(sends);
    }

    pub(crate) fn event(&mut self, n: usize, event: Event) {
        let sends = self.tails[n].handle(event);
        self.sent(sends);
    }

    /// Lets the next push through to tail `n`; whether there was one.
    pub(crate) fn deliver(&mut self, n: usize) -> bool {
        let Some(push) = self.tails[n].inbox.pop_front() else {
            return false;
        };
        let id = self.subscriptions[n];
        let sends = self.feed(n).handle(feed::Event::Taken { id });
        self.sent(sends);
        self.event(n, Event::Push(push));
        true
    }

    /// Answers the next fetch of tail `n`, or fails it.
    pub(crate) fn answer(&mut self, n: usize, fail: bool) -> bool {
        let Some(fetch) = self.tails[n].fetches.pop_front() else {
            return false;
        };
        let upstream = match self.upstreams[n] {
            0 => &self.home.store,
            up => &self.tails[up - 1].store,
        };
        let group = match &fetch {
            Fetch::Log { group, .. } | Fetch::Rows { group, .. } => *group,
        };
        let answer = if fail { None } else { serve(upstream, &fetch) };
        self.event(n, answer.unwrap_or(Event::FetchFailed { group }));
        true
    }

    pub(crate) fn tick_feed(&mut self, n: usize, watermark: bool) {
        let sends = self.feed(n).handle(feed::Event::Tick { watermark });
        self.sent(sends);
    }

    pub(crate) fn restart(&mut self, n: usize) {
        self.tails[n].restart();
        self.connect(n);
        for other in 0..self.tails.len() {
            if self.upstreams[other] == n + 1 {
                self.connect(other);
            }
        }
    }

    /// Tail `n` follows another: the home (0) or the tail `upstream` - 1.
    pub(crate) fn switch(&mut self, n: usize, upstream: usize) {
        let id = self.subscriptions[n];
        self.feed(n).handle(feed::Event::Closed { id });
        self.upstreams[n] = upstream;
        self.connect(n);
    }

    /// What tail `n` says it holds, it holds.
    pub(crate) fn assert_watermark(&self, n: usize) {
        let tail = &self.tails[n];
        let claimed = tail.follower.watermark();
        for (group, versions) in self.versions.iter().filter(|_| tail.all_groups) {
            let due = versions.iter().rev().find(|version| **version <= claimed);
            let held = head(&*tail.store, *group).version;
            assert!(
                held >= due.copied().unwrap_or(0),
                "tail {n}: {group} at {held}"
            );
        }
    }

    /// A subscription is told what tail `n` wants, and the tail too.
    pub(crate) fn want(&mut self, n: usize, group: GroupId, want: bool) {
        let groups = vec![group];
        let mut update = folkmoot_wire::proto::FollowUpdate::default();
        let event = if want {
            update.add.push(group.to_bytes());
            Event::Want { groups }
        } else {
            update.remove.push(group.to_bytes());
            Event::Unwant { groups }
        };
        self.event(n, event);
        let id = self.subscriptions[n];
        let sends = self.feed(n).handle(feed::Event::Update { id, update });
        self.sent(sends);
    }

    /// Lets everything through until nothing moves. What needs more than a
    /// bounded number of fetches goes round in circles.
    pub(crate) fn quiesce(&mut self) {
        for _ in 0..12 {
            for n in 0..self.tails.len() {
                self.tick_feed(n, true);
                self.event(n, Event::Tick);
                let mut steps = 0;
                while self.deliver(n) || self.answer(n, false) {
                    steps += 1;
                    assert!(steps < 5_000, "tail {n} goes round in circles");
                }
            }
        }
    }

    /// Tail `n` holds what the home holds of `group`.
    pub(crate) fn assert_copy(&self, n: usize, group: GroupId) {
        let (home, copy) = (&self.home.store, &self.tails[n].store);
        assert_eq!(
            head(&**home, group),
            head(&**copy, group),
            "tail {n}: {group}"
        );
        let of = |store: &MemStore| -> Vec<_> {
            let all = dump(store).into_iter();
            let mine = |(table, key): &(usize, Bytes)| {
                [Table::Log as usize, Table::Rows as usize].contains(table)
                    && key.starts_with(group.as_bytes())
            };
            all.filter(|(key, _)| mine(key)).collect()
        };
        assert_eq!(of(home), of(copy), "tail {n}: {group}");
    }

    /// Every tail that follows all groups is a copy of the home.
    pub(crate) fn assert_copies(&self) {
        let heads = log::read_heads(&*self.home.store, None, usize::MAX).expect("heads");
        for n in 0..self.tails.len() {
            if self.tails[n].all_groups {
                check_laws(&*self.tails[n].store);
                for (place, _) in &heads {
                    self.assert_copy(n, place.group);
                }
            }
            assert_eq!(
                self.tails[n].follower.watermark(),
                self.home.index,
                "tail {n}"
            );
        }
    }
}
