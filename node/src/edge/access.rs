//! Whether sessions that something may have passed by still have access to
//! their groups.

use std::sync::Arc;

use folkmoot_wire::proto::{Head, MemberStatus, MemberValue, Row, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, Fault, GroupId, UserId};
use futures_util::stream::{self, StreamExt};

use super::core::Core;
use super::fanout::{GroupInfo, Link};
use crate::backend::refusal;

/// Groups looked at at once, and members of each.
const AT_ONCE: usize = 16;

/// The member that a row says, or what one is told who is none.
fn member_of(row: Option<Row>) -> Result<MemberValue, Code> {
    let Some(row::Value::Member(value)) = row.and_then(|row| row.value) else {
        return Err(Code::NotFound);
    };
    let authority = value.authority.as_ref();
    match authority.map_or(MemberStatus::None, |a| a.status()) {
        MemberStatus::Member => Ok(value),
        status => Err(refusal(status)),
    }
}

impl Core {
    /// A user's member row, if it is a member. To an outsider a group that
    /// does not exist and one that exists are the same.
    pub(super) async fn member(&self, group: GroupId, user: UserId) -> Result<MemberValue, Fault> {
        let here = self.backend.row(group, RowKey::Member(user)).await?;
        // Who has just joined is not told that there is no such group: the
        // copy here may be a moment behind the home that took the join.
        match member_of(here) {
            Ok(member) => Ok(member),
            Err(_) => {
                let sure = self.backend.row_at_home(group, RowKey::Member(user));
                Ok(member_of(sure.await?)?)
            }
        }
    }

    /// Whether another one is a member, by the copy that speaks for the group:
    /// a question about many of them is not to become many to the home.
    pub(super) async fn is_member(&self, group: GroupId, user: UserId) -> Result<bool, Fault> {
        let row = self.backend.row(group, RowKey::Member(user)).await?;
        Ok(member_of(row).is_ok())
    }

    /// Looks up the access of all sessions in doubt. Of whom it cannot be
    /// looked up now stays in doubt.
    pub(super) async fn settle_doubts(&self) {
        let settle = |(group, links)| self.settle(group, links);
        let all = self.fanout.doubted().into_iter().map(settle);
        let mut all = stream::iter(all).buffer_unordered(AT_ONCE);
        while all.next().await.is_some() {}
    }

    async fn settle(&self, group: GroupId, links: Vec<Arc<Link>>) {
        // Read before the members: those are then not older.
        let Ok(Some(head)) = self.backend.head(group).await else {
            return self.fanout.doubted_later(group);
        };
        let Ok(members) = self.members(group).await else {
            return self.fanout.doubted_later(group);
        };
        let judge = |link: Arc<Link>| self.judge(group, link, &head, members);
        let judged = links.into_iter().map(judge);
        let mut judged = stream::iter(judged).buffer_unordered(AT_ONCE);
        let mut all = true;
        while let Some(settled) = judged.next().await {
            all &= settled;
        }
        if !all {
            self.fanout.doubted_later(group);
        }
    }

    async fn members(&self, group: GroupId) -> Result<u32, Fault> {
        let row = self.backend.row(group, RowKey::Group).await?;
        match row.and_then(|row| row.value) {
            Some(row::Value::Group(value)) => Ok(value.member_count),
            _ => Err(Code::NotFound.into()),
        }
    }

    /// Whether that is settled.
    async fn judge(&self, group: GroupId, link: Arc<Link>, head: &Head, members: u32) -> bool {
        match self.member(group, link.user).await {
            Ok(member) => {
                let authority = member.authority.unwrap_or_default();
                if authority.seq > head.seq {
                    // What made it a member is to come here yet.
                    return false;
                }
                let info = GroupInfo {
                    head: head.clone(),
                    visible_from: authority.visible_from.max(1),
                    member_at: authority.seq,
                    members,
                };
                self.fanout.is_sure(&link, group, &info);
                true
            }
            Err(fault) if matches!(fault.code, Code::NotFound | Code::Banned) => {
                self.fanout.lost(&link, group, fault.code);
                true
            }
            Err(_) => false,
        }
    }
}
