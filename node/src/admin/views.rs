//! What a node knows of the cluster and of itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use folkmoot_wire::{Code, Fault, NodeId, ShardId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Refusal, regions};
use crate::boot::{CLUSTER_KEY, Kind};
use crate::cluster::joiner::create_token;
use crate::cluster::parts::StatusSource;
use crate::edge::{Grant, SigningKey, issue};
use crate::ports::{Clock, SystemClock, SystemRandom};

/// A development token of the command line is good for this long.
const CLIENT_TOKEN_SECONDS: u64 = 24 * 3600;

pub(super) async fn ready(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let node = &admin.running.node;
    let mut waiting: Vec<String> = node
        .status()
        .shards
        .iter()
        .filter(|shard| shard.voter && shard.leader == 0)
        .map(|shard| format!("shard {} has no leader", shard.shard))
        .collect();
    let clock = node.clocks.trouble(&node.stamps);
    waiting.extend(clock.map(|trouble| trouble.to_string()));
    waiting.extend(node.standing.troubles());
    if waiting.is_empty() && !node.view.placement().state().nodes.is_empty() {
        (StatusCode::OK, "ready".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, waiting.join("\n"))
    }
}

pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    crate::metrics::observe(&admin.running.node);
    match &admin.metrics {
        Some(metrics) => (StatusCode::OK, metrics.render()),
        None => (StatusCode::NOT_FOUND, "metrics are off".to_owned()),
    }
}

pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let running = &admin.running;
    let status = running.node.status();
    let placement = running.node.view.placement();
    let led = status
        .shards
        .iter()
        .filter(|s| s.leader == status.node)
        .count();
    let voted = status.shards.iter().filter(|s| s.voter).count();
    Json(json!({
        "cluster": running.identity.cluster,
        "kind": running.identity.kind,
        "node": status.node,
        "name": running.identity.name,
        "region": running.identity.region,
        "version": status.version,
        "uptime_ms": status.uptime_ms,
        "listen": running.at.listen.to_string(),
        "certificate": running.certificate.fingerprint().to_string(),
        "nodes": placement.nodes().count(),
        "regions": placement.state().regions.len(),
        "shards": placement.shards().count(),
        "shards_voted": voted,
        "shards_led": led,
        "sessions": { "quic": status.sessions_quic, "websocket": status.sessions_ws },
        "clock_off_ms": running.node.clocks.system_off(),
        "leader_changes": running.node.voters.all().iter().map(|voter| voter.leadership.changes()).sum::<u64>(),
        "tentative": running.node.keeper.waiting(),
        "reached_through": reached_through(&running.node.peers.tunnels().reached()),
        "waits_to_vote": running.node.standing.troubles(),
        "meta_version": placement.state().version,
        "meta_voters": placement
            .shard(ShardId::META)
            .map(|meta| meta.voters.iter().map(|node| node.0).collect::<Vec<_>>()),
        "not_survived": regions::not_survived(&placement),
    }))
}

/// Whom this node reaches only through a third region, in words.
fn reached_through(reached: &[(NodeId, NodeId)]) -> Vec<String> {
    let words = |(to, by): &(NodeId, NodeId)| format!("node {to} through node {by}");
    reached.iter().map(words).collect()
}

#[derive(Deserialize)]
pub(super) struct JoinTokenRequest {
    #[serde(default)]
    region: String,
    /// How long it is good for; at most, and without it, the limit.
    seconds: Option<u64>,
}

pub(super) async fn join_token(
    State(admin): State<Arc<Admin>>,
    Json(request): Json<JoinTokenRequest>,
) -> Result<Json<Value>, Refusal> {
    let running = &admin.running;
    if running.identity.kind == Kind::Development {
        return Err(Code::JoinRefused.into());
    }
    let ca = running
        .ca_fingerprint()
        .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    let limit = folkmoot_wire::limits::JOIN_TOKEN_TTL;
    let life = request
        .seconds
        .map_or(limit, |seconds| limit.min(Duration::from_secs(seconds)));
    let token = create_token(&running.node, &SystemRandom, ca, &request.region, life).await?;
    let addr = running.at.advertise;
    let region = match request.region.as_str() {
        "" => "REGION",
        region => region,
    };
    Ok(Json(json!({
        "token": token.to_string(),
        "expires_in_seconds": life.as_secs(),
        "command": format!("folkmoot start --region {region} --join {addr} --token {token}"),
    })))
}

#[derive(Deserialize)]
pub(super) struct ClientTokenRequest {
    subject: String,
    #[serde(default)]
    seconds: u64,
}

/// A token for a client, signed with the cluster's own secret.
pub(super) async fn client_token(
    State(admin): State<Arc<Admin>>,
    Json(request): Json<ClientTokenRequest>,
) -> Result<Json<Value>, Refusal> {
    let running = &admin.running;
    let Some(secret) = &running.jwt_secret else {
        return Err(Fault::new(
            Code::Forbidden,
            "this cluster's tokens are signed elsewhere (jwt_public_key)",
        )
        .into());
    };
    let seconds = match request.seconds {
        0 => CLIENT_TOKEN_SECONDS,
        seconds => seconds,
    };
    let grant = Grant {
        subject: &request.subject,
        issuer: &running.issuer,
        audience: &running.audience,
        expires_ms: SystemClock.wall_ms() + seconds * 1_000,
        ..Grant::default()
    };
    let key = SigningKey::Hs256(secret.as_bytes().to_vec());
    Ok(Json(json!({ "token": issue(&key, CLUSTER_KEY, &grant)? })))
}
