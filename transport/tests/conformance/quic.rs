use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use folkmoot_transport::pki::NODE_CERTIFICATE_LIFE;
use folkmoot_transport::{
    ClusterCa, ClusterId, Connection, Counters, Dial, EdgeCertificate, Fingerprint, Listener,
    NodeIdentity, NodeKey, PeerKind, QuicConfig, QuicEndpoint, QuicOptions, TransportError, Trust,
};
use folkmoot_wire::{Code, NodeId, limits};
use rustls::pki_types::UnixTime;

use crate::suite::{Pair, Setup};

pub const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
}

pub fn edge(name: &str) -> EdgeCertificate {
    EdgeCertificate::self_signed(&[name.to_owned()], now(), DAY).unwrap()
}

pub fn ca(cluster: u8) -> ClusterCa {
    ClusterCa::generate(ClusterId([cluster; 16]), now()).unwrap()
}

pub fn identity(ca: &ClusterCa, node: u32, region: &str) -> Arc<NodeIdentity> {
    let key = NodeKey::generate().unwrap();
    let certificate = ca
        .issue(
            &key.request().unwrap(),
            NodeId(node),
            region,
            now(),
            NODE_CERTIFICATE_LIFE,
        )
        .unwrap();
    let now = UnixTime::since_unix_epoch(now());
    Arc::new(NodeIdentity::new(&key, certificate, ca.certificate().clone(), now).unwrap())
}

fn node(identity: &Arc<NodeIdentity>, counters: &Arc<Counters>) -> Arc<QuicEndpoint> {
    QuicEndpoint::bind(QuicConfig {
        bind: ANY,
        edge: Some(edge("localhost")),
        identity: Some(identity.clone()),
        trust: None,
        options: QuicOptions {
            counters: counters.clone(),
            ..QuicOptions::default()
        },
    })
    .unwrap()
}

async fn pair(setup: Setup) -> Pair {
    let edge = edge("localhost");
    let trust = Trust::Pinned(edge.fingerprint());
    let server = QuicEndpoint::bind(QuicConfig {
        bind: ANY,
        edge: Some(edge),
        identity: None,
        trust: None,
        options: QuicOptions {
            frames: setup.accepted,
            counters: setup.counters,
            ..QuicOptions::default()
        },
    })
    .unwrap();
    let client = QuicEndpoint::bind(QuicConfig {
        options: QuicOptions {
            frames: setup.dialled,
            ..QuicOptions::default()
        },
        ..QuicConfig::client(trust, ANY)
    })
    .unwrap();
    let (dialled, accepted) = tokio::join!(
        client.dial_client(server.local(), "localhost"),
        server.accept()
    );
    Pair {
        dialled: dialled.unwrap(),
        accepted: accepted.unwrap(),
        keep: Box::new((server, client)),
    }
}

fn make(setup: Setup) -> std::pin::Pin<Box<dyn Future<Output = Pair> + Send>> {
    Box::pin(pair(setup))
}

crate::conformance!(
    #[tokio::test]
    make
);

async fn meet(a: &QuicEndpoint, b: &QuicEndpoint, id: u32) -> [Arc<dyn Connection>; 2] {
    let (dialled, accepted) = tokio::join!(a.dial_node(NodeId(id), b.local()), b.accept());
    [dialled.unwrap(), accepted.unwrap()]
}

#[tokio::test]
async fn nodes_know_each_other_and_count_by_region() {
    let ca = ca(1);
    let counters = Counters::new();
    let ours = node(&identity(&ca, 1, "west"), &counters);
    let theirs = node(&identity(&ca, 2, "ocean-2"), &Counters::new());
    let [dialled, accepted] = meet(&ours, &theirs, 2).await;
    let peer = |node, region: &str| PeerKind::Node {
        node: NodeId(node),
        region: region.into(),
    };
    assert_eq!(dialled.peer(), &peer(2, "ocean-2"));
    assert_eq!(accepted.peer(), &peer(1, "west"));
    assert_eq!(
        accepted.remote(),
        ours.local(),
        "dialled from the same socket"
    );

    let mut stream = dialled.open().await.unwrap();
    let large = Bytes::from(vec![3; limits::NODE_FRAME_MAX]);
    let send = stream.tx.send(large.clone());
    let receive = async {
        let mut stream = accepted.accept().await.unwrap().unwrap();
        stream.rx.recv().await.unwrap().unwrap()
    };
    let (sent, got) = tokio::join!(send, receive);
    sent.unwrap();
    assert_eq!(got, large);
    let row = counters.snapshot().remove(0);
    assert_eq!(
        (row.label.peer, row.label.region.as_str()),
        ("node", "ocean-2")
    );
    assert!(row.total.wire_sent > limits::NODE_FRAME_MAX as u64);
}

#[tokio::test]
async fn one_port_serves_clients_nodes_and_joiners() {
    let ca = ca(1);
    let server = node(&identity(&ca, 1, "west"), &Counters::new());
    let peer_node = node(&identity(&ca, 2, "west"), &Counters::new());
    let joiner = QuicEndpoint::bind(QuicConfig::client(Trust::Public, ANY)).unwrap();
    let [_, accepted] = meet(&peer_node, &server, 1).await;
    assert!(matches!(accepted.peer(), PeerKind::Node { .. }));
    let (dialled, accepted) = tokio::join!(
        joiner.dial_join(server.local(), ca.fingerprint()),
        server.accept()
    );
    assert_eq!(accepted.unwrap().peer(), &PeerKind::Joiner);
    let seen = PeerKind::Node {
        node: NodeId(1),
        region: "west".into(),
    };
    assert_eq!(dialled.unwrap().peer(), &seen);
    // An endpoint without a certificate does not pass for a node.
    let refused = joiner
        .dial_node(NodeId(1), server.local())
        .await
        .unwrap_err();
    assert!(matches!(refused, TransportError::Unsupported(_)));
}

#[tokio::test]
async fn a_joiner_refuses_a_cluster_it_did_not_pin() {
    let server = node(&identity(&ca(1), 1, "west"), &Counters::new());
    let joiner = QuicEndpoint::bind(QuicConfig::client(Trust::Public, ANY)).unwrap();
    let other = Fingerprint([9; 32]);
    let refused = joiner.dial_join(server.local(), other).await.unwrap_err();
    assert!(matches!(refused, TransportError::Tls { .. }), "{refused}");
}

#[tokio::test]
async fn another_node_than_asked_for_is_told() {
    let ca = ca(1);
    let ours = node(&identity(&ca, 1, "west"), &Counters::new());
    let theirs = node(&identity(&ca, 2, "west"), &Counters::new());
    let refused = ours.dial_node(NodeId(3), theirs.local()).await.unwrap_err();
    let wrong = TransportError::WrongPeer {
        expected: NodeId(3),
        got: NodeId(2),
    };
    assert_eq!(refused, wrong);
}

#[tokio::test]
async fn a_node_of_another_ca_is_refused() {
    let ours = node(&identity(&ca(1), 1, "west"), &Counters::new());
    // The same cluster id does not help.
    let theirs = node(&identity(&ca(1), 2, "west"), &Counters::new());
    let refused = ours.dial_node(NodeId(2), theirs.local()).await.unwrap_err();
    assert!(matches!(refused, TransportError::Tls { .. }), "{refused}");
}

#[tokio::test]
async fn clients_trust_what_they_were_told_to() {
    let served = edge("edge.example");
    let server = QuicEndpoint::bind(QuicConfig {
        bind: ANY,
        edge: Some(served.clone()),
        identity: None,
        trust: None,
        options: QuicOptions::default(),
    })
    .unwrap();
    let dial = async |trust: Trust, name: &str| {
        let client = QuicEndpoint::bind(QuicConfig::client(trust, ANY)).unwrap();
        client.dial_client(server.local(), name).await.map(|_| ())
    };
    let its_own = Trust::Ca(vec![served.certificate()]);
    assert_eq!(dial(its_own.clone(), "edge.example").await, Ok(()));
    assert_eq!(
        dial(Trust::Pinned(served.fingerprint()), "127.0.0.1").await,
        Ok(())
    );
    for (trust, name) in [
        (its_own, "other.example"),
        (Trust::Pinned(Fingerprint([1; 32])), "edge.example"),
        (Trust::Public, "edge.example"),
    ] {
        let refused = dial(trust, name).await.unwrap_err();
        assert!(matches!(refused, TransportError::Tls { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_while_it_is_served() {
    let served = edge("localhost");
    let server = QuicEndpoint::bind(QuicConfig {
        bind: ANY,
        edge: Some(served.clone()),
        identity: None,
        trust: None,
        options: QuicOptions::default(),
    })
    .unwrap();
    let next = edge("localhost");
    let trust = Trust::Pinned(next.fingerprint());
    let client = QuicEndpoint::bind(QuicConfig::client(trust, ANY)).unwrap();
    let early = client.dial_client(server.local(), "localhost").await;
    assert!(matches!(early, Err(TransportError::Tls { .. })));
    served.replace(&next);
    client
        .dial_client(server.local(), "localhost")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_dial_ends_by_its_deadline() {
    let silent = UdpSocket::bind(ANY).unwrap();
    let client = QuicEndpoint::bind(QuicConfig {
        options: QuicOptions {
            dial_deadline: Duration::from_millis(200),
            ..QuicOptions::default()
        },
        ..QuicConfig::client(Trust::Public, ANY)
    })
    .unwrap();
    let addr = silent.local_addr().unwrap();
    let late = client.dial_client(addr, "localhost").await.unwrap_err();
    assert!(matches!(late, TransportError::Deadline { .. }), "{late}");
    assert_eq!(late.code(), Code::Deadline);
}

#[tokio::test]
async fn over_the_limit_of_connections_is_refused() {
    let served = edge("localhost");
    let trust = Trust::Pinned(served.fingerprint());
    let server = QuicEndpoint::bind(QuicConfig {
        bind: ANY,
        edge: Some(served),
        identity: None,
        trust: None,
        options: QuicOptions {
            connections: 1,
            ..QuicOptions::default()
        },
    })
    .unwrap();
    let client = QuicEndpoint::bind(QuicConfig::client(trust, ANY)).unwrap();
    let _first = client
        .dial_client(server.local(), "localhost")
        .await
        .unwrap();
    let refused = client
        .dial_client(server.local(), "localhost")
        .await
        .unwrap_err();
    assert!(
        matches!(refused, TransportError::Unreachable { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn closing_an_endpoint_tells_its_peers() {
    let pair = pair(Setup::default()).await;
    let (server, _client) = *pair
        .keep
        .downcast::<(Arc<QuicEndpoint>, Arc<QuicEndpoint>)>()
        .unwrap();
    server.close().await;
    assert!(server.accept().await.is_none());
    let TransportError::Closed { code, .. } = pair.dialled.closed().await else {
        panic!("not closed");
    };
    assert_eq!(code, Code::Draining as u32);
}
