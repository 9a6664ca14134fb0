//! Peers that the public interface does not let one be.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use folkmoot_wire::version::{ALPN_CLIENT, ALPN_NODE};
use folkmoot_wire::{Code, NodeId};
use rustls::pki_types::UnixTime;
use rustls::sign::SingleCertAndKey;

use super::{QuicConfig, QuicEndpoint, QuicOptions, client_config, options};
use crate::pki::{ClusterCa, ClusterId, NodeIdentity, NodeKey};
use crate::port::{Listener, PeerKind};
use crate::tls::{self, EdgeCertificate, Trust};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
}

fn identity(ca: &ClusterCa, node: u32, made: Duration, life: Duration) -> Arc<NodeIdentity> {
    let key = NodeKey::generate().unwrap();
    let request = key.request().unwrap();
    let certificate = ca
        .issue(&request, NodeId(node), "west", made, life)
        .unwrap();
    let at = UnixTime::since_unix_epoch(made);
    Arc::new(NodeIdentity::new(&key, certificate, ca.certificate().clone(), at).unwrap())
}

fn server(ca: &ClusterCa) -> Arc<QuicEndpoint> {
    let edge = EdgeCertificate::self_signed(&["localhost".into()], now(), HOUR).unwrap();
    QuicEndpoint::bind(QuicConfig {
        bind: ANY,
        edge: Some(edge),
        identity: Some(identity(ca, 1, now(), HOUR)),
        trust: None,
        options: QuicOptions::default(),
    })
    .unwrap()
}

/// Connects with the certificate of `shown`, or none, as one that trusts the
/// server; gives what ended the connection.
async fn intrude(server: &QuicEndpoint, ca: &ClusterCa, shown: Option<&NodeIdentity>) -> String {
    let mut tls = tls::join_client(ca.fingerprint()).unwrap();
    tls.alpn_protocols = vec![ALPN_NODE.to_vec()];
    if let Some(shown) = shown {
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(shown.certified()));
    }
    let config = client_config(tls, options::node_dial(&QuicOptions::default())).unwrap();
    let endpoint = QuicEndpoint::bind(QuicConfig::client(Trust::Public, ANY)).unwrap();
    match endpoint
        .connect(config, server.local(), "folkmoot-node")
        .await
    {
        // On this side TLS is done; the server has the last word.
        Ok(quic) => match quic.closed().await {
            quinn::ConnectionError::ApplicationClosed(close) => {
                format!("closed {}", close.error_code)
            }
            error => format!("tls: {error}"),
        },
        Err(error) => format!("tls: {error}"),
    }
}

#[tokio::test]
async fn who_has_no_certificate_is_no_node() {
    let ca = ClusterCa::generate(ClusterId([1; 16]), now()).unwrap();
    let server = server(&ca);
    let ended = intrude(&server, &ca, None).await;
    assert_eq!(ended, format!("closed {}", Code::WrongCluster as u32));
}

#[tokio::test]
async fn the_server_refuses_foreign_and_ended_certificates() {
    let ca = ClusterCa::generate(ClusterId([1; 16]), now()).unwrap();
    let server = server(&ca);
    // The same cluster id, another key.
    let foreign_ca = ClusterCa::generate(ClusterId([1; 16]), now()).unwrap();
    let foreign = identity(&foreign_ca, 2, now(), HOUR);
    let ended = identity(&ca, 2, now() - 2 * HOUR, HOUR);
    for shown in [&foreign, &ended] {
        let refused = intrude(&server, &ca, Some(shown)).await;
        assert!(refused.starts_with("tls:"), "{refused}");
    }
    // The way of refusing is not that everyone is refused.
    let good = identity(&ca, 2, now(), HOUR);
    let (_, accepted) = tokio::join!(
        tokio::time::timeout(HOUR / 3600, intrude(&server, &ca, Some(&good))),
        server.accept()
    );
    assert!(matches!(accepted.unwrap().peer(), PeerKind::Node { .. }));
}

#[tokio::test]
async fn a_client_with_a_nodes_certificate_is_a_client() {
    let ca = ClusterCa::generate(ClusterId([1; 16]), now()).unwrap();
    let served = EdgeCertificate::self_signed(&["localhost".into()], now(), HOUR).unwrap();
    let server = QuicEndpoint::bind(QuicConfig {
        bind: ANY,
        edge: Some(served.clone()),
        identity: Some(identity(&ca, 1, now(), HOUR)),
        trust: None,
        options: QuicOptions::default(),
    })
    .unwrap();
    let mut tls = tls::quic_client(&Trust::Pinned(served.fingerprint())).unwrap();
    assert_eq!(tls.alpn_protocols, [ALPN_CLIENT]);
    tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(
        identity(&ca, 2, now(), HOUR).certified(),
    ));
    let config = client_config(tls, options::client_dial(&QuicOptions::default())).unwrap();
    let endpoint = QuicEndpoint::bind(QuicConfig::client(Trust::Public, ANY)).unwrap();
    let (dialled, accepted) = tokio::join!(
        endpoint.connect(config, server.local(), "localhost"),
        server.accept()
    );
    let _dialled = dialled.unwrap();
    assert_eq!(accepted.unwrap().peer(), &PeerKind::Client);
}
