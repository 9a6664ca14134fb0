//! HTTPS on the node's one port number (D16): the WebSocket, the list of
//! edges, health.

mod gate;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use folkmoot_transport::{EdgeCertificate, PkiError, WsOptions, tls, ws};
use folkmoot_wire::{limits, version};
use hyper_util::rt::TokioTimer;
use serde_json::json;

use crate::cluster::start::Node;
use gate::Gate;

/// A running HTTPS server.
pub struct Https {
    handle: Handle<SocketAddr>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Serves HTTPS on a socket that does not block.
///
/// # Errors
/// When the certificate cannot be used.
pub fn serve(
    listener: TcpListener,
    certificate: &EdgeCertificate,
    node: Arc<Node>,
) -> anyhow::Result<Https> {
    let tls = tls_config(certificate)?;
    ws::keep_alive(&listener)?;
    let handle = Handle::new();
    let handshakes = node.edge.handshakes();
    let app = router(node).into_make_service_with_connect_info::<SocketAddr>();
    let tls = RustlsAcceptor::new(tls).handshake_timeout(limits::HANDSHAKE_TIME);
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(Gate::before(tls, handshakes))
        .handle(handle.clone());
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HANDSHAKE_WAIT);
    Ok(Https {
        handle,
        task: tokio::spawn(server.serve(app)),
    })
}

fn tls_config(certificate: &EdgeCertificate) -> Result<RustlsConfig, PkiError> {
    let config = tls::https_server(certificate)?;
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

impl Https {
    /// Stops taking connections; sessions were drained before.
    pub async fn stop(self) {
        self.handle.shutdown();
        let _ = self.task.await;
    }
}

fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route(version::WS_PATH, any(websocket))
        .route("/v1/edges", get(edges))
        .route("/livez", get(|| async { "ok" }))
        .with_state(node)
}

async fn websocket(
    State(node): State<Arc<Node>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let options = WsOptions::default();
    ws::configure(upgrade, &options).on_upgrade(move |socket| async move {
        node.edge.serve(ws::accept(socket, remote, &options));
    })
}

/// Every edge, for clients to race: nearest first is theirs to find out.
async fn edges(State(node): State<Arc<Node>>) -> impl IntoResponse {
    let placement = node.view.placement();
    let edges: Vec<_> = placement
        .nodes()
        .filter(|(id, _)| node.view.alive(*id))
        .map(|(id, record)| {
            json!({
                "node": id.0,
                "region": record.region,
                "address": record.quic_addr,
            })
        })
        .collect();
    (StatusCode::OK, Json(json!({ "edges": edges })))
}
