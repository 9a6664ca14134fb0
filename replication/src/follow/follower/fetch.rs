//! Which fetches are open: one a group, a bounded number at once.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::GroupId;
use folkmoot_wire::proto::Head;

use super::Reconciled;
use crate::reconcile::{SHAPE, Session};

/// Fetches of one shard under way at once. More wait in order of group.
const AT_ONCE: usize = 16;

#[derive(Debug, Clone)]
pub(super) enum Need {
    /// Entries behind `after`.
    Log { after: u64 },
    /// A message of a session about rows.
    Rows(Box<Walk>),
}

/// One session with the upstream about the rows of a group.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    pub(super) session: Session,
    /// Make our rows the upstream's, instead of merging: a walk before showed
    /// that ours are wrong.
    pub(super) mirror: bool,
    /// Our copy is older than the last collection at the home: a row that only
    /// we have is gone, not missing there.
    pub(super) drops: bool,
    /// Version of the upstream's head at every answer so far; `None`: at the
    /// beginning.
    pub(super) version: Option<u64>,
    /// The upstream's rows changed between answers.
    pub(super) moved: bool,
    /// What it cost and found so far.
    pub(super) cost: Reconciled,
    /// By which word of the digests it compares.
    word: u32,
}

impl Walk {
    pub(super) fn new(group: GroupId, word: u32, mirror: bool) -> Box<Self> {
        Box::new(Self {
            session: Session::new(SHAPE, word),
            mirror,
            drops: false,
            version: None,
            moved: false,
            cost: Reconciled::new(group),
            word,
        })
    }

    /// The one after this, which compares by another word.
    fn next(&self, mirror: bool) -> Box<Self> {
        let mut next = Self::new(self.cost.group, self.word.wrapping_add(1), mirror);
        next.drops = self.drops;
        next
    }
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) need: Need,
    /// The head to reach.
    pub(super) target: Head,
}

#[derive(Debug, Default)]
pub(super) struct Fetches {
    open: BTreeMap<GroupId, Open>,
    waiting: BTreeSet<GroupId>,
    running: BTreeSet<GroupId>,
    paused: BTreeSet<GroupId>,
}

impl Fetches {
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn want_log(&mut self, group: GroupId, after: u64, target: Head) {
        self.need(group, Need::Log { after }, target);
    }

    pub(super) fn want_rows(&mut self, group: GroupId, walk: Box<Walk>, target: Head) {
        self.need(group, Need::Rows(walk), target);
    }

    /// One fetch a group: one under way keeps its course, one that has not
    /// begun takes the newer need. The target only rises: an upstream that
    /// lags behind the one before must not close what is open.
    fn need(&mut self, group: GroupId, need: Need, target: Head) {
        let Some(open) = self.open.get_mut(&group) else {
            self.open.insert(group, Open { need, target });
            self.waiting.insert(group);
            return;
        };
        if open.target.version <= target.version {
            open.target = target;
        }
        let walking = matches!((&open.need, &need), (Need::Rows(_), Need::Rows(_)));
        if !self.running.contains(&group) && !walking {
            open.need = need;
        }
    }

    /// The copy has all there is at `version`.
    pub(super) fn settled(&mut self, group: &GroupId, version: u64) {
        let reached = |open: &Open| open.target.version <= version;
        if !self.running.contains(group) && self.open.get(group).is_some_and(reached) {
            self.cancel(group);
        }
    }

    /// The head that a group is to reach, if it is not there yet.
    pub(super) fn target(&self, group: &GroupId) -> Option<&Head> {
        self.open.get(group).map(|open| &open.target)
    }

    /// Nobody wants the group any more. An answer under way is not waited for.
    /// Gives the head it was to reach.
    pub(super) fn cancel(&mut self, group: &GroupId) -> Option<Head> {
        self.waiting.remove(group);
        self.paused.remove(group);
        self.running.remove(group);
        self.open.remove(group).map(|open| open.target)
    }

    /// The next walk over the rows of this group, if one is due, waits for a
    /// tick.
    pub(super) fn walk_later(&mut self, group: &GroupId, after: &Walk, mirror: bool) {
        if let Some(Open {
            need: Need::Rows(walk),
            ..
        }) = self.open.get_mut(group)
        {
            *walk = after.next(mirror);
            self.pause(group);
        }
    }

    /// An answer came: the fetch is closed and returned. `None`: nothing of
    /// this kind was asked.
    pub(super) fn answered(&mut self, group: &GroupId, rows: bool) -> Option<Open> {
        let asked = self.open.get(group)?;
        if matches!(asked.need, Need::Rows(_)) != rows || !self.running.remove(group) {
            return None;
        }
        self.open.remove(group)
    }

    pub(super) fn failed(&mut self, group: GroupId) {
        if self.running.remove(&group) {
            self.paused.insert(group);
        }
    }

    /// The next try of this group, if it is open, waits for a tick.
    pub(super) fn pause(&mut self, group: &GroupId) {
        if self.waiting.remove(group) {
            self.paused.insert(*group);
        }
    }

    pub(super) fn retry(&mut self) {
        self.waiting.append(&mut self.paused);
    }

    /// The next fetch that may begin, if any may; it is under way then.
    pub(super) fn begin(&mut self) -> Option<(GroupId, &mut Need)> {
        if self.running.len() >= AT_ONCE {
            return None;
        }
        let group = self.waiting.pop_first()?;
        self.running.insert(group);
        let open = self.open.get_mut(&group)?;
        Some((group, &mut open.need))
    }

    /// It has not begun after all.
    pub(super) fn not_yet(&mut self, group: GroupId) {
        if self.running.remove(&group) {
            self.waiting.insert(group);
        }
    }
}
