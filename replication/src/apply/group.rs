//! Typed access to the rows that apply decides by.

use bytes::Bytes;
use folkmoot_wire::proto::{GroupValue, MemberAuthority, MemberSelf, MemberValue, Row, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{GroupId, UserId};

use super::{ApplyError, ShardApply};

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
