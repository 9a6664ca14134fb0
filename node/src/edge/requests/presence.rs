//! Who of a group is there, and who is writing.

use std::collections::BTreeSet;

use folkmoot_wire::proto::{Ok as Done, Presences, Typing, WatchPresence, server_frame};
use folkmoot_wire::{Code, Fault, GroupId, UserId, limits};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{group_id, invalid, user_id};
use crate::edge::session::Session;

/// Members looked up at once.
const AT_ONCE: usize = 16;

/// The group, which the session has active: that it is a member is looked
/// after then.
fn active(session: &Session, group: &[u8]) -> Result<GroupId, Fault> {
    let group = group_id(group)?;
    match session.core.fanout.is_active(&session.link, &group) {
        true => Ok(group),
        false => Err(invalid("the group is not active: activate it first")),
    }
}

pub(super) async fn watch(
    session: &Session,
    request: &WatchPresence,
) -> Result<server_frame::Body, Fault> {
    let group = active(session, &request.group)?;
    let most = limits::WATCHED_USERS;
    let too_many = || invalid(format!("a session may watch {most} people"));
    if request.users.len() > most {
        return Err(too_many());
    }
    let users = request.users.iter().map(|user| user_id(user));
    let users: BTreeSet<UserId> = users.collect::<Result<_, _>>()?;
    // Nobody is told of people whom they share no group with.
    let members: Vec<Option<UserId>> = stream::iter(users)
        .map(|user| async move {
            let is_member = session.core.is_member(group, user).await?;
            Ok::<_, Fault>(is_member.then_some(user))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let members = members.into_iter().flatten().collect();
    let known = session.core.presence.watch(&session.link, group, members);
    Ok(server_frame::Body::Presences(Presences {
        group: group.to_bytes(),
        users: known.map_err(|_| too_many())?,
    }))
}

pub(super) async fn typing(
    session: &Session,
    request: &Typing,
) -> Result<server_frame::Body, Fault> {
    let group = active(session, &request.group)?;
    let members = session.group_value(group).await?.member_count;
    if members > limits::SMALL_GROUP {
        let most = limits::SMALL_GROUP;
        let detail = format!("who is writing is shown in groups of up to {most} members");
        return Err(invalid(detail));
    }
    let me = session.member(group).await?.authority.unwrap_or_default();
    if me.muted_until_ms > session.core.backend.wall_ms() {
        return Err(Code::Muted.into());
    }
    let presence = &session.core.presence;
    presence.types(&session.link, (!request.stopped).then_some(group));
    Ok(server_frame::Body::Ok(Done {}))
}
