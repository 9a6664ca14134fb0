//! How the demo's clients reach their edges: one QUIC socket and one dialer of
//! WebSockets for each node, shared by all clients of it, since each node has
//! a certificate of its own to pin.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use folkmoot_client::{Carrier, ClientBuilder, NodeId};
use folkmoot_transport::{
    Connection, Dial, Fingerprint, QuicConfig, QuicEndpoint, Result, TransportError, Trust,
    WsDialer, WsOptions,
};

use crate::demo::cluster::Cluster;

/// QUIC sockets to each node: one alone is one task that all packets of all
/// clients go through.
const SOCKETS: usize = 4;

/// Dials nodes by their addresses.
struct ByAddress {
    nodes: HashMap<SocketAddr, Vec<Arc<dyn Dial>>>,
    turn: AtomicUsize,
}

#[async_trait]
impl Dial for ByAddress {
    async fn dial_node(&self, _: NodeId, _: SocketAddr) -> Result<Arc<dyn Connection>> {
        Err(TransportError::Unsupported("a client does not dial nodes"))
    }

    async fn dial_client(&self, addr: SocketAddr, name: &str) -> Result<Arc<dyn Connection>> {
        let dialers = self.nodes.get(&addr).map(Vec::as_slice).unwrap_or_default();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        match dialers.get(turn % dialers.len().max(1)) {
            Some(dialer) => dialer.dial_client(addr, name).await,
            None => Err(TransportError::Unsupported("this is no edge of the demo")),
        }
    }

    async fn dial_join(&self, _: SocketAddr, _: Fingerprint) -> Result<Arc<dyn Connection>> {
        Err(TransportError::Unsupported(
            "a client does not join a cluster",
        ))
    }
}

/// Dialers of both kinds.
pub struct Dialers {
    quic: Arc<ByAddress>,
    websocket: Arc<ByAddress>,
}

impl Dialers {
    pub fn new(cluster: &Cluster) -> anyhow::Result<Self> {
        let mut quic = HashMap::new();
        let mut websocket = HashMap::new();
        for member in &cluster.members {
            let trust = Trust::Pinned(member.fingerprint);
            let mut sockets = Vec::with_capacity(SOCKETS);
            for _ in 0..SOCKETS {
                let bind = match member.place.listen.ip().is_loopback() {
                    true => (Ipv4Addr::LOCALHOST, 0).into(),
                    false => (Ipv4Addr::UNSPECIFIED, 0).into(),
                };
                let endpoint = QuicEndpoint::bind(QuicConfig::client(trust.clone(), bind))?;
                sockets.push(endpoint as Arc<dyn Dial>);
            }
            let dialer = WsDialer::new(&trust, WsOptions::default())?;
            quic.insert(member.place.listen, sockets);
            websocket.insert(member.place.listen, vec![Arc::new(dialer) as Arc<dyn Dial>]);
        }
        let shared = |nodes| {
            Arc::new(ByAddress {
                nodes,
                turn: AtomicUsize::new(0),
            })
        };
        Ok(Self {
            quic: shared(quic),
            websocket: shared(websocket),
        })
    }

    /// A client over this carrier.
    pub fn builder(&self, carrier: Carrier) -> ClientBuilder {
        let dialer = match carrier {
            Carrier::WebSocket => Arc::clone(&self.websocket),
            _ => Arc::clone(&self.quic),
        };
        ClientBuilder::default()
            .dialer(dialer)
            .name("folkmoot-demo")
    }

    /// What dials WebSockets.
    pub fn websocket(&self) -> Arc<dyn Dial> {
        Arc::clone(&self.websocket) as Arc<dyn Dial>
    }
}
