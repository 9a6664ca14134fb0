//! Figures for `/metrics` and `status`.

use std::sync::atomic::{AtomicU64, Ordering};

use folkmoot_transport::Carrier;

/// Figures of an edge. Without another word: since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EdgeStats {
    /// Sessions now, over QUIC.
    pub sessions_quic: u64,
    /// Sessions now, over WebSocket.
    pub sessions_websocket: u64,
    /// Sessions now, over the simulated network.
    pub sessions_sim: u64,
    /// Groups that some session has active now.
    pub active_groups: u64,
    /// Bytes that wait in the sessions' queues now.
    pub queue_bytes: u64,
    /// Bytes of pages of history on their way to clients now.
    pub page_bytes: u64,
    /// Requests for history that wait for room now.
    pub pages_waiting: u64,
    /// Sessions that wait to be let in now.
    pub greetings_waiting: u64,
    /// Connections over TCP that wait for their handshake now.
    pub handshakes_waiting: u64,
    /// Requests taken.
    pub requests: u64,
    /// Frames of entries queued for clients.
    pub delivered: u64,
    /// Gaps made because a queue was full or a place was lost.
    pub gaps: u64,
    /// Tokens refused.
    pub refused_tokens: u64,
    /// Connections refused because there were too many.
    pub refused_sessions: u64,
    /// Sessions refused with `busy` because too many came in at once.
    pub refused_greetings: u64,
    /// Connections over TCP hung up on because too many came at once.
    pub refused_handshakes: u64,
    /// Requests refused with `too_many_requests`.
    pub too_many_requests: u64,
    /// Requests for history refused with `busy`.
    pub refused_pages: u64,
    /// Clients cut off with `slow_consumer`.
    pub slow_consumers: u64,
    /// Sessions ended because of what the client sent.
    pub bad_frames: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) sessions_quic: AtomicU64,
    pub(super) sessions_websocket: AtomicU64,
    pub(super) sessions_sim: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) refused_tokens: AtomicU64,
    pub(super) refused_sessions: AtomicU64,
    pub(super) too_many_requests: AtomicU64,
    pub(super) refused_pages: AtomicU64,
    pub(super) slow_consumers: AtomicU64,
    pub(super) bad_frames: AtomicU64,
}

impl Counters {
    pub(super) fn sessions(&self, carrier: Carrier) -> &AtomicU64 {
        match carrier {
            Carrier::Quic => &self.sessions_quic,
            Carrier::WebSocket => &self.sessions_websocket,
            Carrier::Sim => &self.sessions_sim,
        }
    }

    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> EdgeStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EdgeStats {
            sessions_quic: read(&self.sessions_quic),
            sessions_websocket: read(&self.sessions_websocket),
            sessions_sim: read(&self.sessions_sim),
            requests: read(&self.requests),
            gaps: read(&self.gaps),
            refused_tokens: read(&self.refused_tokens),
            refused_sessions: read(&self.refused_sessions),
            too_many_requests: read(&self.too_many_requests),
            refused_pages: read(&self.refused_pages),
            slow_consumers: read(&self.slow_consumers),
            bad_frames: read(&self.bad_frames),
            ..EdgeStats::default()
        }
    }
}
