//! Fan-out: which session has which group active or passive, and what each
//! gets of what is new (D12, D13).
//!
//! # No gap and no double where history meets live
//!
//! A session activates a group in this order: (1) the node follows the group
//! and holds it ([`super::wants`]); (2) [`Fanout::join`] registers the session
//! as *joining*: pushes are skipped for it, and the highest seq skipped is
//! kept; (3) the head is read from the backend; (4) [`Fanout::go_live`] sets
//! `live_from` to the greater of the two and makes the session live, all
//! under the group's lock.
//!
//! Take any entry `e` of the group. The node makes an entry readable before
//! it publishes it. If `e` was published before (2), the read of (3) came
//! after it was readable, so `e <= live_from`: the client gets it by history.
//! If it was published between (2) and (4), it was skipped and counted, so
//! again `e <= live_from`. If it was published after (4), it is delivered if
//! and only if `e > live_from`: entries that the head of (3) already knew are
//! cut off. So each entry comes by exactly one of the two ways. The windows
//! change nothing in this: an entry that was gathered before (4) and leaves
//! after it is judged when it leaves.
//!
//! The answer with `live_from` and the first delivery go through one queue:
//! from (4) until the answer is queued the session is corked, so that no
//! delivery overtakes the answer.
//!
//! After that each subscriber keeps `next`, the seq it has to get next. What
//! is below is cut off; when something above comes first, the node lost its
//! place. In what did not come by may be the entry that puts the user out: the
//! session is in doubt and gets nothing, until its access was looked up and it
//! is told what it missed by a `Gap` ([`doubts`]).
//!
//! Locks: a stripe's, then a link's or an outbound queue's; never the other way round,
//! never two stripes at once, and nothing is awaited under either.

mod cuts;
mod doubts;
mod encode;
mod group;
mod lists;
mod subscriber;
mod tentative;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use folkmoot_wire::proto::GroupPush;
use folkmoot_wire::{Code, GroupId, UserId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::outbound::Outbound;
use super::presence::Presence;
use super::wants::Wanted;
pub(super) use encode::seen_by_others;
use group::{GroupState, News, Passive};
pub(super) use lists::{PASSIVE_GROUPS_MAX, Unknown};
pub(super) use subscriber::GroupInfo;
use subscriber::Subscriber;
pub use window::WindowOptions;

/// Groups are spread over this many locks.
const STRIPES: usize = 64;

/// A session, numbered in the order of arrival.
pub(super) type SessionId = u64;

/// What the fan-out knows of a session.
pub(super) struct Link {
    pub(super) id: SessionId,
    pub(super) user: UserId,
    pub(super) outbound: Arc<Outbound>,
    /// Features asked for.
    pub(super) rows: bool,
    pub(super) bumps: bool,
    pub(super) tentative: bool,
    pub(super) held: Mutex<Held>,
}

/// The groups a session is registered for, so that its end finds them.
#[derive(Default)]
pub(super) struct Held {
    pub(super) active: BTreeSet<GroupId>,
    pub(super) passive: BTreeSet<GroupId>,
    /// The session has ended: it takes no more.
    pub(super) gone: bool,
}

#[derive(Default)]
struct Stripe {
    groups: HashMap<GroupId, GroupState>,
    /// Passive sessions have yet to hear of these.
    bumped: BTreeSet<GroupId>,
    /// Active sessions have yet to hear how many members these have.
    counted: BTreeSet<GroupId>,
    /// A head is known whose entries have not come.
    behind: BTreeMap<GroupId, Instant>,
    /// Sessions that have these active are in doubt.
    doubted: BTreeSet<GroupId>,
}

/// What the registry leaves to tasks of the edge.
pub(super) struct Chores {
    /// For [`Fanout::close_windows`].
    pub(super) deadlines: mpsc::UnboundedReceiver<(Instant, GroupId)>,
    /// To be dropped.
    pub(super) returned: mpsc::UnboundedReceiver<Wanted>,
}

/// The registry.
pub(super) struct Fanout {
    stripes: Vec<Mutex<Stripe>>,
    users: Mutex<HashMap<UserId, BTreeMap<SessionId, Arc<Link>>>>,
    windows: WindowOptions,
    /// Groups whose window has opened, in order of time: every window is open
    /// equally long. At most one per group.
    opened: mpsc::UnboundedSender<(Instant, GroupId)>,
    /// What subscribers held that lost their access. Given back elsewhere:
    /// who publishes may hold locks that giving back needs.
    released: mpsc::UnboundedSender<Wanted>,
    presence: Arc<Presence>,
    delivered: AtomicU64,
    /// A session came in doubt.
    doubts: Notify,
}

impl Fanout {
    /// The registry, and what [`Fanout::close_windows`] works off.
    pub(super) fn new(windows: WindowOptions, presence: Arc<Presence>) -> (Arc<Self>, Chores) {
        let (opened, deadlines) = mpsc::unbounded_channel();
        let (released, returned) = mpsc::unbounded_channel();
        let fanout = Arc::new(Self {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            users: Mutex::default(),
            windows,
            opened,
            released,
            presence,
            delivered: AtomicU64::new(0),
            doubts: Notify::new(),
        });
        let chores = Chores {
            deadlines,
            returned,
        };
        (fanout, chores)
    }

    fn stripe(&self, group: &GroupId) -> &Mutex<Stripe> {
        let unique = &group.as_bytes()[12..];
        let sum = unique
            .iter()
            .fold(0, |sum: usize, b| sum * 31 + usize::from(*b));
        &self.stripes[sum % STRIPES]
    }

    /// A session is there.
    pub(super) fn add(&self, link: &Arc<Link>) {
        let mut users = self.users.lock();
        let sessions = users.entry(link.user).or_default();
        sessions.insert(link.id, Arc::clone(link));
    }

    /// A session is gone from everywhere.
    pub(super) fn remove(&self, link: &Link) {
        {
            let mut users = self.users.lock();
            if let Some(sessions) = users.get_mut(&link.user) {
                sessions.remove(&link.id);
                if sessions.is_empty() {
                    users.remove(&link.user);
                }
            }
        }
        let groups: Vec<GroupId> = {
            let mut held = link.held.lock();
            held.gone = true;
            let active = std::mem::take(&mut held.active);
            active
                .union(&std::mem::take(&mut held.passive))
                .copied()
                .collect()
        };
        for group in groups {
            let left = {
                let stripe = &mut *self.stripe(&group).lock();
                let Some(state) = stripe.groups.get_mut(&group) else {
                    continue;
                };
                state.passive.remove(&link.id);
                let left = state.active.remove(&link.id);
                if state.is_idle() {
                    stripe.groups.remove(&group);
                }
                left
            };
            drop(left);
        }
    }

    /// Step 2 of an activation: registers the session as joining.
    pub(super) fn join(&self, link: &Arc<Link>, group: GroupId, wanted: Wanted) {
        let replaced = {
            let mut stripe = self.stripe(&group).lock();
            let mut held = link.held.lock();
            if held.gone {
                return;
            }
            held.active.insert(group);
            let state = stripe.groups.entry(group).or_default();
            let subscriber = Subscriber::joining(Arc::clone(link), wanted);
            state.active.insert(link.id, subscriber)
        };
        drop(replaced);
    }

    /// Step 4: the session is live behind the seq returned.
    ///
    /// # Errors
    /// When its access was lost since step 2.
    pub(super) fn go_live(
        &self,
        link: &Link,
        group: &GroupId,
        info: &GroupInfo,
    ) -> Result<u64, Code> {
        let stripe = &mut *self.stripe(group).lock();
        let Some(state) = stripe.groups.get_mut(group) else {
            return Err(Code::NotFound);
        };
        state.learn(info);
        let Some(subscriber) = state.active.get_mut(&link.id) else {
            return Err(Code::NotFound);
        };
        let live_from = subscriber.go_live(info)?;
        let doubted = subscriber.is_doubted();
        state.passive.remove(&link.id);
        link.outbound.forget(group);
        if doubted {
            self.doubt(stripe, *group);
        }
        Ok(live_from)
    }

    /// The session has the group active no longer.
    pub(super) fn leave(&self, link: &Link, group: &GroupId) {
        link.held.lock().active.remove(group);
        let left = {
            let mut stripe = self.stripe(group).lock();
            let Some(state) = stripe.groups.get_mut(group) else {
                return;
            };
            let left = state.active.remove(&link.id);
            if state.is_idle() {
                stripe.groups.remove(group);
            }
            left
        };
        if left.is_some() {
            link.outbound.forget(group);
        }
    }

    /// Whether the session has the group active: then it is a member, as far
    /// as this edge was told.
    pub(super) fn is_active(&self, link: &Link, group: &GroupId) -> bool {
        let stripe = self.stripe(group).lock();
        let state = stripe.groups.get(group);
        state.is_some_and(|state| state.active.contains_key(&link.id))
    }

    /// What is new on this node, in order for each group.
    pub(super) fn publish(&self, pushes: &[GroupPush], now: Instant) {
        for push in pushes {
            if let Ok(group) = GroupId::from_slice(&push.group) {
                self.publish_one(group, push, now);
            }
        }
    }

    fn publish_one(&self, group: GroupId, push: &GroupPush, now: Instant) {
        self.publish_to_sessions(group, push, now);
        if let Some(user) = group.self_user() {
            self.relist(user, &push.rows, &push.gone);
        }
    }

    fn publish_to_sessions(&self, group: GroupId, push: &GroupPush, now: Instant) {
        let stripe = &mut *self.stripe(&group).lock();
        let Some(state) = stripe.groups.get_mut(&group) else {
            return;
        };
        let news = state.publish(group, push, now, &self.windows);
        if news.bump {
            stripe.bumped.insert(group);
        }
        if state.has_count_to_tell() {
            stripe.counted.insert(group);
        }
        if state.is_behind() {
            stripe.behind.entry(group).or_insert(now);
        } else {
            stripe.behind.remove(&group);
        }
        self.follow_up(stripe, group, news);
    }

    /// What a push or a closed window leaves to do.
    fn follow_up(&self, stripe: &mut Stripe, group: GroupId, news: News) {
        self.delivered.fetch_add(news.delivered, Ordering::Relaxed);
        if news.doubts {
            self.doubt(stripe, group);
        }
        for user in news.left {
            self.presence.left(group, user);
        }
        for subscriber in news.gone {
            subscriber.link.held.lock().active.remove(&group);
            let _ = self.released.send(subscriber.wanted);
        }
        if let Some(deadline) = news.deadline {
            // The receiver lives as long as the edge.
            let _ = self.opened.send((deadline, group));
        }
        if stripe.groups.get(&group).is_some_and(GroupState::is_idle) {
            stripe.groups.remove(&group);
        }
    }

    /// Closes windows when their time is up. Runs as long as the edge.
    pub(super) async fn close_windows(
        &self,
        mut deadlines: mpsc::UnboundedReceiver<(Instant, GroupId)>,
    ) {
        while let Some((deadline, group)) = deadlines.recv().await {
            tokio::time::sleep_until(deadline).await;
            let stripe = &mut *self.stripe(&group).lock();
            let Some(state) = stripe.groups.get_mut(&group) else {
                continue;
            };
            let news = state.close_window(group, Instant::now(), &self.windows);
            self.follow_up(stripe, group, news);
        }
    }

    /// Groups active here, and frames of entries queued so far.
    pub(super) fn figures(&self) -> (u64, u64) {
        let active = self
            .stripes
            .iter()
            .map(|stripe| {
                let stripe = stripe.lock();
                let active = |state: &&GroupState| !state.active.is_empty();
                stripe.groups.values().filter(active).count() as u64
            })
            .sum();
        (active, self.delivered.load(Ordering::Relaxed))
    }
}
