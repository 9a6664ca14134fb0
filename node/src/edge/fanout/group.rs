//! One group's sessions, and what each of them gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_wire::proto::{GroupPush, Head, Row, SealedEntry, row};
use folkmoot_wire::{Code, GroupId, limits, without};
use tokio::time::Instant;

use super::cuts::Cuts;
use super::encode::{deliveries, public_rows, rows_changed, rows_for};
use super::window::{Gathered, Window, WindowOptions};
use super::{Link, SessionId};
use crate::edge::outbound::Pushed;
use crate::edge::wants::Wanted;

/// What an activation read of a group.
#[derive(Debug, Clone, Default)]
pub(in crate::edge) struct GroupInfo {
    /// The head, read after the session was registered.
    pub(in crate::edge) head: Head,
    /// The caller's first visible seq.
    pub(in crate::edge) visible_from: u64,
    /// Members.
    pub(in crate::edge) members: u32,
}

/// A session that has the group active.
pub(super) struct Subscriber {
    pub(super) link: Arc<Link>,
    /// The node follows the group while this is held.
    pub(super) wanted: Wanted,
    visible_from: u64,
    state: State,
}

enum State {
    /// Registered, and not live yet: the highest seq skipped, and whether its
    /// access was lost meanwhile.
    Joining { skipped: u64, lost: Option<Code> },
    /// Gets everything from this seq on.
    Live { next: u64 },
}

impl Subscriber {
    pub(super) fn joining(link: Arc<Link>, wanted: Wanted) -> Self {
        Self {
            link,
            wanted,
            visible_from: 0,
            state: State::Joining {
                skipped: 0,
                lost: None,
            },
        }
    }

    pub(super) fn go_live(&mut self, info: &GroupInfo) -> Result<u64, Code> {
        let live_from = match self.state {
            State::Joining {
                lost: Some(code), ..
            } => return Err(code),
            State::Joining { skipped, .. } => skipped.max(info.head.seq),
            State::Live { next } => return Ok(next - 1),
        };
        without!(LiveOverlap => {
            self.state = State::Live { next: live_from + 1 };
            return Ok(info.head.seq);
        });
        self.visible_from = self.visible_from.max(info.visible_from);
        self.state = State::Live {
            next: live_from + 1,
        };
        Ok(live_from)
    }
}

/// A session that has the group in its list, not active.
pub(super) struct Passive {
    pub(super) link: Arc<Link>,
    /// `count` of the user's cursor, as last heard of: unread can only be
    /// over-estimated by it, never under-estimated.
    pub(super) cursor_count: u64,
}

/// What follows from a push, for the registry.
#[derive(Default)]
pub(super) struct News {
    pub(super) bump: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) delivered: u64,
    /// Lost their access.
    pub(super) gone: Vec<Subscriber>,
}

/// One group with sessions here.
#[derive(Default)]
pub(super) struct GroupState {
    pub(super) active: BTreeMap<SessionId, Subscriber>,
    pub(super) passive: BTreeMap<SessionId, Passive>,
    pub(super) head: Option<Head>,
    members: u32,
    window: Window,
    /// Last seq of entries published here, or known to be readable.
    entries_to: u64,
}

impl GroupState {
    pub(super) fn is_idle(&self) -> bool {
        self.active.is_empty() && self.passive.is_empty()
    }

    /// A head came without the entries up to it, and somebody waits for them.
    pub(super) fn is_behind(&self) -> bool {
        let head = self.head.as_ref().map_or(0, |head| head.seq);
        !self.active.is_empty() && head > self.entries_to
    }

    pub(super) fn learn(&mut self, info: &GroupInfo) {
        self.members = info.members;
        self.entries_to = self.entries_to.max(info.head.seq);
        self.see_head(&info.head);
    }

    pub(super) fn see_head(&mut self, head: &Head) -> bool {
        let newer = |held: &Head| (held.seq, held.version) < (head.seq, head.version);
        let moved = self.head.as_ref().is_none_or(newer);
        if moved {
            self.head = Some(head.clone());
        }
        moved
    }

    /// One push of this group.
    pub(super) fn publish(
        &mut self,
        group: GroupId,
        push: &GroupPush,
        now: Instant,
        options: &WindowOptions,
    ) -> News {
        let mut news = News::default();
        let head = push.head.clone().unwrap_or_default();
        let seen = self.head.as_ref().map_or(0, |head| head.seq);
        self.see_head(&head);
        news.bump = head.seq > seen && !self.passive.is_empty();
        for row in &push.rows {
            if let Some(row::Value::Group(value)) = &row.value {
                self.members = value.member_count;
            }
        }
        let entries = numbered(push);
        if let Some((last, _)) = entries.last() {
            self.entries_to = self.entries_to.max(*last);
        }
        let nothing = entries.is_empty() && push.rows.is_empty() && push.gone.is_empty();
        if self.active.is_empty() || nothing {
            return news;
        }
        let cuts = Cuts::of(&entries, &push.rows, &push.gone);
        let apart = !cuts.is_empty()
            || entries
                .first()
                .is_some_and(|(from, _)| !self.window.gathered().continues(*from));
        if apart && self.window.is_open() {
            self.flush(group, now, &Cuts::default(), &mut news);
        }
        self.window.gather(now).add(&entries, &push.rows, &head);
        if !cuts.is_empty() || self.window.due(now, options) {
            self.flush(group, now, &cuts, &mut news);
        } else {
            news.deadline = self.window.deadline(options);
        }
        news
    }

    /// The window's time is up, unless it was opened anew since.
    pub(super) fn close_window(
        &mut self,
        group: GroupId,
        now: Instant,
        options: &WindowOptions,
    ) -> News {
        let mut news = News::default();
        self.window.timer_fired();
        if self.window.due(now, options) {
            self.flush(group, now, &Cuts::default(), &mut news);
        } else {
            news.deadline = self.window.deadline(options);
        }
        news
    }

    /// Tells sessions that wait for entries which do not come to fetch them.
    pub(super) fn give_up_waiting(&mut self, group: GroupId) {
        let Some(head) = self.head.clone() else {
            return;
        };
        self.entries_to = self.entries_to.max(head.seq);
        for subscriber in self.active.values_mut() {
            if let State::Live { next } = &mut subscriber.state
                && *next <= head.seq
            {
                subscriber.link.outbound.gap(group, &head);
                *next = head.seq + 1;
            }
        }
    }

    /// Queues a frame of what is tentative. One that a slow session does not
    /// get is shown to it when the entry is committed.
    pub(super) fn tentative(&self, group: &GroupId, frame: &Bytes) {
        for subscriber in self.active.values() {
            if subscriber.link.tentative && matches!(subscriber.state, State::Live { .. }) {
                subscriber.link.outbound.aside(group, frame.clone());
            }
        }
    }

    /// Everything gathered goes out.
    fn flush(&mut self, group: GroupId, now: Instant, cuts: &Cuts, result: &mut News) {
        let news = self.window.take(now);
        if news.is_empty() {
            return;
        }
        let small = self.members <= limits::SMALL_GROUP;
        let mut shared = Shared::default();
        let mut gone = Vec::new();
        for (id, subscriber) in &mut self.active {
            result.delivered += subscriber.entries(&group, &news, cuts, &mut shared);
            if let Some((_, code)) = cuts.lost.get(&subscriber.link.user) {
                match &mut subscriber.state {
                    State::Joining { lost, .. } => *lost = Some(*code),
                    State::Live { .. } => {
                        subscriber.link.outbound.lose(group, *code);
                        gone.push(*id);
                    }
                }
            } else if subscriber.link.rows {
                subscriber.rows(&group, &news, small, &mut shared);
            }
        }
        let removed = gone.into_iter().filter_map(|id| self.active.remove(&id));
        result.gone.extend(removed);
    }
}

/// What is encoded once for all who get the same.
#[derive(Default)]
struct Shared {
    deliveries: Option<Vec<Bytes>>,
    rows: Option<(Vec<Row>, Vec<Bytes>)>,
}

impl Subscriber {
    /// Queues the entries that this session gets.
    fn entries(
        &mut self,
        group: &GroupId,
        news: &Gathered,
        cuts: &Cuts,
        shared: &mut Shared,
    ) -> u64 {
        if let Some(from) = cuts.visible_from.get(&self.link.user) {
            self.visible_from = *from;
        }
        if news.from == 0 {
            return 0;
        }
        let next = match &mut self.state {
            State::Joining { skipped, .. } => {
                *skipped = (*skipped).max(news.to);
                return 0;
            }
            State::Live { next } => next,
        };
        // Up to the entry that puts the user out, that one included.
        let end = match cuts.lost.get(&self.link.user) {
            Some((seq, _)) => news.to.min(*seq),
            None => news.to,
        };
        if *next < news.from {
            self.link.outbound.gap(*group, &news.head);
            *next = news.head.seq.max(news.to) + 1;
            return 0;
        }
        if *next > end {
            return 0;
        }
        let whole = *next == news.from && end == news.to && self.visible_from <= news.from;
        let own;
        let frames = if whole {
            shared
                .deliveries
                .get_or_insert_with(|| deliveries(group, news, news.from, news.to, 0))
        } else {
            own = deliveries(group, news, *next, end, self.visible_from);
            &own
        };
        *next = end + 1;
        let mut queued = 0;
        for frame in frames {
            match self.link.outbound.push(*group, &news.head, frame.clone()) {
                Pushed::Queued => queued += 1,
                Pushed::Collapsed => {
                    // The gap speaks for everything up to this head.
                    *next = news.head.seq.max(end) + 1;
                    break;
                }
            }
        }
        queued
    }

    /// Queues the rows that this session gets.
    fn rows(&mut self, group: &GroupId, news: &Gathered, small: bool, shared: &mut Shared) {
        let State::Live { next } = &mut self.state else {
            return;
        };
        if news.rows.is_empty() {
            return;
        }
        let (public, frames) = shared.rows.get_or_insert_with(|| {
            let public = public_rows(news, small);
            let frames = rows_changed(group, &public);
            (public, frames)
        });
        let own = rows_for(public, news, &self.link.user).map(|rows| rows_changed(group, &rows));
        for frame in own.as_ref().unwrap_or(frames) {
            let pushed = self.link.outbound.push(*group, &news.head, frame.clone());
            if pushed == Pushed::Collapsed {
                *next = (*next).max(news.head.seq + 1);
                break;
            }
        }
    }
}

/// A push's entries with their seqs; none when the push contradicts itself.
fn numbered(push: &GroupPush) -> Vec<(u64, SealedEntry)> {
    let Some(covers) = &push.covers else {
        return Vec::new();
    };
    let count = push.entries.len() as u64;
    if count == 0 || covers.to.checked_sub(covers.from) != Some(count - 1) {
        return Vec::new();
    }
    (covers.from..=covers.to)
        .zip(push.entries.iter().cloned())
        .collect()
}
