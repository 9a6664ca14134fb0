//! Between the messages of the wire and the values that merge.

use folkmoot_crdt::counts::Running;
use folkmoot_crdt::cursor::Cursor;
use folkmoot_crdt::digest::{LEN, RowSetDigest};
use folkmoot_crdt::hlc::Hlc;
use folkmoot_crdt::member::{Authority, Member, Role, SelfPart, Status};

use crate::id::GroupId;
use crate::proto;
use crate::row::RowError;

impl proto::GroupPush {
    /// Tells followers that a group went to another shard.
    #[must_use]
    pub fn of_move(group: &GroupId, moved: proto::GroupMoved) -> Self {
        Self {
            group: group.to_bytes(),
            moved: Some(moved),
            ..Self::default()
        }
    }
}

impl From<&proto::CursorValue> for Cursor {
    fn from(value: &proto::CursorValue) -> Self {
        Self {
            seq: value.seq,
            count: value.count,
            at_all: value.at_all,
        }
    }
}

impl From<&Cursor> for proto::CursorValue {
    fn from(cursor: &Cursor) -> Self {
        Self {
            seq: cursor.seq,
            count: cursor.count,
            at_all: cursor.at_all,
        }
    }
}

impl From<&proto::EntryHeader> for Running {
    /// The running counts at an entry.
    fn from(header: &proto::EntryHeader) -> Self {
        Self {
            count: header.count,
            at_all: header.at_all,
        }
    }
}

impl From<&proto::Head> for Running {
    /// The running counts at the head.
    fn from(head: &proto::Head) -> Self {
        Self {
            count: head.count,
            at_all: head.at_all,
        }
    }
}

impl TryFrom<&proto::MemberAuthority> for Authority {
    type Error = RowError;

    fn try_from(value: &proto::MemberAuthority) -> Result<Self, RowError> {
        let unknown = |field, number| RowError::Number { field, number };
        Ok(Self {
            seq: value.seq,
            quiet: value.quiet,
            status: Status::from_number(value.status)
                .ok_or_else(|| unknown("status", value.status))?,
            role: Role::from_number(value.role).ok_or_else(|| unknown("role", value.role))?,
            muted_until_ms: value.muted_until_ms,
            visible_from: value.visible_from,
            cursor_base: value.cursor_base,
        })
    }
}

impl From<&Authority> for proto::MemberAuthority {
    fn from(authority: &Authority) -> Self {
        Self {
            seq: authority.seq,
            quiet: authority.quiet,
            status: authority.status as i32,
            role: authority.role as i32,
            muted_until_ms: authority.muted_until_ms,
            visible_from: authority.visible_from,
            cursor_base: authority.cursor_base,
        }
    }
}

impl From<&proto::MemberSelf> for SelfPart {
    fn from(value: &proto::MemberSelf) -> Self {
        Self {
            hlc: Hlc::from_u64(value.hlc),
            node: value.node,
            nick: value.nick.clone(),
            muted: value.muted,
            pinned: value.pinned,
            hidden: value.hidden,
        }
    }
}

impl From<&SelfPart> for proto::MemberSelf {
    fn from(own: &SelfPart) -> Self {
        Self {
            hlc: own.hlc.as_u64(),
            node: own.node,
            nick: own.nick.clone(),
            muted: own.muted,
            pinned: own.pinned,
            hidden: own.hidden,
        }
    }
}

impl TryFrom<&proto::MemberValue> for Member {
    type Error = RowError;

    /// A part that is absent is the default one.
    fn try_from(value: &proto::MemberValue) -> Result<Self, RowError> {
        Ok(Self {
            authority: match &value.authority {
                Some(authority) => authority.try_into()?,
                None => Authority::default(),
            },
            own: value.self_.as_ref().map(SelfPart::from).unwrap_or_default(),
        })
    }
}

impl From<&Member> for proto::MemberValue {
    /// Both parts are always present: one value has one form.
    fn from(member: &Member) -> Self {
        Self {
            authority: Some((&member.authority).into()),
            self_: Some((&member.own).into()),
        }
    }
}

impl TryFrom<&proto::Head> for RowSetDigest {
    type Error = RowError;

    /// The digest of a group's rows; that of no rows when the head has none.
    fn try_from(head: &proto::Head) -> Result<Self, RowError> {
        let sum = if head.rows_digest.is_empty() {
            [0; LEN]
        } else {
            head.rows_digest
                .as_ref()
                .try_into()
                .map_err(|_| RowError::DigestLength(head.rows_digest.len()))?
        };
        Ok(Self {
            sum,
            count: head.rows_count,
        })
    }
}
