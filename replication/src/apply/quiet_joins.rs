//! Joins into large groups: rows and no entry, so that a storm of them is told to
//! nobody one by one.

use folkmoot_wire::proto::{CursorValue, GroupValue, MemberAuthority, MemberStatus, Role};
use folkmoot_wire::{limits, version};

use super::authority::Standing;
use super::group::{Age, Stamp, named};
use super::sequence::Request;
use super::{Answer, ShardApply, Step, done};

impl ShardApply {
    pub(super) fn joins_quietly(&self, group: &GroupValue) -> bool {
        self.applied.apply_version >= version::APPLY_JOINS_QUIETLY
            && group.member_cap > limits::LARGE_GROUP
    }

    /// The subject, who may, becomes a member at the head.
    pub(super) fn join_quietly(
        &mut self,
        step: &Step,
        request: &Request,
        group: GroupValue,
        before: &Standing,
        nick: String,
    ) -> Answer {
        let (id, user) = (request.group, request.subject());
        let head = self.view.head(&id)?.unwrap_or_default();
        let age = Age::behind(head.seq, &group);
        let authority = MemberAuthority {
            seq: age.seq,
            quiet: age.quiet,
            status: MemberStatus::Member as i32,
            role: Role::Member as i32,
            visible_from: match group.history_from_join {
                true => head.seq + 1,
                false => 1,
            },
            muted_until_ms: before.authority.muted_until_ms,
            cursor_base: match self.applied.apply_version >= version::APPLY_CURSOR_BASE {
                true => head.seq,
                false => 0,
            },
        };
        let stamp = Stamp {
            hlc: self.log_time(request)?,
            node: step.at.leader.0,
        };
        let own = named(stamp, &before.own, nick);
        self.put_member(id, user, authority, own)?;
        self.put_group_value(
            id,
            GroupValue {
                seq: age.seq,
                quiet: age.quiet,
                member_count: group.member_count + 1,
                ..group
            },
        )?;
        // What was said to others before is not unread.
        let cursor = CursorValue {
            seq: head.seq,
            count: head.count,
            at_all: head.at_all,
        };
        self.put_cursor(id, user, cursor)?;
        self.list(id, user, age, true)?;
        done()
    }
}

impl Age {
    /// Of the next change without an entry in a group whose last entry is `seq`.
    fn behind(seq: u64, group: &GroupValue) -> Self {
        // Entries that change no member leave the group's row as it is.
        let before = if group.seq == seq { group.quiet } else { 0 };
        Self {
            seq,
            quiet: before + 1,
        }
    }
}
