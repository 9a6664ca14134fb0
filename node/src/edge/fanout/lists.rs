//! Passive groups: the user's list, bumps, and groups that wait in vain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_wire::proto::{Head, Row, Tombstone, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, GroupId, UserId};
use tokio::time::Instant;

use super::{Fanout, Link, Passive};
use crate::backend::Standing;

/// Passive groups of one session. Of more there are no bumps.
pub(in crate::edge) const PASSIVE_GROUPS_MAX: usize = 10_000;
/// A head whose entries have not come after this time: sessions fetch.
const BEHIND: Duration = Duration::from_secs(2);

/// What has to be looked up before sessions can be bumped.
#[derive(Debug, Default)]
pub(in crate::edge) struct Unknown {
    /// Groups whose head is not known, for [`Fanout::head_found`].
    pub(in crate::edge) heads: Vec<GroupId>,
    /// And how far users are in theirs, for [`Fanout::standings_found`].
    pub(in crate::edge) standings: BTreeMap<UserId, Vec<GroupId>>,
}

impl Fanout {
    /// The session has the group in its list. `head`, `cursor_count`: as far as
    /// known.
    pub(in crate::edge) fn add_passive(
        &self,
        link: &Arc<Link>,
        group: GroupId,
        head: Option<&Head>,
        cursor_count: Option<u64>,
    ) {
        let stripe = &mut *self.stripe(&group).lock();
        {
            let mut held = link.held.lock();
            if held.gone || held.passive.len() >= PASSIVE_GROUPS_MAX {
                return;
            }
            held.passive.insert(group);
        }
        let state = stripe.groups.entry(group).or_default();
        if !state.active.contains_key(&link.id) {
            let passive = Passive {
                link: Arc::clone(link),
                cursor_count,
            };
            state.passive.insert(link.id, passive);
        }
        match head {
            Some(head) => state.see_head(head),
            None => stripe.bumped.insert(group),
        };
        if state.is_idle() {
            stripe.groups.remove(&group);
        }
    }

    fn drop_passive(&self, link: &Link, group: &GroupId) {
        link.held.lock().passive.remove(group);
        let stripe = &mut *self.stripe(group).lock();
        if let Some(state) = stripe.groups.get_mut(group) {
            if state.passive.remove(&link.id).is_some() {
                link.outbound.lose(*group, Code::NotFound);
            }
            if state.is_idle() {
                stripe.groups.remove(group);
            }
        }
    }

    /// The user's sessions here.
    pub(super) fn sessions_of(&self, user: &UserId) -> Vec<Arc<Link>> {
        let users = self.users.lock();
        let sessions = users.get(user).into_iter();
        sessions.flat_map(|s| s.values().cloned()).collect()
    }

    /// The user's list of groups changed.
    pub(super) fn relist(&self, user: UserId, rows: &[Row], gone: &[Tombstone]) {
        for row in gone {
            if let Ok(RowKey::Listed(group)) = RowKey::from_slice(&row.key) {
                for link in self.sessions_of(&user) {
                    self.drop_passive(&link, &group);
                }
            }
        }
        for row in rows {
            let (Ok(RowKey::Listed(group)), Some(row::Value::Listed(value))) =
                (RowKey::from_slice(&row.key), &row.value)
            else {
                continue;
            };
            for link in self.sessions_of(&user) {
                if value.listed {
                    self.add_passive(&link, group, None, None);
                } else {
                    self.drop_passive(&link, &group);
                }
            }
        }
    }

    /// The user has read up to an entry whose running count is `count`.
    pub(in crate::edge) fn cursor_moved(&self, user: &UserId, group: &GroupId, count: u64) {
        for link in self.sessions_of(user) {
            let stripe = &mut *self.stripe(group).lock();
            if let Some(state) = stripe.groups.get_mut(group)
                && let Some(passive) = state.passive.get_mut(&link.id)
            {
                passive.cursor_count = passive.cursor_count.max(Some(count));
            }
        }
    }

    /// Whether any session of the user has the group passive.
    pub(in crate::edge) fn is_passive(&self, user: &UserId, group: &GroupId) -> bool {
        self.sessions_of(user).iter().any(|link| {
            let stripe = self.stripe(group).lock();
            let state = stripe.groups.get(group);
            state.is_some_and(|state| state.passive.contains_key(&link.id))
        })
    }

    /// Once a second: bumps go out, one per group and session, and counts of
    /// members; who waits for entries that do not come is in doubt. Returns what
    /// has to be known for the other bumps.
    pub(in crate::edge) fn sweep(&self, now: Instant) -> Unknown {
        let mut unknown = Unknown::default();
        for stripe in &self.stripes {
            let stripe = &mut *stripe.lock();
            for group in std::mem::take(&mut stripe.bumped) {
                let Some(state) = stripe.groups.get(&group) else {
                    continue;
                };
                if state.head.is_none() {
                    unknown.heads.push(group);
                }
                for passive in state.passive.values().filter(|p| p.link.bumps) {
                    match (passive.cursor_count, &state.head) {
                        (Some(count), Some(head)) => {
                            let unread = head.count.saturating_sub(count);
                            passive.link.outbound.bump(group, head, unread);
                        }
                        (Some(_), None) => {}
                        (None, _) => unknown.of(passive.link.user, group),
                    }
                }
            }
            for group in std::mem::take(&mut stripe.counted) {
                if let Some(state) = stripe.groups.get_mut(&group) {
                    let news = state.tell_count(group, now);
                    self.follow_up(stripe, group, news);
                }
            }
            let late = |since: &Instant| now >= *since + BEHIND;
            while let Some((group, _)) = stripe.behind.iter().find(|(_, since)| late(since)) {
                let group = *group;
                stripe.behind.remove(&group);
                let state = stripe.groups.get_mut(&group);
                if state.is_some_and(|state| state.give_up_waiting()) {
                    self.doubt(stripe, group);
                }
            }
        }
        unknown
    }

    /// The head of a group that is to be bumped.
    pub(in crate::edge) fn head_found(&self, group: GroupId, head: &Head) {
        let stripe = &mut *self.stripe(&group).lock();
        if let Some(state) = stripe.groups.get_mut(&group) {
            state.see_head(head);
            stripe.bumped.insert(group);
        }
    }

    /// How far a user is in groups that are to be bumped.
    pub(in crate::edge) fn standings_found(
        &self,
        user: &UserId,
        groups: &[GroupId],
        standings: Vec<Option<Standing>>,
    ) {
        for (group, standing) in groups.iter().zip(standings) {
            let Some(Standing {
                head: Some(head),
                cursor,
                ..
            }) = standing
            else {
                // Asked for again at the group's next news.
                continue;
            };
            self.cursor_moved(user, group, cursor.map_or(0, |cursor| cursor.count));
            self.head_found(*group, &head);
        }
    }
}

impl Unknown {
    /// A user may have several sessions here.
    fn of(&mut self, user: UserId, group: GroupId) {
        let groups = self.standings.entry(user).or_default();
        if groups.last() != Some(&group) {
            groups.push(group);
        }
    }
}
