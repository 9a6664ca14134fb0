//! The regions of the cluster, and what their shards survive.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use folkmoot_replication::meta::FOUNDER;
use folkmoot_replication::placement::Placement;
use folkmoot_replication::placement::plan::{Survives, survives};
use folkmoot_wire::proto::{RegionRecord, SetGoal, meta_command::Op};
use folkmoot_wire::{Code, Fault, ShardId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::nodes::run;
use super::{Admin, Refusal};
use crate::survival;

/// What the shards of a region survive, each of them; `None`: it has none yet.
fn of_region(placement: &Placement, region: &RegionRecord) -> Option<Survives> {
    let shards = placement.shards();
    let here = shards.filter(|shard| u32::from(shard.region.0) == region.id);
    here.map(|shard| survives(placement, shard)).min()
}

/// What the cluster as it stands does not survive, in words.
pub(super) fn not_survived(placement: &Placement) -> Vec<String> {
    let meta = placement.shard(ShardId::META).map(|meta| &meta.voters[..]);
    let meta = match meta {
        Some([alone]) if placement.nodes().count() > 1 => Some(format!(
            "the meta shard has one voter, node {alone}: while it is away no voter is replaced"
        )),
        _ => None,
    };
    let ca = (placement.nodes().count() > 1).then(|| {
        format!("node {FOUNDER} keeps the key of the cluster's CA: while it is away no node joins")
    });
    let over = placement.state().regions.len() > 1;
    let regions = placement.state().regions.iter().filter_map(|region| {
        let name = &region.name;
        match of_region(placement, region) {
            None => Some(format!(
                "region {name}: its shards wait for nodes to vote on them"
            )),
            Some(Survives::Nothing) => Some(format!(
                "region {name}: losing a node stops shards until it is back"
            )),
            Some(Survives::Node) if over => Some(format!(
                "region {name}: losing the region stops its shards until it is back"
            )),
            Some(_) => None,
        }
    });
    meta.into_iter().chain(ca).chain(regions).collect()
}

fn view(placement: &Placement, region: &RegionRecord) -> Value {
    let here = placement.nodes().filter(|(_, n)| n.region == region.name);
    json!({
        "region": region.name,
        "id": region.id,
        "nodes": here.count(),
        "shards": region.shards,
        "survival_goal": survival::name_of(region.goal()),
        "voters": region.voters,
        "survives": match of_region(placement, region) {
            Some(Survives::Region) => "region",
            Some(Survives::Node) => "node",
            Some(Survives::Nothing) | None => "nothing",
        },
        "made": region.made,
    })
}

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let placement = admin.running.node.view.placement();
    let regions = placement.state().regions.iter();
    let regions: Vec<Value> = regions.map(|region| view(&placement, region)).collect();
    Json(json!({ "regions": regions }))
}

#[derive(Deserialize)]
pub(super) struct GoalRequest {
    survival_goal: String,
    /// 0: as many as the region has nodes for.
    #[serde(default)]
    voters: u32,
}

/// What the region's shards are to survive from now on. Voters move one shard
/// after the other; nobody has to wait for it.
pub(super) async fn set_goal(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Json(request): Json<GoalRequest>,
) -> Result<Json<Value>, Refusal> {
    let goal = survival::named(&request.survival_goal).ok_or_else(|| {
        let detail = format!("survival_goal is {}", survival::EXPECTED);
        Fault::new(Code::Invalid, detail)
    })?;
    let set = SetGoal {
        region: name.clone(),
        goal: goal.into(),
        voters: request.voters,
    };
    run(&admin, Op::SetGoal(set)).await?;
    let placement = admin.running.node.view.placement();
    let mut regions = placement.state().regions.iter();
    let region = regions.find(|region| region.name == name);
    Ok(Json(region.map_or(Value::Null, |region| {
        let mut said = view(&placement, region);
        // The node asked may not have heard of it yet.
        said["survival_goal"] = survival::name_of(goal).into();
        said["voters"] = request.voters.into();
        said
    })))
}
