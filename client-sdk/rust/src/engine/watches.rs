//! Whom of the active groups the application watches: asked for once in each
//! session.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{Presences, UserPresence, WatchPresence};
use folkmoot_wire::{Fault, GroupId, UserId, limits};

use super::due::Due;
use super::{Engine, Open};
use crate::error::{ClientError, Result};
use crate::event::{Event, Presence};

/// What is watched.
#[derive(Debug, Default)]
pub(super) struct Watches {
    groups: BTreeMap<GroupId, BTreeSet<UserId>>,
    /// The edge has yet to be asked, once the group is active.
    due: Due,
    failures: u32,
}

impl Watches {
    pub(super) fn retry_at(&self) -> Option<Duration> {
        self.due.next_at()
    }

    /// The next session knows of none.
    pub(super) fn disconnected(&mut self) {
        self.due.forget_later();
        self.groups.keys().for_each(|group| self.due.now(*group));
    }

    pub(super) fn forget(&mut self, group: &GroupId) {
        self.groups.remove(group);
        self.due.forget(group);
    }
}

impl Engine {
    pub(super) fn watch(&mut self, group: GroupId, users: BTreeSet<UserId>) -> Result<()> {
        let groups = &mut self.watches.groups;
        let elsewhere = groups.iter().filter(|(other, _)| **other != group);
        let count = elsewhere.map(|(_, users)| users.len()).sum::<usize>() + users.len();
        if count > limits::WATCHED_USERS {
            let most = limits::WATCHED_USERS;
            let what = format!("{count} people would be watched, of {most}");
            return Err(ClientError::Config(what));
        }
        if groups.get(&group) != Some(&users) {
            groups.insert(group, users);
            self.watches.due.now(group);
        }
        Ok(())
    }

    pub(super) fn pump_watches(&mut self, now: Duration) {
        let mut inactive = Vec::new();
        while let Some(group) = self.watches.due.pop(now) {
            if !self.follows.is_active(&group) {
                inactive.push(group);
                continue;
            }
            let Some(users) = self.watches.groups.get(&group) else {
                continue;
            };
            let request = Request::WatchPresence(WatchPresence {
                group: group.to_bytes(),
                users: users.iter().map(UserId::to_bytes).collect(),
            });
            if users.is_empty() {
                self.watches.groups.remove(&group);
            }
            self.request(request, Open::Watch(group), now);
        }
        for group in inactive {
            self.watches.due.now(group);
        }
    }

    /// The edge watches; who is not in its answer is not there.
    pub(super) fn watched(&mut self, group: GroupId, answer: &Presences) {
        self.watches.failures = 0;
        let Some(users) = self.watches.groups.get(&group) else {
            return;
        };
        let mut people: BTreeMap<UserId, Presence> =
            users.iter().map(|user| (*user, absent(*user))).collect();
        people.extend(known(&answer.users).map(|one| (one.user, one)));
        self.emit(Event::Presence {
            group,
            people: people.into_values().collect(),
        });
    }

    pub(super) fn watch_failed(&mut self, group: GroupId, fault: &Fault, now: Duration) {
        // For good: the group is not active any more, or what is asked of it
        // makes no sense to this edge.
        if fault.code.temporary() && self.watches.groups.contains_key(&group) {
            self.watches.failures += 1;
            let asked = Duration::from_millis(fault.retry_after_ms);
            let (backoff, failures) = (self.options.backoff, self.watches.failures);
            let delay = backoff.delay(failures, asked, &mut *self.rng);
            self.watches.due.later(group, now + delay);
        }
    }

    pub(super) fn presence_changed(&mut self, group: GroupId, push: &Presences) {
        self.emit(Event::Presence {
            group,
            people: known(&push.users).collect(),
        });
    }
}

fn absent(user: UserId) -> Presence {
    Presence {
        user,
        online: false,
        typing: false,
    }
}

/// Users whose ids can be read.
fn known(users: &[UserPresence]) -> impl Iterator<Item = Presence> {
    users.iter().filter_map(|one| {
        Some(Presence {
            user: UserId::from_slice(&one.user).ok()?,
            online: one.online,
            typing: one.typing,
        })
    })
}
