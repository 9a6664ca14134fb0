//! A session that has a group active: what it gets next, and whether that is
//! still its to get.
//!
//! Who loses access is told by an entry or a row. A session that was passed by
//! the one may be passed by the other: from then on it gets nothing, until its
//! access was looked up ([`super::super::doubts`]). A departure from before the
//! user came back is of the past: what comes by here may be older than what was
//! read of the user, here or at the home.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_wire::proto::{Head, Row};
use folkmoot_wire::{Code, GroupId, without};

use super::Link;
use super::cuts::Cuts;
use super::encode::{deliveries, public_rows, rows_changed, rows_for};
use super::window::Gathered;
use crate::edge::outbound::Pushed;
use crate::edge::wants::Wanted;

/// What was read of a group for one of its members.
#[derive(Debug, Clone, Default)]
pub(in crate::edge) struct GroupInfo {
    /// The head, read after the session was registered.
    pub(in crate::edge) head: Head,
    /// The caller's first visible seq.
    pub(in crate::edge) visible_from: u64,
    /// The caller is a member as of this seq.
    pub(in crate::edge) member_at: u64,
    /// Members.
    pub(in crate::edge) members: u32,
}

/// A session that has the group active.
pub(super) struct Subscriber {
    pub(super) link: Arc<Link>,
    /// The node follows the group while this is held.
    pub(super) wanted: Wanted,
    visible_from: u64,
    member_at: u64,
    state: State,
}

enum State {
    /// Registered, and not live yet; and where its access was lost last, of what
    /// came by meanwhile.
    Joining {
        skipped: Skipped,
        lost: Option<(u64, Code)>,
    },
    /// Gets everything from this seq on.
    Live { next: u64 },
    /// Entries did not come by here: not live until its access was looked up.
    /// `looked`: that is under way, with what is known since it came in doubt.
    Doubted { skipped: Skipped, looked: bool },
}

impl State {
    fn doubted(skipped: Skipped) -> Self {
        Self::Doubted {
            skipped,
            looked: false,
        }
    }
}

/// Entries that came by while a session was not live.
#[derive(Default, Clone, Copy)]
struct Skipped {
    /// 0: none.
    first: u64,
    last: u64,
    /// Some between them did not.
    hole: bool,
}

impl Skipped {
    fn with_a_hole() -> Self {
        Self {
            first: 1,
            last: 0,
            hole: true,
        }
    }

    fn add(&mut self, from: u64, to: u64) {
        match self.first {
            0 => (self.first, self.last) = (from, to),
            _ => {
                self.hole |= from > self.last + 1;
                self.last = self.last.max(to);
            }
        }
    }

    /// Whether every entry behind `head` came by.
    fn continues(&self, head: u64) -> bool {
        self.first == 0 || (self.first <= head + 1 && !self.hole)
    }
}

/// What is encoded once for all who get the same.
#[derive(Default)]
pub(super) struct Shared {
    deliveries: Option<Vec<Bytes>>,
    rows: Option<(Vec<Row>, Vec<Bytes>)>,
}

impl Subscriber {
    pub(super) fn joining(link: Arc<Link>, wanted: Wanted) -> Self {
        Self {
            link,
            wanted,
            visible_from: 0,
            member_at: 0,
            state: State::Joining {
                skipped: Skipped::default(),
                lost: None,
            },
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, State::Live { .. })
    }

    pub(super) fn is_doubted(&self) -> bool {
        matches!(self.state, State::Doubted { .. })
    }

    /// Live behind the seq returned, or in doubt behind it.
    ///
    /// # Errors
    /// When its access was lost meanwhile.
    pub(super) fn go_live(&mut self, info: &GroupInfo) -> Result<u64, Code> {
        let skipped = match self.state {
            State::Joining {
                lost: Some((seq, code)),
                ..
            } if seq > info.member_at => return Err(code),
            State::Joining { skipped, .. } | State::Doubted { skipped, .. } => skipped,
            State::Live { next } => return Ok(next - 1),
        };
        let live_from = skipped.last.max(info.head.seq);
        without!(LiveOverlap => {
            self.state = State::Live { next: live_from + 1 };
            return Ok(info.head.seq);
        });
        self.visible_from = self.visible_from.max(info.visible_from);
        self.member_at = self.member_at.max(info.member_at);
        self.state = match skipped.continues(info.head.seq) {
            true => State::Live {
                next: live_from + 1,
            },
            false => State::doubted(Skipped::default()),
        };
        Ok(live_from)
    }

    /// Entries up to `head` do not come by here. Whether that puts it in doubt.
    pub(super) fn misses(&mut self, head: u64) -> bool {
        match self.state {
            State::Live { next } if next <= head => self.doubt(),
            _ => false,
        }
    }

    /// What came by here may not be all. Whether its access is to be looked up.
    pub(super) fn doubt(&mut self) -> bool {
        match &mut self.state {
            State::Joining { skipped, .. } => {
                *skipped = Skipped::with_a_hole();
                false
            }
            _ => {
                self.state = State::doubted(Skipped::default());
                true
            }
        }
    }

    /// Its access is looked up from now on. Whether it has to be.
    pub(super) fn look(&mut self) -> bool {
        match &mut self.state {
            State::Doubted { looked, .. } => {
                *looked = true;
                true
            }
            _ => false,
        }
    }

    /// Whether its access was looked up since it came in doubt.
    pub(super) fn was_looked_up(&self) -> bool {
        matches!(self.state, State::Doubted { looked: true, .. })
    }

    /// Its access was looked up, and it has it: it is told what it missed,
    /// unless it is in doubt again. What came by meanwhile was passed over, and
    /// is missing too: up to `known`, the head of what came by.
    pub(super) fn is_sure(&mut self, group: GroupId, info: &GroupInfo, known: &Head) {
        if self.was_looked_up()
            && let Ok(live_from) = self.go_live(info)
            && self.is_live()
        {
            let read = live_from <= info.head.seq;
            let head = if read { &info.head } else { known };
            self.link.outbound.gap(group, head);
        }
    }

    /// Where it loses its access, if it does.
    pub(super) fn departure(&self, cuts: &Cuts) -> Option<(u64, Code)> {
        cuts.departure(&self.link.user, self.member_at)
    }

    /// Its access is lost, by the `first` of these departures. Whether it is to
    /// go: who is joining is told so when it would become live.
    pub(super) fn lose(&mut self, group: GroupId, first: (u64, Code), cuts: &Cuts) -> bool {
        if let State::Joining { lost, .. } = &mut self.state {
            let both = [*lost, cuts.last_departure(&self.link.user)];
            *lost = both.into_iter().flatten().max_by_key(|(seq, _)| *seq);
            return false;
        }
        self.link.outbound.lose(group, first.1);
        true
    }

    /// Queues the entries that this session gets.
    pub(super) fn entries(
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
            State::Joining { skipped, .. } | State::Doubted { skipped, .. } => {
                skipped.add(news.from, news.to);
                return 0;
            }
            State::Live { next } => next,
        };
        if *next < news.from {
            let mut skipped = Skipped::default();
            skipped.add(news.from, news.to);
            self.state = State::doubted(skipped);
            return 0;
        }
        // Up to the entry that puts the user out, that one included.
        let end = cuts
            .departure(&self.link.user, self.member_at)
            .map_or(news.to, |(seq, _)| news.to.min(seq));
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
    pub(super) fn rows(
        &mut self,
        group: &GroupId,
        news: &Gathered,
        small: bool,
        shared: &mut Shared,
    ) {
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
