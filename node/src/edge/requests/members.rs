//! Members by page.

use bytes::Bytes;
use folkmoot_storage::Sorted;
use folkmoot_wire::proto::{
    GetMembers, Member, MemberOrder, MemberValue, Members, Role, RoleCount, Row, row, server_frame,
};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Fault, GroupId, UserId, limits};

use super::{group_id, invalid};
use crate::backend::{MembersWanted, is_member};
use crate::edge::fanout::seen_by_others;
use crate::edge::session::Session;

/// A page. Its token is opaque to clients: by user it is the last user id seen,
/// else what the index said.
pub(super) async fn get_members(
    session: &Session,
    request: &GetMembers,
) -> Result<server_frame::Body, Fault> {
    let group = group_id(&request.group)?;
    session.member(group).await?;
    let answer = match sorted(request)? {
        None => by_user(session, group, request).await?,
        Some(sorted) => by_index(session, group, request, sorted).await?,
    };
    Ok(server_frame::Body::Members(answer))
}

fn forged() -> Fault {
    invalid("page is not a token of an earlier answer to this question")
}

fn limit(request: &GetMembers) -> u32 {
    match request.limit {
        0 => limits::PAGE_ROWS,
        limit => limit.min(limits::PAGE_ROWS),
    }
}

/// What is asked of the index; none: by user it is not needed.
fn sorted(request: &GetMembers) -> Result<Option<Sorted>, Fault> {
    let order = MemberOrder::try_from(request.order)
        .map_err(|_| invalid("order is not known to this version"))?;
    if order != MemberOrder::Role && request.role != 0 {
        return Err(invalid("role goes with the order by role"));
    }
    if order != MemberOrder::Nick && !request.prefix.is_empty() {
        return Err(invalid("prefix goes with the order by nick"));
    }
    match order {
        MemberOrder::User => Ok(None),
        MemberOrder::Role => match Role::try_from(request.role) {
            Ok(role) if role != Role::None => Ok(Some(Sorted::Role(role as u8))),
            _ => Err(invalid("the order by role wants one of the roles")),
        },
        MemberOrder::Nick if request.prefix.len() > limits::NICK_MAX => {
            Err(invalid("prefix is longer than any nick"))
        }
        MemberOrder::Nick => Ok(Some(Sorted::Nick(request.prefix.clone()))),
    }
}

async fn by_user(
    session: &Session,
    group: GroupId,
    request: &GetMembers,
) -> Result<Members, Fault> {
    let after = match request.page.len() {
        0 => Bytes::new(),
        _ => UserId::from_slice(&request.page)
            .map(|user| RowKey::Member(user).to_bytes())
            .map_err(|_| forged())?,
    };
    let backend = &session.core.backend;
    let kind = Some(RowKind::Member);
    let (rows, more) = backend.rows(group, kind, after, limit(request)).await?;
    let last = rows.last().and_then(user_of);
    let next = match last {
        Some(user) if !more.is_empty() => user.to_bytes(),
        _ => Bytes::new(),
    };
    Ok(Members {
        group: group.to_bytes(),
        members: seen(session, rows),
        next,
        counts: Vec::new(),
    })
}

async fn by_index(
    session: &Session,
    group: GroupId,
    request: &GetMembers,
    sorted: Sorted,
) -> Result<Members, Fault> {
    if request.page.len() > limits::MEMBER_PAGE_TOKEN {
        return Err(forged());
    }
    let wanted = MembersWanted {
        sorted,
        after: request.page.clone(),
        limit: limit(request),
    };
    let found = session.core.backend.members(group, &wanted).await?;
    let counts = match request.page.is_empty() {
        true => counts(&found.by_role),
        false => Vec::new(),
    };
    Ok(Members {
        group: group.to_bytes(),
        members: seen(session, found.rows),
        next: found.next,
        counts,
    })
}

fn counts(by_role: &[u64]) -> Vec<RoleCount> {
    let numbered = (0..).zip(by_role);
    let some = numbered.filter(|(_, members)| **members > 0);
    some.map(|(role, &members)| RoleCount { role, members })
        .collect()
}

fn user_of(row: &Row) -> Option<UserId> {
    match RowKey::from_slice(&row.key) {
        Ok(RowKey::Member(user)) => Some(user),
        _ => None,
    }
}

/// Those of the rows that are members', as this session's user sees them.
pub(super) fn seen(session: &Session, rows: Vec<Row>) -> Vec<Member> {
    let member = |row: Row| {
        let user = user_of(&row)?;
        let Some(row::Value::Member(value)) = row.value else {
            return None;
        };
        is_member(&value).then(|| Member {
            user: user.to_bytes(),
            value: Some(as_seen_by(&session.user, &user, value)),
        })
    };
    rows.into_iter().filter_map(member).collect()
}

fn as_seen_by(viewer: &UserId, user: &UserId, mut value: MemberValue) -> MemberValue {
    if viewer != user
        && let Some(own) = &mut value.self_
    {
        *own = seen_by_others(own);
    }
    value
}
