//! New groups.

use std::sync::Arc;

use folkmoot_wire::proto::{
    Append, CreateBody, CreateGroup, GroupCreated, GroupKind, Kind, OpenDirect, Outcome, command,
    outcome, server_frame,
};
use folkmoot_wire::{Code, Fault, GroupId, RegionId, Slot, limits};
use prost::Message;

use super::send::check_id;
use super::user_id;
use crate::edge::session::Session;

pub(super) async fn create_group(
    session: &Arc<Session>,
    request: CreateGroup,
) -> Result<server_frame::Body, Fault> {
    check_id(&request.client_msg_id)?;
    check_len("name", &request.name, limits::NAME_MAX)?;
    check_len("nick", &request.nick, limits::NICK_MAX)?;
    if request.member_cap > limits::MEMBER_CAP_MAX {
        let detail = format!("member_cap is {} at most", limits::MEMBER_CAP_MAX);
        return Err(Fault::new(Code::Invalid, detail));
    }
    let group = group_for(
        session,
        home(session, &request.region)?,
        &request.client_msg_id,
    );
    let body = CreateBody {
        kind: GroupKind::Group as i32,
        name: request.name,
        member_cap: request.member_cap,
        history_from_join: request.history_from_join,
        nick: request.nick,
        open: request.open,
    };
    let append = Append {
        client_msg_id: request.client_msg_id,
        kind: Kind::Create as i32,
        body: body.encode_to_vec().into(),
        ..session.append()?
    };
    let op = command::Op::Append(append);
    created(group, session.core.backend.propose(group, op).await?)
}

fn check_len(field: &str, text: &str, most: usize) -> Result<(), Fault> {
    if text.len() > most {
        let detail = format!("{field}: {} of {most} bytes", text.len());
        return Err(Fault::new(Code::TooLarge, detail));
    }
    Ok(())
}

fn home(session: &Session, region: &str) -> Result<RegionId, Fault> {
    let backend = &session.core.backend;
    let name = match region {
        "" => backend.region(),
        name => name.to_owned(),
    };
    let id = backend.placement().region_id(&name);
    id.ok_or_else(|| Fault::new(Code::UnknownRegion, name))
}

/// The id of the group that this request makes: drawn from what a retry has
/// in common with the first attempt, so that both make one group.
fn group_for(session: &Session, home: RegionId, client_msg_id: &[u8]) -> GroupId {
    let mut hasher = blake3::Hasher::new_derive_key("folkmoot v1 group id");
    hasher.update(session.user.as_bytes());
    hasher.update(&session.device.0.to_be_bytes());
    hasher.update(client_msg_id);
    let hash = hasher.finalize();
    let bytes = hash.as_bytes();
    let slot = Slot(u16::from_be_bytes([bytes[0], bytes[1]]));
    let mut unique = [0; 11];
    unique.copy_from_slice(&bytes[2..13]);
    GroupId::new(home, slot, unique)
}

fn created(group: GroupId, outcome: Outcome) -> Result<server_frame::Body, Fault> {
    match outcome.result {
        Some(outcome::Result::Committed(committed)) => {
            Ok(server_frame::Body::GroupCreated(GroupCreated {
                group: group.to_bytes(),
                seq: committed.seq,
            }))
        }
        Some(outcome::Result::Rejected(rejected)) => Err(Fault::new(
            Code::from_u32(rejected.code).unwrap_or(Code::Internal),
            rejected.detail,
        )),
        _ => Err(Fault::new(Code::Internal, "a strange outcome")),
    }
}

/// The direct group with somebody; opened when it is not there yet.
pub(super) async fn open_direct(
    session: &Arc<Session>,
    request: &OpenDirect,
) -> Result<server_frame::Body, Fault> {
    check_id(&request.client_msg_id)?;
    let peer = user_id(&request.peer)?;
    if peer == session.user {
        return Err(Fault::new(Code::Invalid, "a direct group has two members"));
    }
    let backend = &session.core.backend;
    // A user without a self group was never minted.
    if backend.head(peer.self_group()).await?.is_none() {
        return Err(Fault::new(Code::NotFound, "there is no such user"));
    }
    let group = GroupId::direct(&session.user, &peer);
    let body = CreateBody {
        kind: GroupKind::Direct as i32,
        ..CreateBody::default()
    };
    let append = Append {
        client_msg_id: request.client_msg_id.clone(),
        kind: Kind::Create as i32,
        body: body.encode_to_vec().into(),
        subject: peer.to_bytes(),
        ..session.append()?
    };
    let outcome = backend.propose(group, command::Op::Append(append)).await;
    match outcome.and_then(|outcome| created(group, outcome)) {
        Err(fault) if fault.code == Code::AlreadyExists => {
            Ok(server_frame::Body::GroupCreated(GroupCreated {
                group: group.to_bytes(),
                seq: 1,
            }))
        }
        answer => answer,
    }
}
