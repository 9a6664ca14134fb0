//! Dialling.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use folkmoot_wire::{Code, NodeId};
use quinn::{ConnectionError, TransportErrorCode, VarInt};

use super::accept::{ACCEPTED, certificate_name};
use super::connection::{QuicConnection, lost};
use super::{QuicEndpoint, client_config, options};
use crate::error::{Result, TransportError};
use crate::pki::{Fingerprint, NodeName, PkiError};
use crate::port::{Connection, Dial, PeerKind};
use crate::tls;

/// Nodes are known by number, not by name; TLS wants one all the same.
const NODE_SERVER_NAME: &str = "folkmoot-node";

impl QuicEndpoint {
    pub(super) async fn connect(
        &self,
        config: quinn::ClientConfig,
        addr: SocketAddr,
        server_name: &str,
    ) -> Result<quinn::Connection> {
        let connecting = self
            .endpoint
            .connect_with(config, addr, server_name)
            .map_err(|error| TransportError::Unreachable {
                addr,
                reason: error.to_string(),
            })?;
        connecting.await.map_err(|error| failed(addr, error))
    }

    async fn in_time<T>(&self, dial: impl Future<Output = Result<T>>) -> Result<T> {
        let after = self.options.dial_deadline;
        match tokio::time::timeout(after, dial).await {
            Ok(dialled) => dialled,
            Err(_) => Err(TransportError::Deadline {
                what: "dialling",
                after,
            }),
        }
    }

    fn made(&self, quic: quinn::Connection, peer: PeerKind, max: usize) -> Arc<dyn Connection> {
        let counters = self.options.counters.clone();
        Arc::new(QuicConnection::new(quic, peer, max, counters))
    }
}

/// Waits for the word that this side was accepted.
async fn accepted(quic: &quinn::Connection, addr: SocketAddr) -> Result<()> {
    let mut word = quic
        .accept_uni()
        .await
        .map_err(|error| failed(addr, error))?;
    let mut byte = [0];
    match word.read_exact(&mut byte).await {
        Ok(()) if byte == [ACCEPTED] => Ok(()),
        Ok(()) => Err(TransportError::Protocol {
            reason: "it greets unlike a node".into(),
        }),
        Err(error) => Err(quic
            .close_reason()
            .map_or_else(|| TransportError::lost(error), |error| failed(addr, error))),
    }
}

fn shown_name(quic: &quinn::Connection) -> Result<NodeName> {
    certificate_name(quic)
        .unwrap_or_else(|| Err(PkiError::Name("it showed no certificate".into())))
        .map_err(TransportError::Pki)
}

#[async_trait]
impl Dial for QuicEndpoint {
    async fn dial_node(&self, node: NodeId, addr: SocketAddr) -> Result<Arc<dyn Connection>> {
        let config = self.node.clone().ok_or(TransportError::Unsupported(
            "this endpoint has no node certificate to dial nodes with: join a cluster first",
        ))?;
        self.in_time(async {
            let quic = self.connect(config, addr, NODE_SERVER_NAME).await?;
            let name = shown_name(&quic)?;
            if name.node != node {
                let code = VarInt::from_u32(Code::WrongCluster as u32);
                quic.close(code, b"dialled another node");
                return Err(TransportError::WrongPeer {
                    expected: node,
                    got: name.node,
                });
            }
            accepted(&quic, addr).await?;
            let region = name.region;
            let max = self.options.frames.node;
            Ok(self.made(quic, PeerKind::Node { node, region }, max))
        })
        .await
    }

    async fn dial_client(
        &self,
        addr: SocketAddr,
        server_name: &str,
    ) -> Result<Arc<dyn Connection>> {
        let config = self.client.clone().ok_or(TransportError::Unsupported(
            "this endpoint does not say whom it trusts: set QuicConfig.trust to dial edges",
        ))?;
        self.in_time(async {
            let quic = self.connect(config, addr, server_name).await?;
            Ok(self.made(quic, PeerKind::Edge, self.options.frames.client))
        })
        .await
    }

    async fn dial_join(&self, addr: SocketAddr, ca: Fingerprint) -> Result<Arc<dyn Connection>> {
        let config = client_config(tls::join_client(ca)?, options::client_dial(&self.options))?;
        self.in_time(async {
            let quic = self.connect(config, addr, NODE_SERVER_NAME).await?;
            let NodeName { node, region, .. } = shown_name(&quic)?;
            accepted(&quic, addr).await?;
            let max = self.options.frames.client;
            Ok(self.made(quic, PeerKind::Node { node, region }, max))
        })
        .await
    }
}

/// What a failed handshake means.
fn failed(addr: SocketAddr, error: ConnectionError) -> TransportError {
    // RFC 9001, section 4.8: TLS alerts are the codes from 0x100 on.
    let is_tls = |code: TransportErrorCode| (0x100..0x200).contains(&u64::from(code));
    match &error {
        ConnectionError::TransportError(inner) if is_tls(inner.code) => TransportError::Tls {
            addr,
            reason: format!("this side refused: {}", inner.reason),
        },
        ConnectionError::ConnectionClosed(close) if is_tls(close.error_code) => {
            TransportError::Tls {
                addr,
                reason: format!(
                    "the peer refused: {} {}",
                    close.error_code,
                    String::from_utf8_lossy(&close.reason)
                ),
            }
        }
        ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed => lost(error),
        _ => TransportError::Unreachable {
            addr,
            reason: error.to_string(),
        },
    }
}
