//! Who is there, and what each node tells of itself.
//!
//! Membership is SWIM by way of foca, over small sealed datagrams. What a node
//! tells of itself (a few short keys) travels by chitchat over the nodes'
//! QUIC. Both are hints: they steer routing and placement, and never decide
//! who may append (design decision D1).
//!
//! [`membership`] and [`seal`] do no I/O and read no clock: [`gossip`] drives
//! them over the ports of [`port`].

pub mod gossip;
pub mod identity;
pub mod membership;
pub mod port;
pub mod seal;
pub mod state;
pub mod stats;
pub mod swim;
pub mod udp;

pub use gossip::{Gossip, GossipConfig, GossipError, Ports, StateKind};
pub use identity::{Identity, IdentityError};
pub use membership::{Member, MemberState};
pub use port::{Datagrams, LinkError, StateLink};
pub use seal::{Keyring, Refused};
pub use state::{NodeState, StateError};
pub use stats::GossipStats;
pub use swim::SwimConfig;
pub use udp::UdpDatagrams;

#[cfg(test)]
mod testnet;
