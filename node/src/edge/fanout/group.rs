//! One group's sessions, and what each of them gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_wire::proto::{GroupPush, Head, Row, SealedEntry, row};
use folkmoot_wire::{GroupId, UserId, limits};
use tokio::time::Instant;

use super::cuts::Cuts;
use super::subscriber::{GroupInfo, Shared, Subscriber};
use super::window::{Window, WindowOptions};
use super::{Link, SessionId};

/// A session that has the group in its list, not active.
pub(super) struct Passive {
    pub(super) link: Arc<Link>,
    /// `count` of the user's cursor, as last heard of: unread can only be
    /// over-estimated by it, never under-estimated. `None`: nobody has looked.
    pub(super) cursor_count: Option<u64>,
}

/// What follows from a push, for the registry.
#[derive(Default)]
pub(super) struct News {
    pub(super) bump: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) delivered: u64,
    /// Lost their access.
    pub(super) gone: Vec<Subscriber>,
    /// Somebody's access has to be looked up.
    pub(super) doubts: bool,
    /// Who is a member no more.
    pub(super) left: Vec<UserId>,
}

/// One group with sessions here.
#[derive(Default)]
pub(super) struct GroupState {
    pub(super) active: BTreeMap<SessionId, Subscriber>,
    pub(super) passive: BTreeMap<SessionId, Passive>,
    pub(super) head: Option<Head>,
    members: u32,
    /// The group's own row as of the last join without an entry, which sessions
    /// have yet to be told of.
    count_row: Option<Row>,
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
        let rows = self.rows_to_tell(&push.rows);
        let entries = numbered(push);
        if let Some((last, _)) = entries.last() {
            self.entries_to = self.entries_to.max(*last);
        }
        let nothing = entries.is_empty() && rows.is_empty() && push.gone.is_empty();
        if self.active.is_empty() || nothing {
            return news;
        }
        let cuts = Cuts::of(&entries, &rows, &push.gone);
        news.left.extend(cuts.lost.keys().copied());
        let apart = !cuts.is_empty()
            || entries
                .first()
                .is_some_and(|(from, _)| !self.window.gathered().continues(*from));
        if apart && self.window.is_open() {
            self.flush(group, now, &Cuts::default(), &mut news);
        }
        let small = self.is_small();
        let gathered = self.window.gather(now);
        gathered.add(&entries, &rows, &head, small);
        if !cuts.is_empty() || self.window.due(now, options) {
            self.flush(group, now, &cuts, &mut news);
        } else {
            news.deadline = self.window.deadline(options);
        }
        news
    }

    /// Rows of a push but for a count that joins without an entry made: sessions
    /// are told of that now and then ([`Self::tell_count`]).
    fn rows_to_tell(&mut self, rows: &[Row]) -> Vec<Row> {
        let mut tell = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(row::Value::Group(value)) = &row.value {
                self.members = value.member_count;
                self.count_row = (value.quiet > 0).then(|| row.clone());
                if self.count_row.is_some() {
                    continue;
                }
            }
            tell.push(row.clone());
        }
        tell
    }

    pub(super) fn has_count_to_tell(&self) -> bool {
        self.count_row.is_some()
    }

    /// How many members there are goes out, with what is gathered.
    pub(super) fn tell_count(&mut self, group: GroupId, now: Instant) -> News {
        let mut news = News::default();
        let Some(head) = self.head.clone().filter(|_| !self.active.is_empty()) else {
            return news;
        };
        let Some(row) = self.count_row.take() else {
            return news;
        };
        let small = self.is_small();
        self.window.gather(now).add(&[], &[row], &head, small);
        self.flush(group, now, &Cuts::default(), &mut news);
        news
    }

    fn is_small(&self) -> bool {
        self.members <= limits::SMALL_GROUP
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

    /// Entries do not come that sessions wait for: those may be put out in
    /// them. Whether there are such.
    pub(super) fn give_up_waiting(&mut self) -> bool {
        let head = self.head.as_ref().map_or(0, |head| head.seq);
        self.entries_to = self.entries_to.max(head);
        let mut doubts = false;
        for subscriber in self.active.values_mut() {
            doubts |= subscriber.misses(head);
        }
        doubts
    }

    /// What is known here of the group may be old. Whether somebody waits to
    /// have it looked up.
    pub(super) fn doubt(&mut self) -> bool {
        self.head = None;
        let mut doubts = false;
        for subscriber in self.active.values_mut() {
            doubts |= subscriber.doubt();
        }
        doubts
    }

    /// Queues a frame of what is tentative. One that a slow session does not
    /// get is shown to it when the entry is committed.
    pub(super) fn tentative(&self, group: &GroupId, frame: &Bytes) {
        for subscriber in self.active.values() {
            if subscriber.link.tentative && subscriber.is_live() {
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
        let small = self.is_small();
        let mut shared = Shared::default();
        let mut gone = Vec::new();
        for (id, subscriber) in &mut self.active {
            result.delivered += subscriber.entries(&group, &news, cuts, &mut shared);
            if let Some(first) = subscriber.departure(cuts) {
                if subscriber.lose(group, first, cuts) {
                    gone.push(*id);
                }
                continue;
            }
            if subscriber.link.rows {
                subscriber.rows(&group, &news, small, &mut shared);
            }
            result.doubts |= subscriber.is_doubted();
        }
        let removed = gone.into_iter().filter_map(|id| self.active.remove(&id));
        result.gone.extend(removed);
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
