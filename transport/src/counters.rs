//! Bytes and frames by kind of peer and remote region.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::port::{Carrier, PeerKind};

/// What went over a connection, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionStats {
    /// Frames sent and received.
    pub frames_sent: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Bytes of frames sent, without any framing.
    pub payload_sent: u64,
    /// Bytes of frames received, without any framing.
    pub payload_received: u64,
    /// Bytes sent on the wire. QUIC: all UDP payloads, with handshake,
    /// acknowledgements and retransmissions. WebSocket: frames with their
    /// WebSocket headers, without TLS and TCP. Sim: frames with their lengths.
    pub wire_sent: u64,
    /// Bytes received, counted the same way.
    pub wire_received: u64,
}

impl ConnectionStats {
    fn add(&mut self, other: &Self) {
        self.frames_sent += other.frames_sent;
        self.frames_received += other.frames_received;
        self.payload_sent += other.payload_sent;
        self.payload_received += other.payload_received;
        self.wire_sent += other.wire_sent;
        self.wire_received += other.wire_received;
    }
}

/// What connections are told apart by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// `client`, `node`, `joiner` or `edge`.
    pub peer: &'static str,
    /// Region of the remote node; empty for all others.
    pub region: String,
    /// What carries it.
    pub carrier: Carrier,
}

impl Label {
    /// The label of a connection with `peer` over `carrier`.
    #[must_use]
    pub fn new(peer: &PeerKind, carrier: Carrier) -> Self {
        let (peer, region) = match peer {
            PeerKind::Client => ("client", String::new()),
            PeerKind::Node { region, .. } => ("node", region.clone()),
            PeerKind::Joiner => ("joiner", String::new()),
            PeerKind::Edge => ("edge", String::new()),
        };
        Self {
            peer,
            region,
            carrier,
        }
    }
}

/// Sums of all connections with one label, living and gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What they have in common.
    pub label: Label,
    /// Connections open now.
    pub open: u64,
    /// Connections ever made.
    pub made: u64,
    /// What went over all of them.
    pub total: ConnectionStats,
}

/// Something whose bytes can be asked for; a connection's inner part.
pub(crate) trait Measured: Send + Sync {
    fn measure(&self) -> ConnectionStats;
}

#[derive(Default)]
struct Book {
    next: u64,
    live: BTreeMap<u64, (Label, Weak<dyn Measured>)>,
    gone: BTreeMap<Label, (u64, ConnectionStats)>,
}

/// All connections of one endpoint or node, by label. Shared.
#[derive(Default)]
pub struct Counters {
    book: Mutex<Book>,
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}

impl Counters {
    /// Empty.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Sums by label, in the labels' order. Costs a pass over the open
    /// connections.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Row> {
        // The upgraded connections are dropped after the lock is gone: the
        // last reference may be ours, and its drop takes the lock.
        let mut held = Vec::new();
        let mut rows: BTreeMap<Label, Row> = BTreeMap::new();
        let row = |label: &Label| Row {
            label: label.clone(),
            open: 0,
            made: 0,
            total: ConnectionStats::default(),
        };
        {
            let book = self.lock();
            for (label, (made, total)) in &book.gone {
                let entry = rows.entry(label.clone()).or_insert_with(|| row(label));
                entry.made += made;
                entry.total.add(total);
            }
            for (label, source) in book.live.values() {
                let Some(source) = source.upgrade() else {
                    continue;
                };
                let entry = rows.entry(label.clone()).or_insert_with(|| row(label));
                entry.open += 1;
                entry.made += 1;
                entry.total.add(&source.measure());
                held.push(source);
            }
        }
        rows.into_values().collect()
    }

    /// Counts a connection; the guard keeps its number until the end.
    pub(crate) fn register(&self, label: Label, source: Weak<dyn Measured>) -> u64 {
        let mut book = self.lock();
        book.next += 1;
        let id = book.next;
        book.live.insert(id, (label, source));
        id
    }

    /// The connection `id` is gone; these were its last numbers.
    pub(crate) fn retire(&self, id: u64, last: &ConnectionStats) {
        let mut book = self.lock();
        if let Some((label, _)) = book.live.remove(&id) {
            let (made, total) = book.gone.entry(label).or_default();
            *made += 1;
            total.add(last);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the frames of one connection.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    frames_sent: AtomicU64,
    frames_received: AtomicU64,
    payload_sent: AtomicU64,
    payload_received: AtomicU64,
    wire_sent: AtomicU64,
    wire_received: AtomicU64,
}

impl Meter {
    /// One frame went out; `overhead`: bytes of framing around it.
    pub(crate) fn sent(&self, payload: usize, overhead: usize) {
        self.frames_sent.fetch_add(1, Relaxed);
        self.payload_sent.fetch_add(payload as u64, Relaxed);
        self.wire_sent
            .fetch_add((payload + overhead) as u64, Relaxed);
    }

    /// One frame came in.
    pub(crate) fn received(&self, payload: usize, overhead: usize) {
        self.frames_received.fetch_add(1, Relaxed);
        self.payload_received.fetch_add(payload as u64, Relaxed);
        self.wire_received
            .fetch_add((payload + overhead) as u64, Relaxed);
    }

    pub(crate) fn read(&self) -> ConnectionStats {
        ConnectionStats {
            frames_sent: self.frames_sent.load(Relaxed),
            frames_received: self.frames_received.load(Relaxed),
            payload_sent: self.payload_sent.load(Relaxed),
            payload_received: self.payload_received.load(Relaxed),
            wire_sent: self.wire_sent.load(Relaxed),
            wire_received: self.wire_received.load(Relaxed),
        }
    }
}
