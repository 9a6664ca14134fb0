//! The demo's page: on loopback over plain HTTP, because a browser trusts no
//! self-signed certificate. The page's WebSockets go through here to the
//! nodes, whose certificates are pinned on that way.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use folkmoot_client::{Carrier, GroupId};
use folkmoot_transport::{
    Connection, Dial, FrameRecv, FrameSend, FramedStream, TransportError, WsOptions, ws,
};
use serde_json::{Value, json};
use tokio::task::{AbortHandle, JoinSet};

use super::cluster::Member;
use super::crowd::Crowd;
use super::options::Options;
use super::regions;
use super::replay::Replay;
use super::report::round_trips;
use super::wan::Wan;

const INDEX: &[u8] = include_bytes!("../../../web/dist/index.html");
const STYLE: &[u8] = include_bytes!("../../../web/dist/demo.css");
const SCRIPT: &[u8] = include_bytes!("../../../web/dist/demo.js");
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
    connect-src 'self' ws:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Who sits at a pane.
struct Visitor {
    user: String,
    nick: String,
    token: String,
}

struct Shared {
    replay: Arc<Replay>,
    crowd: Option<Arc<Crowd>>,
    visitors: Vec<Visitor>,
    scale: f64,
    wan: Arc<Wan>,
}

/// The running page. It ends when dropped.
pub(super) struct Page {
    pub(super) addr: SocketAddr,
    task: AbortHandle,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes a visitor for each region, joins them to all groups, and serves the
/// page.
pub(super) async fn serve(
    replay: &Arc<Replay>,
    crowd: Option<&Arc<Crowd>>,
    wan: &Arc<Wan>,
    options: &Options,
) -> anyhow::Result<Page> {
    let port = options.port;
    let large = crowd.map(|crowd| crowd.group);
    let groups: Vec<GroupId> = replay
        .groups
        .iter()
        .map(|group| group.id)
        .chain(large)
        .collect();
    let mut visitors = Vec::new();
    for region in 0..replay.cluster.regions {
        visitors.push(visitor(replay, &groups, region).await?);
    }
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("the page cannot listen on port {port}"))?;
    let addr = listener.local_addr()?;
    let shared = Arc::new(Shared {
        replay: Arc::clone(replay),
        crowd: crowd.cloned(),
        visitors,
        scale: options.wan,
        wan: Arc::clone(wan),
    });
    let app = Router::new()
        .route(
            "/",
            get(|| async { asset("text/html; charset=utf-8", INDEX) }),
        )
        .route(
            "/index.html",
            get(|| async { asset("text/html; charset=utf-8", INDEX) }),
        )
        .route(
            "/demo.css",
            get(|| async { asset("text/css; charset=utf-8", STYLE) }),
        )
        .route(
            "/demo.js",
            get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }),
        )
        .route("/demo.json", get(settings))
        .route("/regions/{number}/cut", post(cut))
        .route("/regions/{number}/heal", post(heal))
        .route("/edge/{number}/v1/ws", any(edge))
        .layer(middleware::from_fn(guard))
        .with_state(shared)
        .into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            eprintln!("the page ended: {error}");
        }
    });
    Ok(Page {
        addr,
        task: task.abort_handle(),
    })
}

async fn visitor(replay: &Replay, groups: &[GroupId], region: usize) -> anyhow::Result<Visitor> {
    let name = regions::NAMES[region];
    let member = edge_of(replay, region).context("a region has nodes")?;
    let token = replay
        .cluster
        .token(member, &format!("visitor-{name}"))
        .await?;
    let nick = format!("you-in-{name}");
    let client = replay
        .dialers
        .builder(Carrier::WebSocket)
        .edge(member.place.listen.to_string())
        .token(token.clone())
        .connect()
        .await
        .with_context(|| format!("the visitor in {name}"))?;
    let mut joining = JoinSet::new();
    for group in groups {
        let group = client.group(*group);
        let nick = nick.clone();
        joining.spawn(async move { group.join(nick).await });
    }
    while let Some(joined) = joining.join_next().await {
        joined?.with_context(|| format!("the visitor in {name} joins"))?;
    }
    replay.guests.lock().insert(client.user());
    let user = client.user().to_string();
    client.close().await;
    Ok(Visitor { user, nick, token })
}

/// The node that a region's pane talks to: the last, the others have the
/// observers.
fn edge_of(replay: &Replay, region: usize) -> Option<&Member> {
    replay.cluster.of_region(region).last()
}

fn asset(kind: &'static str, bytes: &'static [u8]) -> Response {
    ([(header::CONTENT_TYPE, kind)], bytes).into_response()
}

/// Answers only to this machine's own names, so that no other site's page
/// gets in by a name that it points here, and says what the page may do.
async fn guard(request: Request, next: Next) -> Response {
    let host = text(request.headers(), header::HOST).unwrap_or_default();
    let foreign = match text(request.headers(), header::ORIGIN) {
        Some(origin) => origin.strip_prefix("http://") != Some(host),
        None => false,
    };
    if !is_loopback(host) || foreign {
        return (
            StatusCode::FORBIDDEN,
            "the demo's page is for this machine only\n",
        )
            .into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

async fn settings(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> axum::Json<Value> {
    let replay = &shared.replay;
    let host = text(&headers, header::HOST).unwrap_or_default();
    let home = match (&shared.crowd, replay.groups.first()) {
        (Some(crowd), _) => Some(crowd.home()),
        (None, first) => first.map(|group| group.home),
    };
    let panes: Vec<Value> = shared
        .visitors
        .iter()
        .enumerate()
        .map(|(region, visitor)| {
            json!({
                "region": regions::NAMES[region],
                "node": edge_of(replay, region).map(|member| member.place.name.clone()),
                "ws": format!("ws://{host}/edge/{region}/v1/ws"),
                "token": visitor.token,
                "user": visitor.user,
                "nick": visitor.nick,
                "home": home == Some(region),
            })
        })
        .collect();
    let (done, total) = replay.progress();
    let each = replay.groups.iter().map(|group| {
        let done = group.done.load(Ordering::Relaxed);
        json!({ "name": group.name, "total": group.script.steps.len(), "done": done })
    });
    let groups = replay.groups.iter().map(|group| {
        json!({ "id": group.id.to_string(), "name": group.name, "home": regions::NAMES[group.home] })
    });
    // The large group comes first: whoever asked for it looks at it.
    let large = shared.crowd.iter().map(|crowd| {
        json!({ "id": crowd.group.to_string(), "name": crowd.name(), "home": regions::NAMES[crowd.home()] })
    });
    let groups: Vec<Value> = large.chain(groups).collect();
    let shown = groups.first().cloned().unwrap_or_default();
    let cut = (0..replay.cluster.regions).filter(|region| shared.wan.is_cut(*region));
    axum::Json(json!({
        "cut": cut.map(|region| regions::NAMES[region]).collect::<Vec<_>>(),
        "cluster": replay.cluster.id,
        "group": shown["id"],
        "name": shown["name"],
        "panes": panes,
        "rtt": round_trips(replay.cluster.regions, shared.scale),
        "replay": { "total": total, "done": done, "groups": each.collect::<Vec<_>>() },
        "groups": groups,
    }))
}

/// Cuts a region off: its people go on by themselves.
async fn cut(State(shared): State<Arc<Shared>>, Path(region): Path<usize>) -> StatusCode {
    set_cut(&shared, region, true)
}

async fn heal(State(shared): State<Arc<Shared>>, Path(region): Path<usize>) -> StatusCode {
    set_cut(&shared, region, false)
}

fn set_cut(shared: &Shared, region: usize, cut: bool) -> StatusCode {
    match shared.wan.set_cut(region, cut) {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::NOT_FOUND,
    }
}

async fn edge(
    State(shared): State<Arc<Shared>>,
    Path(region): Path<usize>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if region >= shared.replay.cluster.regions {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Some(member) = edge_of(&shared.replay, region) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let addr = member.place.listen;
    let dialer = shared.replay.dialers.websocket();
    let options = WsOptions::default();
    ws::configure(upgrade, &options).on_upgrade(move |socket| async move {
        let browser = ws::accept(socket, remote, &options);
        let ended = pass_on(&*browser, &*dialer, addr).await;
        if let Err(error) = ended {
            browser.close(error.code() as u32, &error.to_string());
        }
    })
}

/// Passes frames on in both directions until one side ends.
async fn pass_on(
    browser: &dyn Connection,
    dialer: &dyn Dial,
    addr: SocketAddr,
) -> Result<(), TransportError> {
    let Some(near) = browser.accept().await? else {
        return Ok(());
    };
    let node = dialer.dial_client(addr, "localhost").await?;
    let far = node.open().await?;
    let FramedStream {
        tx: near_tx,
        rx: near_rx,
    } = near;
    let FramedStream {
        tx: far_tx,
        rx: far_rx,
    } = far;
    tokio::select! {
        ended = pump(near_rx, far_tx) => {
            // The browser went; the node learns it by the end of its stream.
            ended.or(Ok(()))
        }
        ended = pump(far_rx, near_tx) => ended,
    }
}

async fn pump(
    mut rx: Box<dyn FrameRecv>,
    mut tx: Box<dyn FrameSend>,
) -> Result<(), TransportError> {
    while let Some(frame) = rx.recv().await? {
        tx.send(frame).await?;
    }
    tx.finish().await
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.org",
            "localhost.example.org:80",
            "127.0.0.1.example.org",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
