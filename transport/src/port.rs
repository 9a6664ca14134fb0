//! The port: what a carrier of frames looks like to the rest of the system.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_wire::{NodeId, limits};

use crate::counters::ConnectionStats;
use crate::error::{Result, TransportError};
use crate::pki::Fingerprint;

/// Who is at the other end, as far as the transport has proof of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerKind {
    /// A client; who it is says its token.
    Client,
    /// A node, proven by a certificate of this cluster.
    Node {
        /// Its number.
        node: NodeId,
        /// Its region's name.
        region: String,
    },
    /// A node that has no certificate yet.
    Joiner,
    /// Seen from a client: the edge it dialled.
    Edge,
}

/// What carries a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// QUIC over UDP.
    Quic,
    /// WebSocket over TCP.
    WebSocket,
    /// The simulated network.
    Sim,
}

impl Carrier {
    /// Stable name, for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::WebSocket => "websocket",
            Self::Sim => "sim",
        }
    }
}

/// Largest frames, in bytes, sent and received, by kind of peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// With clients, edges and joiners.
    pub client: usize,
    /// With nodes.
    pub node: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            client: limits::CLIENT_FRAME_MAX,
            node: limits::NODE_FRAME_MAX,
        }
    }
}

impl FrameLimits {
    /// The limit that holds with `peer`. A joiner is a stranger: it gets a
    /// client's.
    #[must_use]
    pub fn of(&self, peer: &PeerKind) -> usize {
        match peer {
            PeerKind::Node { .. } => self.node,
            PeerKind::Client | PeerKind::Joiner | PeerKind::Edge => self.client,
        }
    }
}

/// The sending half of a stream of frames.
///
/// Dropping it ends the stream for the peer, after what was sent.
#[async_trait]
pub trait FrameSend: Send {
    /// Sends one frame. Waits while the peer does not read (back-pressure).
    ///
    /// A send that is dropped before it is done may leave half a frame on the
    /// stream: later sends then fail with [`TransportError::Interrupted`].
    ///
    /// # Errors
    /// [`TransportError::FrameTooLarge`] when the frame is over this side's
    /// limit (nothing is sent); otherwise the stream or connection has ended.
    async fn send(&mut self, frame: Bytes) -> Result<()>;

    /// Sends several frames in one flush, in order.
    ///
    /// # Errors
    /// As [`FrameSend::send`]; one frame over the limit refuses all of them.
    async fn send_many(&mut self, frames: &[Bytes]) -> Result<()>;

    /// Ends this direction. Returns when the peer's transport has everything,
    /// or after a bounded wait; see
    /// [`finish_and_close`] for when the last frames matter. On a WebSocket it ends both directions.
    ///
    /// # Errors
    /// When the connection ended before.
    async fn finish(&mut self) -> Result<()>;
}

/// The receiving half of a stream of frames. `recv` may be dropped at any
/// point without losing anything.
#[async_trait]
pub trait FrameRecv: Send {
    /// The next frame; `None` when the peer has ended the stream.
    ///
    /// # Errors
    /// [`TransportError::FrameTooLarge`] as soon as the length is known to be
    /// over the limit, [`TransportError::Closed`] with the peer's code when it
    /// closed the connection, and so on.
    async fn recv(&mut self) -> Result<Option<Bytes>>;
}

/// A two-way stream of frames.
pub struct FramedStream {
    /// To the peer.
    pub tx: Box<dyn FrameSend>,
    /// From the peer.
    pub rx: Box<dyn FrameRecv>,
}

impl std::fmt::Debug for FramedStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FramedStream")
    }
}

/// A connection to one peer. It ends when it is closed, or when it and all of
/// its streams are dropped.
#[async_trait]
pub trait Connection: Send + Sync + std::fmt::Debug {
    /// Who is there.
    fn peer(&self) -> &PeerKind;
    /// Where.
    fn remote(&self) -> SocketAddr;
    /// What carries it.
    fn kind(&self) -> Carrier;
    /// Opens a stream; the peer sees it when the first frame arrives. Waits
    /// while the peer's limit of streams is reached. A WebSocket has exactly
    /// one stream: the dialling side opens it, once.
    ///
    /// # Errors
    /// When the connection has ended, or has no stream left to open.
    async fn open(&self) -> Result<FramedStream>;
    /// The next stream that the peer opened; `None` when the connection has
    /// ended and no more will come. Why it ended says [`Connection::closed`].
    ///
    /// # Errors
    /// When the peer breaks the carrier's protocol.
    async fn accept(&self) -> Result<Option<FramedStream>>;
    /// Closes at once, with all streams. The peer gets code and reason. What
    /// was not finished may be lost.
    fn close(&self, code: u32, reason: &str);
    /// Waits until the connection has ended, and says why. Over WebSocket the
    /// end shows only while someone receives or sends.
    async fn closed(&self) -> TransportError;
    /// What went over it so far. Cheap.
    fn stats(&self) -> ConnectionStats;
}

/// Closes with a code after everything that was sent has arrived: for last
/// words, such as the error that explains the close. Takes a bounded time.
pub async fn finish_and_close(
    connection: &dyn Connection,
    mut tx: Box<dyn FrameSend>,
    code: u32,
    reason: &str,
) {
    // A WebSocket delivers in order, close frame included; finishing it would
    // already be its close.
    if connection.kind() != Carrier::WebSocket {
        let _ = tx.finish().await;
    }
    connection.close(code, reason);
}

/// Takes connections from others.
#[async_trait]
pub trait Listener: Send + Sync {
    /// The next connection whose handshake is done; `None` once closed.
    async fn accept(&self) -> Option<Arc<dyn Connection>>;
    /// Where it listens.
    fn local(&self) -> SocketAddr;
    /// Stops, and closes all connections with `draining`.
    async fn close(&self);
}

/// Makes connections to others. Every dial has a deadline.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Connects to the node `node` at `addr`; both sides prove who they are.
    /// `Ok` means that the node has accepted this one's certificate.
    ///
    /// # Errors
    /// [`TransportError::WrongPeer`] when another node is there.
    async fn dial_node(&self, node: NodeId, addr: SocketAddr) -> Result<Arc<dyn Connection>>;

    /// Connects as a client. `server_name`: the name the edge's certificate is
    /// for; may be an IP address in text.
    ///
    /// # Errors
    /// When the edge cannot be reached or is not trusted.
    async fn dial_client(&self, addr: SocketAddr, server_name: &str)
    -> Result<Arc<dyn Connection>>;

    /// Connects to any node of the cluster whose CA certificate has this
    /// fingerprint, as one that has no certificate yet.
    ///
    /// # Errors
    /// When what answers is not a node of that cluster.
    async fn dial_join(&self, addr: SocketAddr, ca: Fingerprint) -> Result<Arc<dyn Connection>>;
}
