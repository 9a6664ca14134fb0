//! What a room costs in all: computed from what was simulated, and from CPU
//! that was measured.

#[cfg(test)]
mod tests;

use serde::Serialize;

use super::{edge, follow};

/// Server CPU of one frame to one client, in microseconds. From the table
/// "Fan-out" of docs/benchmarks.md, at 10 messages a second, where nearly every
/// message is a frame of its own: 11.5 and 21.7 CPU seconds for a million
/// deliveries. At 100 messages a second a frame has five messages, and the
/// figures there (2.46 and 4.44 for each) say the same.
pub(super) const FRAME_US: Carrier = Carrier {
    websocket: 11.5,
    quic: 21.7,
};

/// One figure for each carrier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Carrier {
    pub(super) websocket: f64,
    pub(super) quic: f64,
}

/// How many of the members are connected, and how many of these have the group
/// open; as parts of one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Shares {
    pub(super) online: f64,
    pub(super) active: f64,
}

impl Shares {
    /// Of this many members: with the group open, and with it in the list.
    pub(super) fn of(self, members: u64) -> (f64, f64) {
        let online = members as f64 * self.online;
        (online * self.active, online * (1.0 - self.active))
    }
}

/// What one message costs in a room of so many members.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Room {
    pub(super) members: u64,
    pub(super) nodes: u32,
    pub(super) per_s: u32,
    /// Nodes that have the group in full.
    pub(super) wanting: usize,
    /// Simulated: between nodes, inside regions and between them.
    pub(super) between_nodes_bytes: f64,
    /// Computed: between nodes, for cursors of all who have it open, each told
    /// once for a message, and once a second where there are more.
    pub(super) cursor_bytes: f64,
    /// Computed: to clients.
    pub(super) client_frames: f64,
    pub(super) client_bytes: f64,
    /// Computed: of the mean edge.
    pub(super) edge_frames: f64,
    pub(super) edge_bytes: f64,
    /// Estimated, of all edges together, in CPU milliseconds.
    pub(super) cpu_ms: Carrier,
}

pub(super) fn room(
    members: u64,
    shares: Shares,
    followed: &follow::Figures,
    cursors: &follow::Cursors,
    got: &edge::Figures,
) -> Room {
    let (active, passive) = shares.of(members);
    let frames = active * got.active_frames + passive * got.bump_frames;
    let bytes = active * got.active_bytes + passive * got.bump_bytes;
    let edges = f64::from(followed.nodes);
    Room {
        members,
        nodes: followed.nodes,
        per_s: followed.per_s,
        wanting: followed.wanting,
        between_nodes_bytes: followed.inside.bytes + followed.between.bytes,
        cursor_bytes: active * (cursors.inside.bytes + cursors.between.bytes)
            / f64::from(followed.per_s.max(1)),
        client_frames: frames,
        client_bytes: bytes,
        edge_frames: frames / edges,
        edge_bytes: bytes / edges,
        cpu_ms: Carrier {
            websocket: frames * FRAME_US.websocket / 1_000.0,
            quic: frames * FRAME_US.quic / 1_000.0,
        },
    }
}
