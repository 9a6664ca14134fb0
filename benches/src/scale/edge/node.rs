//! What stands behind the edge: a node that holds one group of a million, of
//! which everybody who asks is a member. It answers what a session asks when
//! it begins; all else comes by the pushes that are replayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_node::backend::{
    Backend, FoundMembers, LogRange, MembersWanted, Readers, ReadersWanted, Standing,
};
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_replication::presence::{Answer, News};
use folkmoot_wire::page::LogPage;
use folkmoot_wire::proto::{
    GroupValue, Head, ListedValue, MemberAuthority, MemberStatus, MemberValue, Outcome, Row,
    SealedEntry, command, row,
};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, ShardId, UserId, limits};

use crate::scale::home::{START_MS, user};

pub(super) struct OneGroup {
    group: GroupId,
    /// As it is before the replay.
    head: Head,
    stamps: AtomicU64,
}

impl OneGroup {
    pub(super) fn new(group: GroupId, head: Head) -> Self {
        Self {
            group,
            head,
            stamps: AtomicU64::new(Hlc::from_parts(START_MS, 1).as_u64()),
        }
    }

    fn head_of(&self, group: &GroupId) -> Option<Head> {
        (*group == self.group).then(|| self.head.clone())
    }
}

/// Nobody says anything through this edge.
fn nobody_asks() -> Fault {
    Fault::new(Code::Unavailable, "the replay takes no commands")
}

#[async_trait]
impl Backend for OneGroup {
    fn node(&self) -> NodeId {
        NodeId(1)
    }

    fn region(&self) -> String {
        "region-00".into()
    }

    fn cluster(&self) -> String {
        "07".repeat(16)
    }

    fn stamp(&self) -> Result<Hlc, Fault> {
        Ok(Hlc::from_u64(self.stamps.fetch_add(1, Ordering::Relaxed)))
    }

    fn wall_ms(&self) -> u64 {
        START_MS
    }

    fn random(&self, out: &mut [u8]) {
        out.fill(7);
    }

    fn placement(&self) -> Arc<Placement> {
        Arc::default()
    }

    fn home_of(&self, _: &GroupId) -> Option<Shard> {
        None
    }

    async fn propose(&self, _: GroupId, _: command::Op) -> Result<Outcome, Fault> {
        Err(nobody_asks())
    }

    async fn propose_many(
        &self,
        _: GroupId,
        ops: Vec<command::Op>,
        _: bool,
    ) -> Vec<Result<Outcome, Fault>> {
        ops.iter().map(|_| Err(nobody_asks())).collect()
    }

    fn tentative(&self, _: &GroupId) -> Vec<SealedEntry> {
        Vec::new()
    }

    async fn resolve_user(&self, _: &str, subject: &str) -> Result<UserId, Fault> {
        let number = subject.parse();
        number.map(user).map_err(|_| Code::NotFound.into())
    }

    async fn head(&self, group: GroupId) -> Result<Option<Head>, Fault> {
        Ok(self.head_of(&group))
    }

    async fn home_head(&self, group: GroupId) -> Result<Option<Head>, Fault> {
        Ok(self.head_of(&group))
    }

    async fn standings(&self, _: UserId, groups: &[GroupId]) -> Vec<Option<Standing>> {
        let standing = |group| Standing {
            head: self.head_of(group),
            ..Standing::default()
        };
        groups.iter().map(|group| Some(standing(group))).collect()
    }

    async fn row(&self, group: GroupId, key: RowKey) -> Result<Option<Row>, Fault> {
        let value = match key {
            _ if group != self.group => None,
            RowKey::Member(_) => Some(row::Value::Member(MemberValue {
                authority: Some(MemberAuthority {
                    seq: 1,
                    status: MemberStatus::Member as i32,
                    ..MemberAuthority::default()
                }),
                self_: None,
            })),
            RowKey::Group => Some(row::Value::Group(GroupValue {
                member_count: limits::MEMBER_CAP_MAX,
                member_cap: limits::MEMBER_CAP_MAX,
                ..GroupValue::default()
            })),
            _ => None,
        };
        let key = key.to_bytes();
        let value = value.map(|value| Row {
            key,
            value: Some(value),
        });
        Ok(value)
    }

    async fn members(&self, _: GroupId, _: &MembersWanted) -> Result<FoundMembers, Fault> {
        Err(nobody_asks())
    }

    async fn readers(&self, _: GroupId, _: &[u64]) -> Result<Readers, Fault> {
        Err(nobody_asks())
    }

    async fn find_readers(&self, _: GroupId, _: &ReadersWanted) -> Result<FoundMembers, Fault> {
        Err(nobody_asks())
    }

    /// Everybody has the group in the list.
    async fn row_at_home(&self, group: GroupId, key: RowKey) -> Result<Option<Row>, Fault> {
        self.row(group, key).await
    }

    async fn rows(
        &self,
        _: GroupId,
        kind: Option<RowKind>,
        after: Bytes,
        _: u32,
    ) -> Result<(Vec<Row>, Bytes), Fault> {
        let listed = Row {
            key: RowKey::Listed(self.group).to_bytes(),
            value: Some(row::Value::Listed(ListedValue {
                source_seq: 1,
                source_quiet: 0,
                listed: true,
                name: "everybody".into(),
            })),
        };
        let all = after.is_empty() && kind == Some(RowKind::Listed);
        Ok((all.then_some(listed).into_iter().collect(), Bytes::new()))
    }

    async fn log(&self, _: GroupId, _: LogRange) -> Result<LogPage, Fault> {
        Err(Code::NotFound.into())
    }

    async fn want(&self, _: GroupId) -> Result<(), Fault> {
        Ok(())
    }

    fn unwant(&self, _: GroupId) {}

    fn move_cursor(&self, _: GroupId, _: UserId, _: u64) {}

    async fn presence(&self, _: ShardId, _: &News) -> Result<(NodeId, Answer), Fault> {
        Err(nobody_asks())
    }
}
