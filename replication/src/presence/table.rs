//! The side of an edge: its own users, and whom they watch.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use folkmoot_wire::{GroupId, NodeId, ShardId, UserId};

use super::{Answer, Bounds, News, Presence, Stamp, States};

/// A home that could not be asked is asked again after this time, then twice
/// as long each time...
const AGAIN: Duration = Duration::from_secs(1);
/// ...so often.
const DOUBLINGS: u32 = 4;

/// A session of the edge.
pub type Session = u64;

/// A session watches as many as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session may watch {0} people")]
pub struct TooMany(pub usize);

/// What a session is told: somebody in one of its groups is otherwise now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The one that watches.
    pub session: Session,
    /// Where it does.
    pub group: GroupId,
    /// Whom.
    pub user: UserId,
    /// Some edge has a session of the user.
    pub online: bool,
    /// The user is writing in that group.
    pub typing: bool,
}

/// What an edge knows.
#[derive(Debug)]
pub struct Table {
    bounds: Bounds,
    /// Sessions of each user.
    here: BTreeMap<UserId, usize>,
    /// Whom each session watches, by group.
    sessions: BTreeMap<Session, BTreeMap<GroupId, BTreeSet<UserId>>>,
    watched: BTreeMap<UserId, Watched>,
    /// Of whom homes have yet to be told.
    owed: BTreeMap<UserId, Owed>,
    homes: BTreeMap<ShardId, AtHome>,
    renew_at: Duration,
}

#[derive(Debug, Default)]
struct Watched {
    by: BTreeSet<(Session, GroupId)>,
    stamp: Stamp,
    presence: Presence,
}

/// What of a user has changed. How it is now the table says.
#[derive(Debug, Default)]
struct Owed {
    here: bool,
    watch: bool,
    typing: Option<Option<GroupId>>,
}

#[derive(Debug, Default)]
struct AtHome {
    /// It was told something and has not answered.
    is_asked: bool,
    /// Who answered last.
    leader: Option<NodeId>,
    /// It may know nothing of what it was told before.
    is_new: bool,
    /// It could not be asked so often in a row...
    failures: u32,
    /// ...and is left alone until then.
    rests: Option<Duration>,
}

impl Table {
    /// Nobody, at `now` (time since any fixed start).
    #[must_use]
    pub fn new(bounds: Bounds, now: Duration) -> Self {
        Self {
            bounds,
            here: BTreeMap::new(),
            sessions: BTreeMap::new(),
            watched: BTreeMap::new(),
            owed: BTreeMap::new(),
            homes: BTreeMap::new(),
            renew_at: now + bounds.renew,
        }
    }

    /// A session of the user begins.
    pub fn came(&mut self, session: Session, user: UserId) {
        self.sessions.insert(session, BTreeMap::new());
        let sessions = self.here.entry(user).or_default();
        *sessions += 1;
        if *sessions == 1 {
            self.owed.entry(user).or_default().here = true;
        }
    }

    /// A session of the user has ended; it watches nobody any more.
    pub fn went(&mut self, session: Session, user: UserId) {
        for (group, users) in self.sessions.remove(&session).unwrap_or_default() {
            for watched in users {
                self.watch_ends(session, group, watched);
            }
        }
        let Entry::Occupied(mut sessions) = self.here.entry(user) else {
            return;
        };
        *sessions.get_mut() -= 1;
        if *sessions.get() == 0 {
            sessions.remove();
            self.owed.entry(user).or_default().here = true;
        }
    }

    /// A user of this edge writes there; `None`: not any more.
    pub fn types(&mut self, user: UserId, group: Option<GroupId>) {
        if self.here.contains_key(&user) {
            self.owed.entry(user).or_default().typing = Some(group);
        }
    }

    /// A session watches these in this group from now on, and no others there.
    /// Gives how those are of whom it is known. One that has ended watches
    /// nobody.
    ///
    /// # Errors
    /// When it would watch more than it may; then nothing changes.
    pub fn watch(
        &mut self,
        session: Session,
        group: GroupId,
        users: BTreeSet<UserId>,
    ) -> Result<Vec<Told>, TooMany> {
        let Some(groups) = self.sessions.get_mut(&session) else {
            return Ok(Vec::new());
        };
        let elsewhere = groups.iter().filter(|(other, _)| **other != group);
        let count = elsewhere.map(|(_, users)| users.len()).sum::<usize>() + users.len();
        if count > self.bounds.watched {
            return Err(TooMany(self.bounds.watched));
        }
        let before = match users.is_empty() {
            true => groups.remove(&group),
            false => groups.insert(group, users.clone()),
        };
        let before = before.unwrap_or_default();
        for user in before.difference(&users) {
            self.watch_ends(session, group, *user);
        }
        let mut known = Vec::new();
        for user in users {
            let watched = self.watched.entry(user).or_default();
            if watched.by.is_empty() {
                self.owed.entry(user).or_default().watch = true;
            }
            watched.by.insert((session, group));
            known.extend(told(
                session,
                group,
                user,
                Presence::default(),
                watched.presence,
            ));
        }
        Ok(known)
    }

    /// A user is not in a group any more: nobody sees it there.
    pub fn left(&mut self, group: GroupId, user: UserId) {
        let Some(watched) = self.watched.get(&user) else {
            return;
        };
        let of_group = |(_, there): &&(Session, GroupId)| *there == group;
        let by: Vec<_> = watched.by.iter().filter(of_group).copied().collect();
        for (session, group) in by {
            if let Some(groups) = self.sessions.get_mut(&session)
                && let Some(users) = groups.get_mut(&group)
            {
                users.remove(&user);
                if users.is_empty() {
                    groups.remove(&group);
                }
            }
            self.watch_ends(session, group, user);
        }
    }

    fn watch_ends(&mut self, session: Session, group: GroupId, user: UserId) {
        if let Entry::Occupied(mut watched) = self.watched.entry(user) {
            watched.get_mut().by.remove(&(session, group));
            if watched.get().by.is_empty() {
                watched.remove();
                self.owed.entry(user).or_default().watch = true;
            }
        }
    }

    /// What homes are to be told now. `home` says whose home is where; who has
    /// none that is known waits for the next renewal. Each is answered
    /// ([`Table::answered`]) or fails ([`Table::failed`]) before its home is told
    /// more.
    pub fn due(
        &mut self,
        now: Duration,
        home: impl Fn(&UserId) -> Option<ShardId>,
    ) -> Vec<(ShardId, News)> {
        self.owe_again(now, &home);
        let mut news: BTreeMap<ShardId, News> = BTreeMap::new();
        let mut waits = BTreeMap::new();
        for (user, owed) in std::mem::take(&mut self.owed) {
            let Some(shard) = home(&user) else { continue };
            let at_home = self.homes.entry(shard).or_default();
            let of_shard = news.entry(shard).or_default();
            let rests = at_home.rests.is_some_and(|until| until > now);
            if at_home.is_asked || rests || of_shard.len() >= self.bounds.page {
                waits.insert(user, owed);
            } else {
                self.tell(of_shard, user, &owed);
            }
        }
        self.owed = waits;
        news.retain(|_, news| !news.is_empty());
        for shard in news.keys() {
            self.homes.entry(*shard).or_default().is_asked = true;
        }
        news.into_iter().collect()
    }

    /// Everything of everybody is said again when it is time, and to homes that
    /// may be new.
    fn owe_again(&mut self, now: Duration, home: impl Fn(&UserId) -> Option<ShardId>) {
        let renews = now >= self.renew_at;
        if renews {
            self.renew_at = now + self.bounds.renew;
        }
        let is_new = |at_home: &AtHome| at_home.is_new && !at_home.is_asked;
        let new: BTreeSet<ShardId> = self
            .homes
            .iter_mut()
            .filter(|(_, at_home)| is_new(at_home))
            .filter(|(_, at_home)| at_home.rests.is_none_or(|until| until <= now))
            .map(|(shard, at_home)| {
                at_home.is_new = false;
                *shard
            })
            .collect();
        if !renews && new.is_empty() {
            return;
        }
        let again = |user: &&UserId| renews || home(user).is_some_and(|shard| new.contains(&shard));
        for user in self.here.keys().filter(again) {
            self.owed.entry(*user).or_default().here = true;
        }
        for user in self.watched.keys().filter(again) {
            self.owed.entry(*user).or_default().watch = true;
        }
    }

    fn tell(&self, news: &mut News, user: UserId, owed: &Owed) {
        if owed.here {
            match self.here.contains_key(&user) {
                true => news.here.push(user),
                false => news.gone.push(user),
            }
        }
        if owed.watch {
            match self.watched.contains_key(&user) {
                true => news.watch.push(user),
                false => news.unwatch.push(user),
            }
        }
        news.typing.extend(owed.typing.map(|group| (user, group)));
    }

    /// A home, led by this node, has answered what it was told. Gives what
    /// sessions are told.
    pub fn answered(
        &mut self,
        by: NodeId,
        news: &News,
        answer: &Answer,
        home: impl Fn(&UserId) -> Option<ShardId>,
    ) -> Vec<Told> {
        let shard = answer.states.stamp.shard;
        let at_home = self.homes.entry(shard).or_default();
        at_home.is_asked = false;
        (at_home.failures, at_home.rests) = (0, None);
        if at_home
            .leader
            .replace(by)
            .is_some_and(|before| before != by)
        {
            at_home.is_new = true;
        }
        let mut states = answer.states.clone();
        if answer.is_whole {
            let there: BTreeSet<_> = states.users.iter().map(|(user, _)| *user).collect();
            let others = news.watch.iter().filter(|user| !there.contains(user));
            let others = others.map(|user| (*user, Presence::default()));
            states.users.extend(others);
        }
        self.heard(&states, home)
    }

    /// A home could not be told, or its answer was lost.
    pub fn failed(&mut self, shard: ShardId, now: Duration) {
        let at_home = self.homes.entry(shard).or_default();
        at_home.is_asked = false;
        at_home.is_new = true;
        at_home.rests = Some(now + AGAIN * (1 << at_home.failures.min(DOUBLINGS)));
        at_home.failures += 1;
    }

    /// What a home says by itself. Gives what sessions are told. Of users who
    /// have another home by now it knows nothing any more.
    pub fn heard(
        &mut self,
        states: &States,
        home: impl Fn(&UserId) -> Option<ShardId>,
    ) -> Vec<Told> {
        let shard = Some(states.stamp.shard);
        let users = states.users.iter().filter(|(user, _)| home(user) == shard);
        users
            .flat_map(|(user, presence)| self.set(*user, states.stamp, *presence))
            .collect()
    }

    fn set(&mut self, user: UserId, stamp: Stamp, presence: Presence) -> Vec<Told> {
        let Some(watched) = self.watched.get_mut(&user) else {
            return Vec::new();
        };
        if stamp.is_before(&watched.stamp) {
            return Vec::new();
        }
        watched.stamp = stamp;
        let before = std::mem::replace(&mut watched.presence, presence);
        let by = watched.by.iter();
        by.filter_map(|(session, group)| told(*session, *group, user, before, presence))
            .collect()
    }
}

/// What a session sees of somebody in one of its groups, if that is otherwise
/// than before.
fn told(
    session: Session,
    group: GroupId,
    user: UserId,
    before: Presence,
    now: Presence,
) -> Option<Told> {
    let types = |presence: Presence| presence.typing == Some(group);
    let is_other = before.online != now.online || types(before) != types(now);
    is_other.then(|| Told {
        session,
        group,
        user,
        online: now.online,
        typing: types(now),
    })
}
