use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use axum::routing::any;
use axum_server::tls_rustls::RustlsConfig;
use bytes::Bytes;
use folkmoot_transport::{
    Connection, Dial, Fingerprint, TransportError, Trust, WsDialer, WsOptions, tls, ws,
};
use folkmoot_wire::NodeId;
use folkmoot_wire::version::WS_PATH;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::quic::edge;
use crate::suite::{Pair, Setup};

type Accepted = mpsc::Sender<Arc<dyn Connection>>;

struct Server {
    addr: SocketAddr,
    fingerprint: Fingerprint,
    accepted: mpsc::Receiver<Arc<dyn Connection>>,
    handle: axum_server::Handle<SocketAddr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

async fn upgrade(
    State((options, accepted)): State<(WsOptions, Accepted)>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    upgrade: WebSocketUpgrade,
) -> Response {
    ws::configure(upgrade, &options).on_upgrade(async move |socket| {
        let _ = accepted.send(ws::accept(socket, remote, &options)).await;
    })
}

fn serve(options: WsOptions, tls: bool) -> Server {
    let (tx, accepted) = mpsc::channel(8);
    let app = Router::new()
        .route(WS_PATH, any(upgrade))
        .with_state((options, tx))
        .into_make_service_with_connect_info::<SocketAddr>();
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let edge = edge("localhost");
    let handle = axum_server::Handle::new();
    if tls {
        let config = RustlsConfig::from_config(Arc::new(tls::https_server(&edge).unwrap()));
        let server = axum_server::from_tcp_rustls(listener, config).unwrap();
        tokio::spawn(server.handle(handle.clone()).serve(app));
    } else {
        let server = axum_server::from_tcp(listener).unwrap();
        tokio::spawn(server.handle(handle.clone()).serve(app));
    }
    Server {
        addr,
        fingerprint: edge.fingerprint(),
        accepted,
        handle,
    }
}

async fn pair(setup: Setup) -> Pair {
    let mut server = serve(
        WsOptions {
            frames: setup.accepted,
            counters: setup.counters,
            ..WsOptions::default()
        },
        true,
    );
    let options = WsOptions {
        frames: setup.dialled,
        ..WsOptions::default()
    };
    let dialer = WsDialer::new(&Trust::Pinned(server.fingerprint), options).unwrap();
    let dialled = dialer.dial_client(server.addr, "localhost").await.unwrap();
    let accepted = server.accepted.recv().await.unwrap();
    Pair {
        dialled,
        accepted,
        keep: Box::new(server),
    }
}

fn make(setup: Setup) -> std::pin::Pin<Box<dyn Future<Output = Pair> + Send>> {
    Box::pin(pair(setup))
}

crate::conformance!(
    #[tokio::test]
    make
);

#[tokio::test]
async fn a_foreign_client_is_understood() {
    let mut server = serve(WsOptions::default(), false);
    let url = format!("ws://{}{WS_PATH}", server.addr);
    let (mut browser, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let accepted = server.accepted.recv().await.unwrap();
    let mut stream = accepted.accept().await.unwrap().unwrap();

    let ping = Message::Ping(Bytes::from_static(b"there?"));
    browser.send(ping).await.unwrap();
    let frame = Message::Binary(Bytes::from_static(b"frame"));
    browser.send(frame.clone()).await.unwrap();
    assert_eq!(stream.rx.recv().await.unwrap().unwrap(), "frame");
    let pong = Message::Pong(Bytes::from_static(b"there?"));
    assert_eq!(browser.next().await.unwrap().unwrap(), pong);
    stream.tx.send(Bytes::from_static(b"frame")).await.unwrap();
    assert_eq!(browser.next().await.unwrap().unwrap(), frame);

    browser.send(Message::text("hello")).await.unwrap();
    let error = stream.rx.recv().await.unwrap_err();
    assert_eq!(error, TransportError::NotBinary);
    accepted.close(error.code() as u32, "frames are binary");
    let Message::Close(Some(close)) = browser.next().await.unwrap().unwrap() else {
        panic!("not closed");
    };
    assert_eq!(u16::from(close.code), 4100);
    assert_eq!(close.reason.as_str(), "100 frames are binary");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_lost_not_finished() {
    let mut server = serve(WsOptions::default(), false);
    let url = format!("ws://{}{WS_PATH}", server.addr);
    let (browser, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let accepted = server.accepted.recv().await.unwrap();
    let mut stream = accepted.accept().await.unwrap().unwrap();
    drop(browser);
    let lost = stream.rx.recv().await.unwrap_err();
    assert!(matches!(lost, TransportError::Lost { .. }), "{lost}");
    assert_eq!(accepted.closed().await, lost);
}

#[tokio::test]
async fn an_edge_that_is_not_pinned_is_refused() {
    let server = serve(WsOptions::default(), true);
    let trust = Trust::Pinned(Fingerprint([1; 32]));
    let dialer = WsDialer::new(&trust, WsOptions::default()).unwrap();
    let refused = dialer
        .dial_client(server.addr, "localhost")
        .await
        .unwrap_err();
    assert!(matches!(refused, TransportError::Tls { .. }), "{refused}");
    let node = dialer.dial_node(NodeId(1), server.addr).await.unwrap_err();
    assert!(matches!(node, TransportError::Unsupported(_)));
}

#[tokio::test]
async fn a_dial_ends_by_its_deadline() {
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let options = WsOptions {
        dial_deadline: Duration::from_millis(200),
        ..WsOptions::default()
    };
    let dialer = WsDialer::plain(options);
    let addr = silent.local_addr().unwrap();
    let late = dialer.dial_client(addr, "localhost").await.unwrap_err();
    assert!(matches!(late, TransportError::Deadline { .. }), "{late}");
}
