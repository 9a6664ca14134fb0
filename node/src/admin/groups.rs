//! Groups, for operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::{
    Append, CreateBody, FetchLog, GroupHeads, GroupKind, Head, Kind, ListGroupsOnNode, LogSlice,
    command, node_reply, node_request, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{ClientMsgId, Code, Fault, GroupId, MessageId, NodeId, Slot, limits};
use prost::Message;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Refusal, copies};
use crate::backend::{Backend, LogRange};
use crate::cluster::peers::Class;
use crate::entry_json::EntryLine;

/// Realm of the users that operators act as.
const OPERATORS: &str = "folkmoot-operators";

#[derive(Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    after: String,
    #[serde(default)]
    limit: u32,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Refusal> {
    let node = &admin.running.node;
    let limit = if query.limit == 0 {
        limits::PAGE_ROWS
    } else {
        query.limit
    };
    let mut after = match query.after.as_str() {
        "" => Bytes::new(),
        text => after(text)?,
    };
    let mut groups = Vec::new();
    // Self groups are private to their users and not listed.
    loop {
        let list = ListGroupsOnNode {
            after: after.clone(),
            limit: limit.saturating_sub(groups.len() as u32),
        };
        let GroupHeads { heads, next } = node.reads.list(&node.view.placement(), &list)?;
        for held in heads {
            let group = GroupId::from_slice(&held.group)
                .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
            if group.self_user().is_none() {
                groups.push(summary(&admin, group, held.head.unwrap_or_default()).await?);
            }
        }
        after = next;
        if after.is_empty() || groups.len() >= limit as usize {
            break;
        }
    }
    Ok(Json(
        json!({ "groups": groups, "next": hex::encode(after) }),
    ))
}

#[derive(Deserialize)]
pub(super) struct ShowQuery {
    /// Node number or name: its own copy. Empty: as this node sees the group,
    /// from wherever it is.
    #[serde(default)]
    node: String,
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(group): Path<String>,
    Query(query): Query<ShowQuery>,
) -> Result<Json<Value>, Refusal> {
    let group = parse(&group)?;
    if !query.node.is_empty() {
        let at = find_node(&admin, &query.node)?;
        return Ok(Json(copies::show(&admin, group, at).await?));
    }
    let head = admin
        .running
        .node
        .backend
        .head(group)
        .await?
        .ok_or(Code::NotFound)?;
    Ok(Json(summary(&admin, group, head).await?))
}

async fn summary(admin: &Admin, group: GroupId, head: Head) -> Result<Value, Fault> {
    let node = &admin.running.node;
    let value = match node
        .backend
        .row(group, RowKey::Group)
        .await?
        .and_then(|r| r.value)
    {
        Some(row::Value::Group(value)) => value,
        _ => folkmoot_wire::proto::GroupValue::default(),
    };
    let placement = node.view.placement();
    let shard = node.view.home_of(&group);
    Ok(json!({
        "group": group.to_string(),
        "name": value.name,
        "home": shard.as_ref().and_then(|shard| placement.region_name(shard.region)).unwrap_or_default(),
        "born": placement.region_name(group.region()).unwrap_or_default(),
        "shard": shard.map_or(0, |shard| shard.id.0),
        "members": value.member_count,
        "member_cap": value.member_cap,
        "open": value.open,
        "dissolved": value.dissolved,
        "seq": head.seq,
        "count": head.count,
        "hlc": Hlc::from_u64(head.hlc).to_string(),
        "chain": hex::encode(&head.chain),
        "rows": head.rows_count,
        "rows_digest": hex::encode(&head.rows_digest),
        "version": head.version,
    }))
}

#[derive(Deserialize)]
pub(super) struct CreateRequest {
    name: String,
    #[serde(default)]
    region: String,
    /// Subject of the owner; empty: the operator.
    #[serde(default)]
    owner: String,
    /// Realm of the owner; empty: the issuer of clients' tokens.
    #[serde(default)]
    nick: String,
    #[serde(default = "yes")]
    open: bool,
    #[serde(default)]
    member_cap: u32,
}

fn yes() -> bool {
    true
}

pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    Json(request): Json<CreateRequest>,
) -> Result<Json<Value>, Refusal> {
    let running = &admin.running;
    let backend = &running.node.backend;
    let placement = backend.placement();
    let region = match request.region.as_str() {
        "" => &running.identity.region,
        region => region,
    };
    let region = placement.region_id(region).ok_or(Code::UnknownRegion)?;
    let owner = match request.owner.as_str() {
        "" => backend.resolve_user(OPERATORS, "operator").await?,
        subject => backend.resolve_user(&running.issuer, subject).await?,
    };
    let mut random = [0; 37];
    backend.random(&mut random);
    let mut unique = [0; 11];
    unique.copy_from_slice(&random[2..13]);
    let slot = Slot(u16::from_be_bytes([random[0], random[1]]));
    let group = GroupId::new(region, slot, unique);
    let stamp = backend.stamp()?;
    let mut own = [0; 8];
    own.copy_from_slice(&random[13..21]);
    let body = CreateBody {
        kind: GroupKind::Group as i32,
        name: request.name,
        member_cap: request.member_cap,
        open: request.open,
        nick: request.nick,
        history_from_join: false,
    };
    let append = Append {
        id: MessageId {
            hlc: stamp,
            node: backend.node(),
        }
        .to_bytes(),
        sender: owner.to_bytes(),
        client_msg_id: ClientMsgId::new(stamp, u64::from_be_bytes(own)).to_bytes(),
        kind: Kind::Create as i32,
        salt: Bytes::copy_from_slice(&random[21..37]),
        body: body.encode_to_vec().into(),
        ..Append::default()
    };
    backend.propose(group, command::Op::Append(append)).await?;
    Ok(Json(
        json!({ "group": group.to_string(), "owner": owner.to_string() }),
    ))
}

#[derive(Deserialize)]
pub(super) struct LogQuery {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    limit: u32,
    /// Node number or name; empty: this one.
    #[serde(default)]
    node: String,
}

/// The log as one node serves it, from its own copy.
pub(super) async fn log(
    State(admin): State<Arc<Admin>>,
    Path(group): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Value>, Refusal> {
    let group = parse(&group)?;
    let slice = read_log(&admin, group, &query).await?;
    let entries: Vec<EntryLine> = slice.entries.iter().filter_map(EntryLine::of).collect();
    let head = slice.head.unwrap_or_default();
    Ok(Json(json!({
        "group": group.to_string(),
        "head": head.seq,
        "entries": entries,
    })))
}

async fn read_log(admin: &Admin, group: GroupId, query: &LogQuery) -> Result<LogSlice, Fault> {
    let node = &admin.running.node;
    let at = find_node(admin, &query.node)?;
    if at == NodeId(admin.running.identity.node) {
        let range = LogRange {
            after: query.after,
            before: 0,
            limit: query.limit.max(1),
            max_bytes: limits::PAGE_BYTES,
            backward: false,
            reader: None,
        };
        let page = node.reads.log(&node.view.place_of(&group), range);
        return page.map(LogSlice::from);
    }
    let request = node_request::Request::FetchLog(FetchLog {
        group: group.to_bytes(),
        after: query.after,
        before: 0,
        limit: query.limit.max(1),
        max_bytes: limits::PAGE_BYTES as u32,
        backward: false,
        shard: node.view.home_of(&group).map_or(0, |shard| shard.id.0),
        ..FetchLog::default()
    });
    match node
        .peers
        .call(at, Class::Bulk, request, limits::RPC_DEADLINE)
        .await?
    {
        node_reply::Reply::Log(slice) => Ok(slice),
        _ => Err(Code::Internal.into()),
    }
}

pub(super) fn find_node(admin: &Admin, text: &str) -> Result<NodeId, Fault> {
    if text.is_empty() {
        return Ok(NodeId(admin.running.identity.node));
    }
    let placement = admin.running.node.view.placement();
    let found = placement
        .nodes()
        .find(|(id, record)| id.to_string() == text || record.name == text)
        .map(|(id, _)| id);
    found.ok_or_else(|| Fault::new(Code::Invalid, format!("no node is called {text}")))
}

/// Where a page of the list goes on: the group, or what the page ended with.
fn after(text: &str) -> Result<Bytes, Fault> {
    match text.parse::<GroupId>() {
        Ok(group) => Ok(group.to_bytes()),
        Err(_) => hex::decode(text).map(Bytes::from).map_err(|_| {
            Fault::new(
                Code::Invalid,
                "after is neither a group nor the next of a page",
            )
        }),
    }
}

pub(super) fn parse(text: &str) -> Result<GroupId, Fault> {
    text.parse()
        .map_err(|error: folkmoot_wire::id::IdError| Fault::new(Code::Invalid, error.to_string()))
}
