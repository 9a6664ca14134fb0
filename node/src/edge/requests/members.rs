//! Members by page.

use bytes::Bytes;
use folkmoot_wire::proto::{
    GetMembers, Member, MemberStatus, MemberValue, Members, row, server_frame,
};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Code, Fault, UserId, limits};

use super::group_id;
use crate::edge::fanout::seen_by_others;
use crate::edge::session::Session;

/// A page; its token is the last user id seen, opaque to clients.
pub(super) async fn get_members(
    session: &Session,
    request: &GetMembers,
) -> Result<server_frame::Body, Fault> {
    let group = group_id(&request.group)?;
    session.member(group).await?;
    let after = match request.page.len() {
        0 => Bytes::new(),
        _ => UserId::from_slice(&request.page)
            .map(|user| RowKey::Member(user).to_bytes())
            .map_err(|_| Fault::new(Code::Invalid, "page is not a token of an earlier answer"))?,
    };
    let limit = match request.limit {
        0 => limits::PAGE_ROWS,
        limit => limit.min(limits::PAGE_ROWS),
    };
    let backend = &session.core.backend;
    let kind = Some(RowKind::Member);
    let (rows, more) = backend.rows(group, kind, after, limit).await?;
    let mut members = Vec::with_capacity(rows.len());
    let mut last = None;
    for row in rows {
        let (Ok(RowKey::Member(user)), Some(row::Value::Member(value))) =
            (RowKey::from_slice(&row.key), row.value)
        else {
            continue;
        };
        last = Some(user);
        if is_member(&value) {
            members.push(Member {
                user: user.to_bytes(),
                value: Some(as_seen_by(&session.user, &user, value)),
            });
        }
    }
    let next = match last {
        Some(user) if !more.is_empty() => user.to_bytes(),
        _ => Bytes::new(),
    };
    Ok(server_frame::Body::Members(Members {
        group: group.to_bytes(),
        members,
        next,
    }))
}

fn is_member(value: &MemberValue) -> bool {
    let authority = value.authority.as_ref();
    authority.is_some_and(|a| a.status() == MemberStatus::Member)
}

fn as_seen_by(viewer: &UserId, user: &UserId, mut value: MemberValue) -> MemberValue {
    if viewer != user
        && let Some(own) = &mut value.self_
    {
        *own = seen_by_others(own);
    }
    value
}
