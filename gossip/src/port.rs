//! The ports: what the driver needs of a network. The simulator brings its
//! own; [`crate::UdpDatagrams`] is the real one.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_wire::NodeId;

/// Largest datagram sent or accepted, in bytes, seal included: it fits an
/// Ethernet frame through most tunnels without fragments.
pub const DATAGRAM_MAX: usize = 1_400;

/// An unreliable datagram socket.
#[async_trait]
pub trait Datagrams: Send + Sync {
    /// Sends one datagram. It may be lost without an error.
    ///
    /// # Errors
    /// When the packet could not be handed to the network.
    async fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()>;

    /// The next datagram. Must be safe to cancel: a dropped call loses none.
    ///
    /// # Errors
    /// When the socket itself failed; one peer's trouble is not reported.
    async fn recv(&self) -> io::Result<(SocketAddr, Bytes)>;

    /// The address the socket is bound to.
    fn local(&self) -> SocketAddr;
}

/// Why a payload was not handed to a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is no connection to the node and none could be made.
    #[error("node {0} cannot be reached")]
    Unreachable(NodeId),
    /// The link was shut down.
    #[error("the link between the nodes is closed")]
    Closed,
}

/// Carries the larger node-state messages: the nodes' own authenticated
/// connections. Payloads are at most 64 KiB, or
/// [`crate::state::MESSAGE_MAX`] in the simulator.
#[async_trait]
pub trait StateLink: Send + Sync {
    /// Sends one message; delivery is not promised.
    ///
    /// # Errors
    /// When the peer cannot be reached now.
    async fn send(&self, to: NodeId, payload: Bytes) -> Result<(), LinkError>;

    /// The next message, or nothing once the link is closed. Must be safe to
    /// cancel: a dropped call loses none.
    async fn recv(&self) -> Option<(NodeId, Bytes)>;
}

/// Longest a state message may take to leave. Later: given up; the next round
/// sends a fresh one.
pub const STATE_SEND_DEADLINE: Duration = Duration::from_secs(5);
/// State messages on their way at once. More: dropped and counted.
pub const STATE_SENDS_MAX: usize = 32;
