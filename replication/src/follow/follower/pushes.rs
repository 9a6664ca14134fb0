//! What comes with the stream: full pushes, and lean ones whose head has to be
//! worked out.

use folkmoot_wire::GroupId;
use folkmoot_wire::proto::{GroupPush, Head, HeadMark};

use super::{Follower, Output};
use crate::apply::ApplyError;
use crate::follow::lean;
use crate::placement::has_slot;

impl Follower {
    pub(super) fn take(&mut self, push: GroupPush, out: &mut Output) -> Result<(), ApplyError> {
        let Ok(group) = GroupId::from_slice(&push.group) else {
            return Ok(());
        };
        if !has_slot(self.config.slots, &group) {
            return Ok(());
        }
        if let Some(moved) = push.moved {
            return self.take_moved(group, moved, out);
        }
        if let Some(mark) = push.mark.clone() {
            return self.take_lean(group, &mark, push, out);
        }
        let Some(head) = push.head.clone() else {
            return Ok(());
        };
        if self.went_after(&group, head.version, out) {
            return Ok(());
        }
        if !self.follows(&group) {
            let newer = self
                .known
                .get(&group)
                .is_none_or(|known| known.version <= head.version);
            if newer {
                out.pushes.push(GroupPush {
                    group: group.to_bytes(),
                    head: Some(head.clone()),
                    ..GroupPush::default()
                });
                self.known.insert(group, head);
            }
            return Ok(());
        }
        self.check(group, out)?;
        if self.copies.head(&group)?.version > head.version {
            return Ok(()); // an upstream that lags behind the one before
        }
        self.copies
            .take_entries(group, &push.chain_before, push.entries, out)?;
        self.copies.take_gone(group, &push.gone, out)?;
        self.copies.take_rows(group, push.rows, out)?;
        self.compare(group, &head, out)
    }

    /// A push whose head is to be worked out. When what comes out is not what
    /// is marked, the upstream's head has to be asked for.
    fn take_lean(
        &mut self,
        group: GroupId,
        mark: &HeadMark,
        push: GroupPush,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        if !self.follows(&group) || self.went_after(&group, mark.version, out) {
            return Ok(()); // its head comes once the upstream knows that
        }
        self.check(group, out)?;
        if self.copies.head(&group)?.version > mark.version {
            return Ok(()); // an upstream that lags behind the one before
        }
        let last = self.copies.take_marked(group, mark, push.entries, out)?;
        self.copies.take_rows(group, push.rows, out)?;
        let local = self.copies.head(&group)?;
        let seq = local.seq.max(last).max(1);
        let marked = Head {
            version: mark.version,
            ..local
        };
        if lean::same_log(mark, &marked.chain) && lean::same_state(mark, &marked) {
            return self.compare(group, &marked, out);
        }
        let unknown = Head {
            version: mark.version,
            seq,
            ..Head::default()
        };
        self.compare(group, &unknown, out)
    }
}
