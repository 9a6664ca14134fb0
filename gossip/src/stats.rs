//! Counters, as a snapshot. Naming metrics is the node's business.

use std::collections::BTreeMap;

use crate::seal::Refused;

/// What went through since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GossipStats {
    /// Datagrams received, refused ones included.
    pub packets_in: u64,
    /// Datagrams handed to the socket.
    pub packets_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes handed to the socket.
    pub bytes_out: u64,
    /// Packets refused, by reason.
    pub refused: BTreeMap<Refused, u64>,
    /// Times this node was held for dead and came back under a new identity.
    pub rejoins: u64,
    /// Times this node found itself alone.
    pub idles: u64,
    /// Timers or messages that SWIM could not make sense of.
    pub swim_errors: u64,
    /// Sends and receives that failed at the socket.
    pub socket_errors: u64,
    /// Node-state messages sent.
    pub state_out: u64,
    /// Node-state messages received.
    pub state_in: u64,
    /// Node-state messages not sent: the peer could not be reached in time, or
    /// too many were on their way.
    pub state_dropped: u64,
    /// Node-state messages that could not be read.
    pub state_refused: u64,
}

impl GossipStats {
    /// Packets refused, all reasons together.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }
}
