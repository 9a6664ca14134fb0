//! The shards, as the asked node sees them, and splitting one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use folkmoot_replication::placement::Shard;
use folkmoot_wire::{Code, Fault, NodeId, ShardId, Slot};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Refusal};
use crate::cluster::parts::StatusSource;

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let node = &admin.running.node;
    let placement = node.view.placement();
    let status = node.status();
    let shards: Vec<Value> = placement
        .shards()
        .map(|shard| {
            let here = status.shards.iter().find(|s| s.shard == shard.id.0);
            let replica = node.voters.get(shard.id);
            let behind = replica.as_ref().and_then(|replica| replica.behind().into_values().max());
            let membership = replica.map(|replica| replica.raft.membership());
            let upstream = node
                .followers
                .get(shard.id)
                .and_then(|follower| follower.status().upstream);
            json!({
                "shard": shard.id.0,
                "region": placement.region_name(shard.region).unwrap_or_default(),
                "slots": slots(shard.slots),
                "split": split(shard),
                "unborn": shard.unborn,
                "voters": shard.voters.iter().map(|n| n.0).collect::<Vec<_>>(),
                "next": shard.next.iter().map(|n| n.0).collect::<Vec<_>>(),
                "joint": membership.as_ref().is_some_and(|now| now.joint),
                "learners": membership.map_or_else(Vec::new, |now| now.learners.iter().map(|n| n.0).collect()),
                "leader": here.map_or(0, |s| s.leader),
                "term": here.map_or(0, |s| s.term),
                "applied": here.map_or(0, |s| s.last_applied),
                "behind": behind.unwrap_or(0),
                "watermark": here.map_or(0, |s| s.followed),
                "followers": here.map_or(0, |s| s.followers),
                "upstream": upstream.map_or(0, |NodeId(n)| n),
            })
        })
        .collect();
    Json(json!({ "shards": shards }))
}

fn slots((first, last): (Slot, Slot)) -> String {
    format!("{first}-{last}")
}

/// What a shard has to do with a split, in words.
fn split(shard: &Shard) -> String {
    if let Some(child) = shard.child {
        return format!("loses slots to {child}");
    }
    match shard.parent {
        Some(parent) if shard.unborn => format!("about to be split off from {parent}"),
        Some(parent) => format!("split off from {parent}"),
        None => String::new(),
    }
}

#[derive(Deserialize)]
pub(super) struct Split {
    /// The first slot of the new shard; without it the middle.
    at: Option<u16>,
}

/// Has a shard split. Returns once that is decided.
pub(super) async fn split_shard(
    State(admin): State<Arc<Admin>>,
    Path(shard): Path<String>,
    Json(request): Json<Split>,
) -> Result<Json<Value>, Refusal> {
    let number = shard.parse().map_err(|_| {
        let detail = format!("{shard:?} is not the number of a shard");
        Fault::new(Code::Invalid, detail)
    })?;
    let at = request.at.map(Slot);
    let node = &admin.running.node;
    let split = node.split_shard(ShardId(number), at).await?;
    Ok(Json(json!({
        "shard": split.shard.0,
        "keeps": slots(split.keeps),
        "new_shard": split.child.0,
        "slots": slots(split.slots),
    })))
}
