//! Who is there: what this edge says of its own users, and what it tells those
//! who watch others. How that works: [`folkmoot_replication::presence`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use folkmoot_replication::placement::Placement;
use folkmoot_replication::presence::{Answer, Bounds, News, States, Table, Told, TooMany};
use folkmoot_wire::proto::{Presences, UserPresence, server_frame};
use folkmoot_wire::{Fault, GroupId, NodeId, ShardId, UserId, limits};
use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::core::Core;
use super::fanout::{Link, SessionId};
use super::session::encode;

/// The times and bounds of presence, at edges and homes alike.
pub(crate) const BOUNDS: Bounds = Bounds {
    lease: limits::PRESENCE_LEASE,
    renew: limits::PRESENCE_RENEW,
    grace: limits::PRESENCE_GRACE,
    typing: limits::TYPING,
    people: limits::PRESENCE_PEOPLE,
    watches: limits::PRESENCE_WATCHES,
    watched: limits::WATCHED_USERS,
    page: limits::PRESENCE_PAGE,
};
/// Looked for what is to be renewed this often.
const LOOK: Duration = Duration::from_secs(1);

/// The edge's table, and that there is news in it.
pub(super) struct Presence {
    table: Mutex<Table>,
    news: Notify,
    since: Instant,
}

impl Presence {
    pub(super) fn new() -> Self {
        Self {
            table: Mutex::new(Table::new(BOUNDS, Duration::ZERO)),
            news: Notify::new(),
            since: Instant::now(),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let done = change(&mut self.table.lock());
        self.news.notify_one();
        done
    }

    pub(super) fn came(&self, link: &Link) {
        self.change(|table| table.came(link.id, link.user));
    }

    pub(super) fn went(&self, link: &Link) {
        self.change(|table| table.went(link.id, link.user));
    }

    pub(super) fn types(&self, link: &Link, group: Option<GroupId>) {
        self.change(|table| table.types(link.user, group));
    }

    pub(super) fn watch(
        &self,
        link: &Link,
        group: GroupId,
        users: BTreeSet<UserId>,
    ) -> Result<Vec<UserPresence>, TooMany> {
        let known = self.change(|table| table.watch(link.id, group, users))?;
        Ok(known.iter().map(seen).collect())
    }

    /// A session watches nobody in this group any more.
    pub(super) fn unwatch(&self, session: SessionId, group: GroupId) {
        // Nobody is never too many.
        let _ = self.change(|table| table.watch(session, group, BTreeSet::new()));
    }

    /// The user is not a member any more.
    pub(super) fn left(&self, group: GroupId, user: UserId) {
        self.change(|table| table.left(group, user));
    }

    fn due(&self, placement: &Placement) -> Vec<(ShardId, News)> {
        let now = self.since.elapsed();
        self.table.lock().due(now, |user| home(placement, user))
    }
}

/// The shard whose leader knows how a user is.
fn home(placement: &Placement, user: &UserId) -> Option<ShardId> {
    let shard = placement.shard_of_slot(user.region(), user.slot())?;
    Some(shard.id)
}

fn seen(told: &Told) -> UserPresence {
    UserPresence {
        user: told.user.to_bytes(),
        online: told.online,
        typing: told.typing,
    }
}

impl Core {
    /// Tells homes what is new, and sessions what homes answer. Runs as long as
    /// the edge.
    pub(super) async fn keep_presence(self: &Arc<Self>) {
        let mut asked = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some((shard, news, answer)) = asked.next() => self.answered(shard, &news, answer),
                _ = timeout(LOOK, self.presence.news.notified()) => {
                    sleep(limits::PRESENCE_FLUSH).await;
                    let due = self.presence.due(&self.backend.placement());
                    asked.extend(due.into_iter().map(|(shard, news)| async move {
                        let answer = self.backend.presence(shard, &news).await;
                        (shard, news, answer)
                    }));
                }
            }
        }
    }

    fn answered(&self, shard: ShardId, news: &News, answer: Result<(NodeId, Answer), Fault>) {
        let placement = self.backend.placement();
        let told = {
            let mut table = self.presence.table.lock();
            match answer {
                Ok((by, answer)) => {
                    table.answered(by, news, &answer, |user| home(&placement, user))
                }
                Err(fault) => {
                    tracing::debug!(shard = shard.0, %fault, "presence was not told");
                    table.failed(shard, self.presence.since.elapsed());
                    Vec::new()
                }
            }
        };
        self.show(told);
        // There may be more than one page of news.
        self.presence.news.notify_one();
    }

    /// A home says how users are who are watched here.
    pub(super) fn presence_changed(&self, states: &States) {
        let placement = self.backend.placement();
        let told = {
            let mut table = self.presence.table.lock();
            table.heard(states, |user| home(&placement, user))
        };
        self.show(told);
    }

    fn show(&self, told: Vec<Told>) {
        let mut frames: BTreeMap<(SessionId, GroupId), Vec<UserPresence>> = BTreeMap::new();
        for told in &told {
            let users = frames.entry((told.session, told.group)).or_default();
            users.push(seen(told));
        }
        for ((session, group), users) in frames {
            let Some(link) = self.link(session) else {
                continue;
            };
            if !link.held.lock().active.contains(&group) {
                self.presence.unwatch(session, group);
                continue;
            }
            let presences = Presences {
                group: group.to_bytes(),
                users,
            };
            let frame = encode(0, server_frame::Body::PresenceChanged(presences));
            link.outbound.aside(&group, frame);
        }
    }
}
