//! The name under which a node takes part in membership.

use std::net::SocketAddr;

use folkmoot_wire::NodeId;
use serde::{Deserialize, Serialize};

/// Longest region name, in bytes.
pub const REGION_MAX: usize = 64;

/// Bit of [`Wire::flags`]: the node takes no new work.
const DRAINING: u8 = 1;
/// Bit of [`Wire::flags`]: the node is going for good.
const LEAVING: u8 = 2;

/// Why values do not make an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// 0 is no node.
    #[error("node id 0 is no node: use the id that the cluster gave this node when it joined")]
    NoNode,
    /// The region's name is empty or too long.
    #[error("a region name is 1 to {REGION_MAX} bytes, got {0}")]
    Region(usize),
}

/// A node as SWIM knows it. Two identities of one node never coexist: the
/// later one (by incarnation, then by renewal) replaces the earlier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Identity {
    // The order of the fields is the order in which conflicts are decided.
    incarnation: u64,
    renewal: u32,
    flags: u8,
    addr: SocketAddr,
    quic: SocketAddr,
    region: String,
    node: u32,
}

impl Identity {
    /// A node that just started. `incarnation` is persisted by the caller and
    /// must be higher than at every earlier start of this node. `addr` is
    /// where others reach its gossip socket, `quic` its QUIC endpoint.
    ///
    /// # Errors
    /// When `node` is 0, or the region's name is empty or too long.
    pub fn new(
        node: NodeId,
        region: impl Into<String>,
        addr: SocketAddr,
        quic: SocketAddr,
        incarnation: u64,
    ) -> Result<Self, IdentityError> {
        let region = region.into();
        if node.0 == 0 {
            return Err(IdentityError::NoNode);
        }
        if region.is_empty() || region.len() > REGION_MAX {
            return Err(IdentityError::Region(region.len()));
        }
        Ok(Self {
            incarnation,
            renewal: 0,
            flags: 0,
            addr,
            quic,
            region,
            node: node.0,
        })
    }

    /// Stands for "whoever answers at `addr`", as the target of an announce to
    /// a seed of which only the address is known.
    pub(crate) fn seed(addr: SocketAddr) -> Self {
        Self {
            incarnation: 0,
            renewal: 0,
            flags: 0,
            addr,
            quic: addr,
            region: String::new(),
            node: 0,
        }
    }

    /// Whether this is a [`Self::seed`].
    pub(crate) fn is_seed(&self) -> bool {
        self.node == 0
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(self.node)
    }

    /// The name of its region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Where its gossip socket is reached.
    #[must_use]
    pub fn gossip_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its QUIC endpoint is reached.
    #[must_use]
    pub fn quic_addr(&self) -> SocketAddr {
        self.quic
    }

    /// The number of this start of the node.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whether the node takes no new work.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.flags & DRAINING != 0
    }

    /// Whether the node is going for good.
    #[must_use]
    pub fn leaving(&self) -> bool {
        self.flags & LEAVING != 0
    }

    pub(crate) fn with_draining(&self, draining: bool) -> Self {
        let flags = if draining {
            self.flags | DRAINING
        } else {
            self.flags & !DRAINING
        };
        self.renewed(flags)
    }

    pub(crate) fn with_leaving(&self) -> Self {
        self.renewed(self.flags | LEAVING)
    }

    fn renewed(&self, flags: u8) -> Self {
        Self {
            renewal: self.renewal.saturating_add(1),
            flags,
            ..self.clone()
        }
    }
}

impl foca::Identity for Identity {
    // The node, not its address: a node that comes back elsewhere is the same
    // node, and replaces what it was.
    type Addr = u32;

    /// The next identity of the same start, taken when the cluster wrongly
    /// holds this one for dead. A node that leaves does not come back.
    fn renew(&self) -> Option<Self> {
        (!self.leaving() && self.renewal < u32::MAX).then(|| self.renewed(self.flags))
    }

    fn addr(&self) -> u32 {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self > adversary
    }
}

/// The form in which an identity travels.
#[derive(Clone, Serialize, Deserialize)]
struct Wire {
    node: u32,
    incarnation: u64,
    renewal: u32,
    flags: u8,
    region: String,
    addr: SocketAddr,
    quic: SocketAddr,
}

impl From<Identity> for Wire {
    fn from(identity: Identity) -> Self {
        let Identity {
            incarnation,
            renewal,
            flags,
            addr,
            quic,
            region,
            node,
        } = identity;
        Self {
            node,
            incarnation,
            renewal,
            flags,
            region,
            addr,
            quic,
        }
    }
}

impl TryFrom<Wire> for Identity {
    type Error = IdentityError;

    fn try_from(wire: Wire) -> Result<Self, IdentityError> {
        // A seed's placeholder has no region; who may use it is for the codec.
        if wire.region.len() > REGION_MAX || (wire.region.is_empty() && wire.node != 0) {
            return Err(IdentityError::Region(wire.region.len()));
        }
        let Wire {
            node,
            incarnation,
            renewal,
            flags,
            region,
            addr,
            quic,
        } = wire;
        Ok(Self {
            incarnation,
            renewal,
            flags,
            addr,
            quic,
            region,
            node,
        })
    }
}

#[cfg(test)]
mod tests;
