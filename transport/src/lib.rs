//! One port for everything that carries frames: QUIC, WebSocket and a
//! simulated network. Node and SDK code is the same over all three.
//!
//! - [`port`]: the traits ([`Connection`], [`Listener`], [`Dial`], ...);
//! - [`quic`]: one UDP port for clients, nodes and joiners, told apart by ALPN;
//! - [`ws`]: WebSocket, one stream per connection;
//! - [`sim`]: a deterministic network under virtual time;
//! - [`pki`], [`tls`]: the cluster's own CA and who is trusted how;
//! - [`counters`]: bytes by kind of peer and remote region.

pub mod counters;
pub mod error;
pub mod pki;
pub mod port;
pub mod quic;
pub mod sim;
pub mod tls;
pub mod ws;

pub use counters::{ConnectionStats, Counters};
pub use error::{Result, TransportError};
pub use pki::{ClusterCa, ClusterId, Fingerprint, NodeIdentity, NodeKey, PkiError};
pub use port::{
    Carrier, Connection, Dial, FrameLimits, FrameRecv, FrameSend, FramedStream, Listener, PeerKind,
    finish_and_close,
};
pub use quic::{QuicConfig, QuicEndpoint, QuicOptions};
pub use tls::{EdgeCertificate, Trust};
pub use ws::{WsDialer, WsOptions};
