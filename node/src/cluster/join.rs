//! Letting a node in: a token authorises a signing request (one stream, one
//! request, one answer).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_replication::meta::FOUNDER;
use folkmoot_transport::{ClusterCa, Connection};
use folkmoot_wire::proto::{
    JoinReply, JoinRequest, MetaCommand, RegisterNode, meta_command, node_reply, node_request,
};
use folkmoot_wire::{Code, Fault, NodeId, limits};
use prost::Message;
use tokio::time::timeout;

use super::meta::MetaHost;
use super::parts::Joins;
use super::peers::{Class, Peers};
use super::router::Router;
use super::start::Node;
use super::view::ClusterView;
use crate::ports::Clock;

/// A node's certificate is good for this long.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Serves one joiner.
pub async fn serve(joins: Arc<dyn Joins>, connection: Arc<dyn Connection>) {
    let work = async {
        let mut stream = connection.accept().await.ok()??;
        let frame = stream.rx.recv().await.ok()??;
        let answer = match JoinRequest::decode(frame) {
            Ok(request) => joins.join(request).await,
            Err(_) => Err(Code::MalformedFrame.into()),
        };
        let reply = answer.unwrap_or_else(|fault| JoinReply {
            error: Some(fault.into()),
            ..JoinReply::default()
        });
        stream.tx.send(reply.encode_to_vec().into()).await.ok()?;
        stream.tx.finish().await.ok()
    };
    if timeout(limits::PROPOSE_DEADLINE * 2, work).await.is_err() {
        tracing::warn!(from = %connection.remote(), "a joiner took too long");
    }
    connection.close(0, "done");
}

/// A cluster that takes no nodes: one made by `start` alone.
pub struct NoJoins;

#[async_trait]
impl Joins for NoJoins {
    async fn join(&self, _: JoinRequest) -> Result<JoinReply, Fault> {
        Err(Code::JoinRefused.into())
    }
}

/// The hash of a token's secret that the meta shard keeps.
#[must_use]
pub fn token_hash(secret: &str) -> Bytes {
    let hash = blake3::derive_key("folkmoot v1 join token", secret.as_bytes());
    Bytes::copy_from_slice(&hash)
}

/// Signs what proves to other nodes who a node is.
pub trait Authority: Send + Sync {
    /// A certificate (DER) for the key of a signing request.
    ///
    /// # Errors
    /// When the request is not one.
    fn issue(
        &self,
        request: &[u8],
        node: NodeId,
        region: &str,
        now: Duration,
    ) -> Result<Bytes, Fault>;

    /// The authority's own certificate (DER).
    fn certificate(&self) -> Bytes;
}

impl Authority for ClusterCa {
    fn issue(
        &self,
        request: &[u8],
        node: NodeId,
        region: &str,
        now: Duration,
    ) -> Result<Bytes, Fault> {
        let issued = ClusterCa::issue(self, request, node, region, now, CERTIFICATE_LIFE);
        let certificate = issued.map_err(|error| Fault::new(Code::Invalid, error.to_string()))?;
        Ok(Bytes::copy_from_slice(&certificate))
    }

    fn certificate(&self) -> Bytes {
        Bytes::copy_from_slice(ClusterCa::certificate(self))
    }
}

/// The three ways a node answers those who want to join.
pub enum Joining {
    /// No nodes are taken.
    Refused,
    /// Passed on to the node that holds the CA's key.
    Passed(Arc<PassOn>),
    /// Let in here.
    Signed(Arc<CaJoins>),
}

impl Joining {
    /// Passes requests on.
    #[must_use]
    pub fn passed() -> Self {
        Self::Passed(Arc::new(PassOn {
            node: OnceLock::new(),
        }))
    }

    /// Lets nodes in. `gossip_key`: key id (1 byte) and key (32 bytes).
    #[must_use]
    pub fn signed(
        ca: Box<dyn Authority>,
        cluster: [u8; 16],
        gossip_key: Bytes,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::Signed(Arc::new(CaJoins {
            ca,
            cluster,
            gossip_key,
            clock,
            node: OnceLock::new(),
        }))
    }

    /// As the node is given it.
    #[must_use]
    pub fn port(&self) -> Arc<dyn Joins> {
        match self {
            Self::Refused => Arc::new(NoJoins),
            Self::Passed(port) => Arc::clone(port) as Arc<dyn Joins>,
            Self::Signed(port) => Arc::clone(port) as Arc<dyn Joins>,
        }
    }

    /// Requests are answered from here on.
    pub fn connect(&self, node: &Node) {
        match self {
            Self::Refused => {}
            Self::Passed(port) => {
                let _ = port.node.set(Arc::clone(&node.peers));
            }
            Self::Signed(port) => {
                let _ = port.node.set(CaNode {
                    router: Arc::clone(&node.router),
                    meta: Arc::clone(&node.meta),
                    view: Arc::clone(&node.view),
                });
            }
        }
    }
}

/// Passes requests on, where the CA's key is not.
pub struct PassOn {
    node: OnceLock<Arc<Peers>>,
}

#[async_trait]
impl Joins for PassOn {
    async fn join(&self, request: JoinRequest) -> Result<JoinReply, Fault> {
        let Some(peers) = self.node.get() else {
            return Err(Fault::new(Code::Unavailable, "the node is starting"));
        };
        let request = node_request::Request::Join(request);
        let deadline = limits::PROPOSE_DEADLINE;
        match peers.call(FOUNDER, Class::Live, request, deadline).await {
            Ok(node_reply::Reply::Joined(reply)) => Ok(reply),
            Ok(_) => Err(Code::Internal.into()),
            Err(fault) if fault.code.temporary() => {
                let detail = format!("node {FOUNDER}, which has the CA's key: {fault}");
                Err(Fault::new(Code::Unavailable, detail))
            }
            Err(fault) => Err(fault),
        }
    }
}

/// Lets nodes in with the CA's key.
pub struct CaJoins {
    ca: Box<dyn Authority>,
    cluster: [u8; 16],
    gossip_key: Bytes,
    clock: Arc<dyn Clock>,
    node: OnceLock<CaNode>,
}

/// The parts of the running node that joining goes through.
struct CaNode {
    router: Arc<Router>,
    meta: Arc<MetaHost>,
    view: Arc<ClusterView>,
}

impl CaJoins {
    fn now(&self) -> Duration {
        Duration::from_millis(self.clock.wall_ms())
    }
}

#[async_trait]
impl Joins for CaJoins {
    async fn join(&self, request: JoinRequest) -> Result<JoinReply, Fault> {
        let Some(node) = self.node.get() else {
            return Err(Fault::new(Code::Unavailable, "the node is starting"));
        };
        let Some(record) = request.node else {
            return Err(Fault::new(Code::Invalid, "a join names the node"));
        };
        let region = record.region.clone();
        let command = MetaCommand {
            now_ms: self.clock.wall_ms(),
            op: Some(meta_command::Op::Register(RegisterNode {
                node: Some(record),
                token_hash: token_hash(&request.token),
                public_key: Bytes::copy_from_slice(blake3::hash(&request.csr).as_bytes()),
                shards: request.shards,
                voters: request.voters,
                goal: request.goal,
            })),
        };
        let outcome = node.router.meta(&node.meta, command).await?;
        let id = NodeId(outcome.node);
        // Another node may have applied it first.
        let known = node.view.knows(outcome.version);
        let _ = timeout(limits::RPC_DEADLINE, known).await;
        let certificate = self.ca.issue(&request.csr, id, &region, self.now())?;
        tracing::info!(node = id.0, region, "a node joined");
        Ok(JoinReply {
            node: id.0,
            certificate,
            ca_certificate: self.ca.certificate(),
            cluster: Bytes::copy_from_slice(&self.cluster),
            gossip_key: self.gossip_key.clone(),
            meta: Some((**node.view.placement().state()).clone()),
            error: None,
        })
    }
}
