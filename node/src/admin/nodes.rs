//! The nodes of the cluster, and how one leaves it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use folkmoot_gossip::MemberState;
use folkmoot_wire::proto::{DrainNode, MetaCommand, RemoveNode, meta_command::Op};
use folkmoot_wire::{Code, Fault, NodeId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::groups::find_node;
use super::{Admin, Refusal};

fn state_name(state: MemberState) -> &'static str {
    match state {
        MemberState::Alive => "alive",
        MemberState::Suspect => "suspect",
        MemberState::Dead => "dead",
        MemberState::Left => "left",
        MemberState::Draining => "draining",
    }
}

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let node = &admin.running.node;
    let members = node.view.members();
    let placement = node.view.placement();
    let nodes: Vec<Value> = placement
        .nodes()
        .map(|(id, record)| {
            let member = members.iter().find(|member| member.node == id);
            json!({
                "node": id.0,
                "name": record.name,
                "region": record.region,
                "address": record.quic_addr,
                "gossip": record.gossip_addr,
                "admin": record.admin_addr,
                "state": member.map_or("unknown", |member| state_name(member.state)),
                "draining": record.draining,
                "replicas": replicas(&admin, id),
                "incarnation": member.map_or(0, |member| member.incarnation),
                "joined_ms": record.joined_ms,
            })
        })
        .collect();
    Json(json!({ "nodes": nodes }))
}

/// Shards that the node votes on, or may, the meta shard among them.
fn replicas(admin: &Admin, node: NodeId) -> usize {
    let placement = admin.running.node.view.placement();
    let shards = placement.all_shards();
    shards
        .filter(|shard| shard.replicas.contains(&node))
        .count()
}

#[derive(Deserialize)]
pub(super) struct DrainRequest {
    #[serde(default)]
    undo: bool,
}

/// Moves everything off a node, or no longer. Returns at once; the cluster
/// remembers it, so nobody has to wait for it.
pub(super) async fn drain(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Json(request): Json<DrainRequest>,
) -> Result<Json<Value>, Refusal> {
    let node = find_node(&admin, &name)?;
    let draining = !request.undo;
    let known = admin.running.node.view.placement();
    let before = known.node(node).is_some_and(|record| record.draining);
    if draining && !before {
        check_survival(&admin, node)?;
    }
    let node = node.0;
    run(&admin, Op::DrainNode(DrainNode { node, draining })).await?;
    Ok(Json(json!({
        "node": node,
        "draining": draining,
        "replicas": replicas(&admin, NodeId(node)),
    })))
}

/// The node has left for good.
pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let node = find_node(&admin, &name)?;
    check_survival(&admin, node)?;
    run(&admin, Op::RemoveNode(RemoveNode { node: node.0 })).await?;
    Ok(Json(json!({ "node": node.0, "left": true })))
}

fn check_survival(admin: &Admin, node: NodeId) -> Result<(), Fault> {
    let lost = admin.running.node.lost_without(node);
    if lost.is_empty() {
        return Ok(());
    }
    let lost = lost.join("; ");
    let detail = format!("node {node} is needed. Without it: {lost}");
    Err(Fault::new(Code::Invalid, detail))
}

pub(super) async fn run(admin: &Admin, op: Op) -> Result<(), Fault> {
    let node = &admin.running.node;
    let command = MetaCommand {
        now_ms: node.stamps.wall_ms(),
        op: Some(op),
    };
    node.router.meta(&node.meta, command).await.map(|_| ())
}
