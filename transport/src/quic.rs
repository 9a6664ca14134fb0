//! QUIC: one UDP socket that takes clients, nodes and joiners, told apart by
//! ALPN, and from which this process dials.
//!
//! A node or joiner that connects is told that it was accepted by one byte on
//! a one-way stream. Without it a dialling node would learn only later that
//! its certificate was refused: TLS 1.3 ends on the client's side first.

mod accept;
mod connection;
mod deframe;
mod dial;
mod options;
mod stream;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use folkmoot_wire::Code;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{TokioRuntime, TransportConfig, VarInt};
use tokio::sync::{Mutex, mpsc};
use tokio::task::AbortHandle;

pub use options::QuicOptions;

use crate::error::{Result, TransportError};
use crate::pki::{NodeIdentity, PkiError};
use crate::port::{Connection, Listener};
use crate::tls::{self, EdgeCertificate, Trust};

/// Connections whose handshake is done and that nobody has taken yet.
const ACCEPTED_QUEUE: usize = 64;
/// How long closing waits for the peers to hear of it.
const CLOSE_WAIT: Duration = Duration::from_secs(3);

/// What an endpoint is, serves and trusts.
#[derive(Debug)]
pub struct QuicConfig {
    /// Where to bind; port 0: any.
    pub bind: SocketAddr,
    /// Shown to clients. `None`: clients are not served.
    pub edge: Option<EdgeCertificate>,
    /// Who this node is. `None`: nodes and joiners are not served, and nodes
    /// cannot be dialled.
    pub identity: Option<Arc<NodeIdentity>>,
    /// Whom `dial_client` trusts. `None`: it is not used.
    pub trust: Option<Trust>,
    /// Everything else.
    pub options: QuicOptions,
}

impl QuicConfig {
    /// A client's endpoint.
    #[must_use]
    pub fn client(trust: Trust, bind: SocketAddr) -> Self {
        Self {
            bind,
            edge: None,
            identity: None,
            trust: Some(trust),
            options: QuicOptions::default(),
        }
    }
}

/// A bound QUIC endpoint: a [`Listener`] (when it serves anyone) and a
/// [`Dial`](crate::Dial). When it is dropped it takes no more connections;
/// those that exist go on.
pub struct QuicEndpoint {
    endpoint: quinn::Endpoint,
    local: SocketAddr,
    accepted: Mutex<mpsc::Receiver<Arc<dyn Connection>>>,
    accepting: Option<AbortHandle>,
    node: Option<quinn::ClientConfig>,
    client: Option<quinn::ClientConfig>,
    options: QuicOptions,
}

impl std::fmt::Debug for QuicEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "QuicEndpoint({})", self.local)
    }
}

impl QuicEndpoint {
    /// Binds the socket and begins to take connections.
    ///
    /// # Errors
    /// When the address is taken or a certificate cannot be used.
    pub fn bind(config: QuicConfig) -> Result<Arc<Self>> {
        let bind = config.bind;
        let socket = UdpSocket::bind(bind).map_err(|error| TransportError::Bind {
            addr: bind,
            reason: error.to_string(),
        })?;
        Self::on(socket, config)
    }

    /// Takes a socket that is bound, to [`QuicConfig::bind`] or any address.
    ///
    /// # Errors
    /// When a certificate cannot be used.
    pub fn on(socket: UdpSocket, config: QuicConfig) -> Result<Arc<Self>> {
        let QuicConfig {
            bind,
            edge,
            identity,
            trust,
            options,
        } = config;
        let serves = edge.is_some() || identity.is_some();
        let server = serves
            .then(|| server_config(edge.as_ref(), identity.as_deref(), &options))
            .transpose()?;
        let node = identity
            .as_deref()
            .map(|identity| {
                client_config(tls::node_client(identity)?, options::node_dial(&options))
            })
            .transpose()?;
        let client = trust
            .as_ref()
            .map(|trust| client_config(tls::quic_client(trust)?, options::client_dial(&options)))
            .transpose()?;
        let failed = |error: std::io::Error| TransportError::Bind {
            addr: bind,
            reason: error.to_string(),
        };
        let endpoint = quinn::Endpoint::new(
            options::endpoint(identity.as_deref().map(NodeIdentity::reset_secret)),
            server,
            socket,
            Arc::new(TokioRuntime),
        )
        .map_err(failed)?;
        let local = endpoint.local_addr().map_err(failed)?;
        let (tx, rx) = mpsc::channel(ACCEPTED_QUEUE);
        let accepting = serves.then(|| {
            let task = accept::run(endpoint.clone(), options.clone(), tx);
            tokio::spawn(task).abort_handle()
        });
        Ok(Arc::new(Self {
            endpoint,
            local,
            accepted: Mutex::new(rx),
            accepting,
            node,
            client,
            options,
        }))
    }

    /// Connections open now, of both directions.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.endpoint.open_connections()
    }
}

impl Drop for QuicEndpoint {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

#[async_trait]
impl Listener for QuicEndpoint {
    async fn accept(&self) -> Option<Arc<dyn Connection>> {
        self.accepted.lock().await.recv().await
    }

    fn local(&self) -> SocketAddr {
        self.local
    }

    async fn close(&self) {
        let code = VarInt::from_u32(Code::Draining as u32);
        self.endpoint
            .close(code, Code::Draining.message().as_bytes());
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        // Peers that cannot be reached any more do not hold this up.
        let _ = tokio::time::timeout(CLOSE_WAIT, self.endpoint.wait_idle()).await;
    }
}

fn make(error: impl ToString) -> PkiError {
    PkiError::Make(error.to_string())
}

fn server_config(
    edge: Option<&EdgeCertificate>,
    identity: Option<&NodeIdentity>,
    options: &QuicOptions,
) -> Result<quinn::ServerConfig> {
    let tls = QuicServerConfig::try_from(tls::quic_server(edge, identity)?).map_err(make)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(Arc::new(options::server(options)))
        .max_incoming(options.handshakes)
        .incoming_buffer_size(64 * 1024)
        .incoming_buffer_size_total(8 * 1024 * 1024);
    Ok(config)
}

fn client_config(
    tls: rustls::ClientConfig,
    transport: TransportConfig,
) -> Result<quinn::ClientConfig> {
    let tls = QuicClientConfig::try_from(tls).map_err(make)?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport));
    Ok(config)
}
