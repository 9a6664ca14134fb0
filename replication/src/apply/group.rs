//! Typed access to the rows that apply decides by.

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::{
    EntryHeader, GroupValue, MemberAuthority, MemberSelf, MemberValue, Row, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{GroupId, MessageId, UserId};

use super::{ApplyError, ShardApply};

/// By what a row that the sequencer writes is newer than others of its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    /// The entry that writes it, or the last one.
    pub(super) seq: u64,
    /// 0: that entry writes it. Else which change without one behind it.
    pub(super) quiet: u64,
}

impl Age {
    pub(super) fn of(header: &EntryHeader) -> Self {
        Self {
            seq: header.seq,
            quiet: 0,
        }
    }
}

/// By what a self part that the sequencer writes is newer than others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) hlc: Hlc,
    pub(super) node: u32,
}

impl Stamp {
    pub(super) fn of(header: &EntryHeader) -> Self {
        Self {
            hlc: Hlc::from_u64(header.hlc),
            node: MessageId::from_slice(&header.id).map_or(0, |id| id.node.0),
        }
    }
}

/// The self part of a member who begins anew. It has to win every merge with the
/// one before, which an edge may have stamped ahead of the log.
pub(super) fn named(stamp: Stamp, before: &MemberSelf, nick: String) -> MemberSelf {
    MemberSelf {
        hlc: stamp.hlc.max(Hlc::from_u64(before.hlc).next()).as_u64(),
        node: stamp.node,
        nick,
        ..MemberSelf::default()
    }
}

impl ShardApply {
    pub(super) fn group_value(
        &mut self,
        group: &GroupId,
    ) -> Result<Option<GroupValue>, ApplyError> {
        match self.view.row(group, RowKey::Group)?.and_then(|r| r.value) {
            None => Ok(None),
            Some(row::Value::Group(value)) => Ok(Some(value)),
            Some(_) => Err(mismatch(group, "group")),
        }
    }

    pub(super) fn member(
        &mut self,
        group: &GroupId,
        user: &UserId,
    ) -> Result<Option<MemberValue>, ApplyError> {
        let row = self.view.row(group, RowKey::Member(*user))?;
        match row.and_then(|r| r.value) {
            None => Ok(None),
            Some(row::Value::Member(value)) => Ok(Some(value)),
            Some(_) => Err(mismatch(group, "member")),
        }
    }

    pub(super) fn put_group_value(
        &mut self,
        group: GroupId,
        value: GroupValue,
    ) -> Result<(), ApplyError> {
        let row = Row {
            key: RowKey::Group.to_bytes(),
            value: Some(row::Value::Group(value)),
        };
        self.view.put_row(group, RowKey::Group, row, false)
    }

    pub(super) fn put_member(
        &mut self,
        group: GroupId,
        user: UserId,
        authority: MemberAuthority,
        own: MemberSelf,
    ) -> Result<(), ApplyError> {
        let key = RowKey::Member(user);
        let row = Row {
            key: key.to_bytes(),
            value: Some(row::Value::Member(MemberValue {
                authority: Some(authority),
                self_: Some(own),
            })),
        };
        self.view.put_row(group, key, row, false)
    }

    pub(super) fn put_bytes_row(
        &mut self,
        group: GroupId,
        key: RowKey,
        document: Vec<u8>,
    ) -> Result<(), ApplyError> {
        let row = Row {
            key: key.to_bytes(),
            value: Some(row::Value::Profile(Bytes::from(document))),
        };
        self.view.put_row(group, key, row, false)
    }
}

pub(super) fn mismatch(group: &GroupId, kind: &str) -> ApplyError {
    ApplyError::Corrupt {
        group: *group,
        what: format!("a {kind} row holds another kind of value"),
    }
}
