//! The admin API: what the command line asks of a node. Plain HTTP, on
//! loopback unless told otherwise; whoever reaches it operates the cluster.

mod copies;
mod groups;
mod homes;
mod nodes;
mod regions;
mod shards;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use folkmoot_wire::{Code, Fault, proto};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::boot::Running;

/// What the handlers share.
pub struct Admin {
    /// The node.
    pub running: Arc<Running>,
    /// Renders metrics.
    pub metrics: Option<PrometheusHandle>,
}

/// Serves the admin API, on a socket that does not block, until the task is
/// ended.
///
/// # Errors
/// When the socket cannot be used.
pub fn serve(
    listener: std::net::TcpListener,
    admin: Arc<Admin>,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let app = router(admin);
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the admin API ended");
        }
    }))
}

fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(views::ready))
        .route("/metrics", get(views::metrics))
        .route("/v1/status", get(views::status))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/nodes/{node}/drain", post(nodes::drain))
        .route("/v1/nodes/{node}/remove", post(nodes::remove))
        .route("/v1/regions", get(regions::list))
        .route("/v1/regions/{region}/goal", post(regions::set_goal))
        .route("/v1/shards", get(shards::list))
        .route("/v1/shards/{shard}/split", post(shards::split_shard))
        .route("/v1/groups", get(groups::list).post(groups::create))
        .route("/v1/groups/{group}", get(groups::show))
        .route("/v1/groups/{group}/log", get(groups::log))
        .route(
            "/v1/groups/{group}/home",
            get(homes::show).post(homes::rehome),
        )
        .route("/v1/tokens", post(views::join_token))
        .route("/v1/client-token", post(views::client_token))
        .with_state(admin)
}

/// A fault as an HTTP answer.
pub struct Refusal(Fault);

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self(code.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0.code {
            Code::NotFound | Code::Gone | Code::UnknownRegion => StatusCode::NOT_FOUND,
            code if code.temporary() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let error = proto::Error::from(&self.0);
        let body = json!({
            "error": {
                "code": error.code,
                "name": error.name,
                "message": error.message,
                "temporary": error.temporary,
                "retry_after_ms": error.retry_after_ms,
            }
        });
        (status, axum::Json(body)).into_response()
    }
}
