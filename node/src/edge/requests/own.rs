//! The profile document, and one's own settings in a group.

use std::sync::Arc;

use folkmoot_wire::proto::{
    Ok as Done, Profile, SelfRowChange, SelfRows, UpdateSelf, command, outcome, row, server_frame,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, Fault};

use super::group_id;
use crate::edge::session::Session;

pub(super) async fn get_profile(
    session: &Session,
    group: &[u8],
) -> Result<server_frame::Body, Fault> {
    let group = group_id(group)?;
    session.member(group).await?;
    let row = session.core.backend.row(group, RowKey::Profile).await?;
    let document = match row.and_then(|r| r.value) {
        Some(row::Value::Profile(document)) => document,
        _ => return Err(Fault::new(Code::NotFound, "the group has no profile")),
    };
    Ok(server_frame::Body::Profile(Profile {
        group: group.to_bytes(),
        document,
    }))
}

/// Settings only: the nick is changed by a rename, which is an entry.
pub(super) async fn update_self(
    session: &Arc<Session>,
    request: UpdateSelf,
) -> Result<server_frame::Body, Fault> {
    let group = group_id(&request.group)?;
    session.member(group).await?;
    let Some(mut own) = request.self_ else {
        return Err(Fault::new(Code::Invalid, "self is missing"));
    };
    let backend = &session.core.backend;
    // The edge's stamp, never the client's clock, orders the writers.
    own.hlc = backend.stamp()?.as_u64();
    own.node = backend.node().0;
    own.nick = String::new();
    let op = command::Op::SelfRows(SelfRows {
        changes: vec![SelfRowChange {
            user: session.user.to_bytes(),
            self_: Some(own),
        }],
    });
    match backend.propose(group, op).await?.result {
        Some(outcome::Result::Rejected(rejected)) => Err(Fault::new(
            Code::from_u32(rejected.code).unwrap_or(Code::Internal),
            rejected.detail,
        )),
        _ => Ok(server_frame::Body::Ok(Done {})),
    }
}
