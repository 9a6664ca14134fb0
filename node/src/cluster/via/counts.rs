//! What tunnels a node has, opens, passes on and serves: for metrics and for
//! the node's status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use folkmoot_wire::NodeId;
use parking_lot::Mutex;

/// The counts of one node.
#[derive(Default)]
pub struct TunnelCounts {
    /// Whom this node reaches now, and through whom, by number of tunnel.
    opened: Mutex<BTreeMap<u64, (NodeId, NodeId)>>,
    opened_ever: AtomicU64,
    passing: AtomicU64,
    serving: AtomicU64,
    passed: AtomicU64,
    bytes: AtomicU64,
}

/// A tunnel of this node, as long as it is there.
pub(super) struct Opened(Arc<TunnelCounts>, u64);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.opened.lock().remove(&self.1);
    }
}

/// A stream that is passed on, or served at the end of a tunnel, as long as it
/// is there.
pub struct Under {
    counts: Arc<TunnelCounts>,
    passed_on: bool,
}

impl Under {
    fn gauge(&self) -> &AtomicU64 {
        match self.passed_on {
            true => &self.counts.passing,
            false => &self.counts.serving,
        }
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        self.gauge().fetch_sub(1, Ordering::Relaxed);
    }
}

impl TunnelCounts {
    pub(super) fn opened(self: &Arc<Self>, to: NodeId, through: NodeId) -> Opened {
        let number = self.opened_ever.fetch_add(1, Ordering::Relaxed);
        self.opened.lock().insert(number, (to, through));
        Opened(Arc::clone(self), number)
    }

    pub(super) fn under(self: &Arc<Self>, passed_on: bool) -> Under {
        let under = Under {
            counts: Arc::clone(self),
            passed_on,
        };
        under.gauge().fetch_add(1, Ordering::Relaxed);
        if passed_on {
            self.passed.fetch_add(1, Ordering::Relaxed);
        }
        under
    }

    pub(super) fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Nodes that this one reaches through another now, and that other.
    #[must_use]
    pub fn reached(&self) -> Vec<(NodeId, NodeId)> {
        let mut reached: Vec<_> = self.opened.lock().values().copied().collect();
        reached.sort_unstable();
        reached.dedup();
        reached
    }

    /// Tunnels that this node opened since its start.
    #[must_use]
    pub fn opened_ever(&self) -> u64 {
        self.opened_ever.load(Ordering::Relaxed)
    }

    /// Streams that it passes on now.
    #[must_use]
    pub fn passing(&self) -> u64 {
        self.passing.load(Ordering::Relaxed)
    }

    /// Streams that it serves now at the end of tunnels.
    #[must_use]
    pub fn serving(&self) -> u64 {
        self.serving.load(Ordering::Relaxed)
    }

    /// Streams that it passed on since its start, and bytes of their frames.
    #[must_use]
    pub fn passed(&self) -> (u64, u64) {
        let (streams, bytes) = (&self.passed, &self.bytes);
        (
            streams.load(Ordering::Relaxed),
            bytes.load(Ordering::Relaxed),
        )
    }
}
