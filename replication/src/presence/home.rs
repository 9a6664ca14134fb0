//! The side of the home: one for each term in which this node leads a shard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use folkmoot_wire::{GroupId, NodeId, ShardId, UserId};

use super::{Answer, Bounds, News, Presence, Push, Stamp, States};

/// What the leader of a shard knows of the shard's users.
#[derive(Debug)]
pub struct Home {
    bounds: Bounds,
    stamp: Stamp,
    people: BTreeMap<UserId, Person>,
    /// When to look at somebody again: at most once for each.
    wakes: BTreeSet<(Duration, UserId)>,
    /// When it was told or asked anything first.
    began: Option<Duration>,
    /// Of whom each edge has yet to be told.
    owed: BTreeMap<NodeId, BTreeSet<UserId>>,
    watches: usize,
    online: usize,
}

#[derive(Debug, Default)]
struct Person {
    /// The edges with sessions, and when their leases end.
    at: BTreeMap<NodeId, Duration>,
    typing: Option<(GroupId, Duration)>,
    /// The edges that are told, and how long.
    watchers: BTreeMap<NodeId, Duration>,
    /// As it was told of last.
    told: Presence,
    wake: Option<Duration>,
}

impl Person {
    fn presence(&self) -> Presence {
        Presence {
            online: !self.at.is_empty(),
            typing: self.typing.map(|(group, _)| group),
        }
    }

    /// Drops what has ended. Gives how many watches did.
    fn expire(&mut self, now: Duration) -> usize {
        self.at.retain(|_, until| *until > now);
        self.typing = self.typing.filter(|(_, until)| *until > now);
        if self.at.is_empty() {
            self.typing = None;
        }
        let before = self.watchers.len();
        self.watchers.retain(|_, until| *until > now);
        before - self.watchers.len()
    }

    fn next_end(&self) -> Option<Duration> {
        let ends = self.at.values().chain(self.watchers.values()).copied();
        ends.chain(self.typing.map(|(_, until)| until)).min()
    }
}

impl Home {
    /// One that knows nobody, of a shard's leader in this term.
    #[must_use]
    pub fn new(shard: ShardId, term: u64, bounds: Bounds) -> Self {
        Self {
            bounds,
            stamp: Stamp {
                shard,
                term,
                number: 0,
            },
            people: BTreeMap::new(),
            wakes: BTreeSet::new(),
            began: None,
            owed: BTreeMap::new(),
            watches: 0,
            online: 0,
        }
    }

    /// The term it is of.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.stamp.term
    }

    /// Takes what an edge says at `now` (time since any fixed start), and
    /// answers how those are whom it wants to know of.
    pub fn hear(&mut self, from: NodeId, news: &News, now: Duration) -> Answer {
        let Bounds {
            lease,
            grace,
            typing,
            ..
        } = self.bounds;
        for user in &news.here {
            self.change(user, now, |person| {
                person.at.insert(from, now + lease);
            });
        }
        for user in &news.gone {
            self.change(user, now, |person| {
                if let Some(until) = person.at.get_mut(&from) {
                    *until = (*until).min(now + grace);
                }
            });
        }
        for (user, group) in &news.typing {
            self.change(user, now, |person| {
                person.typing = group.map(|group| (group, now + typing));
            });
        }
        for user in &news.watch {
            let room = self.watches < self.bounds.watches;
            let mut more = 0;
            self.change(user, now, |person| {
                if room || person.watchers.contains_key(&from) {
                    let before = person.watchers.insert(from, now + lease);
                    more = usize::from(before.is_none());
                }
            });
            self.watches += more;
        }
        for user in &news.unwatch {
            let mut fewer = 0;
            self.change(user, now, |person| {
                fewer = usize::from(person.watchers.remove(&from).is_some());
            });
            self.watches -= fewer;
        }
        let known = |user: &UserId| Some((*user, self.people.get(user)?.told));
        let users = news.watch.iter().filter_map(known);
        let users = users.filter(|(_, told)| *told != Presence::default());
        let users = users.collect();
        let began = *self.began.get_or_insert(now);
        Answer {
            states: States {
                stamp: self.next(),
                users,
            },
            is_whole: now >= began + lease,
        }
    }

    /// Ends what ends by `now`, and gives what the edges have to be told, in
    /// messages of a page each.
    pub fn due(&mut self, now: Duration) -> Vec<Push> {
        while let Some(&(wake, user)) = self.wakes.first()
            && wake <= now
        {
            self.change(&user, now, |_| {});
        }
        let mut pushes = Vec::new();
        for (to, users) in std::mem::take(&mut self.owed) {
            let users: Vec<UserId> = users.into_iter().collect();
            for page in users.chunks(self.bounds.page.max(1)) {
                let told =
                    |user: &UserId| self.people.get(user).map(|p| p.told).unwrap_or_default();
                let users = page.iter().map(|user| (*user, told(user))).collect();
                let stamp = self.next();
                pushes.push(Push {
                    to,
                    states: States { stamp, users },
                });
            }
        }
        pushes
    }

    /// When [`Home::due`] has something to do, if nobody says anything.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        match self.owed.is_empty() {
            true => self.wakes.first().map(|&(wake, _)| wake),
            false => Some(now),
        }
    }

    /// How many are there.
    #[must_use]
    pub fn online(&self) -> usize {
        self.online
    }

    /// Whether it knows nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.people.is_empty() && self.watches == 0
    }

    fn next(&mut self) -> Stamp {
        self.stamp.number += 1;
        self.stamp
    }

    /// Changes what is known of somebody, with all that follows from it.
    fn change(&mut self, user: &UserId, now: Duration, change: impl FnOnce(&mut Person)) {
        if self.people.len() >= self.bounds.people && !self.people.contains_key(user) {
            return;
        }
        let person = self.people.entry(*user).or_default();
        change(person);
        self.watches -= person.expire(now);
        let is = person.presence();
        if is != person.told {
            self.online += usize::from(is.online);
            self.online -= usize::from(person.told.online);
            person.told = is;
            for edge in person.watchers.keys() {
                self.owed.entry(*edge).or_default().insert(*user);
            }
        }
        let wake = person.next_end();
        if wake != person.wake {
            if let Some(before) = std::mem::replace(&mut person.wake, wake) {
                self.wakes.remove(&(before, *user));
            }
            self.wakes.extend(wake.map(|wake| (wake, *user)));
        }
        if wake.is_none() {
            self.people.remove(user);
        }
    }
}
