//! Groups to look at: at once, or from some time on.

use std::collections::BTreeSet;
use std::time::Duration;

use folkmoot_wire::GroupId;

#[derive(Debug, Default)]
pub(super) struct Due {
    now: BTreeSet<GroupId>,
    later: BTreeSet<(Duration, GroupId)>,
}

impl Due {
    pub(super) fn now(&mut self, group: GroupId) {
        self.now.insert(group);
    }

    pub(super) fn later(&mut self, group: GroupId, at: Duration) {
        self.later.insert((at, group));
    }

    /// When the next of those that wait is to be looked at.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.later.first().map(|&(at, _)| at)
    }

    /// Nothing waits any more; what is due stays so.
    pub(super) fn forget_later(&mut self) {
        self.later.clear();
    }

    pub(super) fn forget(&mut self, group: &GroupId) {
        self.now.remove(group);
        self.later.retain(|(_, other)| other != group);
    }

    /// The next group that is due at `now`, taken out.
    pub(super) fn pop(&mut self, now: Duration) -> Option<GroupId> {
        while let Some(&(at, group)) = self.later.first()
            && at <= now
        {
            self.later.pop_first();
            self.now.insert(group);
        }
        self.now.pop_first()
    }
}
