//! Version and feature negotiation.

/// Versions of the client protocol that this build speaks.
pub const CLIENT: Range = Range { min: 1, max: 1 };
/// Version of the node protocol.
pub const NODE: u32 = 1;
/// The greatest version of the rules of apply that this build knows.
pub const APPLY: u32 = 8;
/// From this version of apply on, rows that say that something is gone are
/// collected.
pub const APPLY_COLLECTS: u32 = 2;
/// From this version of apply on, groups move from one shard to another.
pub const APPLY_MOVES: u32 = 3;
/// From this version of apply on, what made no entry is remembered as such.
pub const APPLY_REMEMBERS: u32 = 4;
/// From this version of apply on, shards are split.
pub const APPLY_SPLITS: u32 = 5;
/// From this version of apply on, joins into large groups make no entries, nor
/// do changes of users' lists of groups.
pub const APPLY_JOINS_QUIETLY: u32 = 6;
/// A build that knows this version knows voters of one shard in several
/// regions; an older one would elect as if they stood in one. Nothing is
/// applied otherwise.
pub const VOTERS_ACROSS: u32 = 7;
/// From this version of apply on, a member's row says where the cursor was put
/// at a join without an entry.
pub const APPLY_CURSOR_BASE: u32 = 8;
/// ALPN of native clients.
pub const ALPN_CLIENT: &[u8] = b"folkmoot/1";
/// ALPN between nodes.
pub const ALPN_NODE: &[u8] = b"folkmoot-node/1";
/// ALPN of a node that has no certificate yet.
pub const ALPN_JOIN: &[u8] = b"folkmoot-join/1";
/// Path of the WebSocket.
pub const WS_PATH: &str = "/v1/ws";
/// Features of this build that a peer may ask for.
pub const FEATURES: &[&str] = &["rows", "bumps", "tentative"];

/// An inclusive range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Least.
    pub min: u32,
    /// Greatest.
    pub max: u32,
}

impl Range {
    /// The greatest version that both sides speak.
    #[must_use]
    pub fn negotiate(self, other: Self) -> Option<u32> {
        let version = self.max.min(other.max);
        (version >= self.min.max(other.min)).then_some(version)
    }
}

/// The features both sides know, in our order.
#[must_use]
pub fn common_features(theirs: &[String]) -> Vec<String> {
    FEATURES
        .iter()
        .filter(|ours| theirs.iter().any(|t| t == *ours))
        .map(|ours| (*ours).to_owned())
        .collect()
}

#[cfg(test)]
mod tests;
