//! Where a group is at home, and moving it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use folkmoot_wire::proto::HomePhase;
use serde::Deserialize;
use serde_json::{Value, json};

use super::groups::parse;
use super::{Admin, Refusal};

#[derive(Deserialize)]
pub(super) struct Rehome {
    region: String,
}

/// Begins a move. Returns at once; the home's leader goes on with it.
pub(super) async fn rehome(
    State(admin): State<Arc<Admin>>,
    Path(group): Path<String>,
    Json(request): Json<Rehome>,
) -> Result<Json<Value>, Refusal> {
    let group = parse(&group)?;
    let begun = admin.running.node.rehome(group, &request.region).await?;
    Ok(Json(json!({
        "group": group.to_string(),
        "from": begun.from.1,
        "from_shard": begun.from.0,
        "to": begun.to.1,
        "to_shard": begun.to.0,
        "epoch": begun.epoch,
    })))
}

/// Where the group is at home now, and whether it is about to leave.
pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(group): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let group = parse(&group)?;
    let node = &admin.running.node;
    let (shard, state) = node.home_state(group).await?;
    let placement = node.view.placement();
    Ok(Json(json!({
        "group": group.to_string(),
        "home": placement.region_name(shard.region).unwrap_or_default(),
        "shard": shard.id.0,
        "epoch": state.epoch,
        "state": word(state.phase()),
    })))
}

/// A home's state in a word.
fn word(phase: HomePhase) -> &'static str {
    match phase {
        HomePhase::Unknown | HomePhase::Here => "here",
        HomePhase::Leaving => "copied",
        HomePhase::Fenced => "fenced",
        HomePhase::Gone => "gone",
        HomePhase::Arriving => "arriving",
        HomePhase::Cancelled => "cancelled",
    }
}
