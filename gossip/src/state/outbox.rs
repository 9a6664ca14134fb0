//! Sending without waiting: a peer that hangs must not hold up the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use folkmoot_wire::NodeId;
use tokio::sync::Semaphore;

use crate::port::{STATE_SEND_DEADLINE, STATE_SENDS_MAX, StateLink};

/// Counters of the exchange, as a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateTraffic {
    /// Messages sent.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// Messages not sent: unreachable, late, or too many on their way.
    pub dropped: u64,
    /// Messages that could not be read, or were of another cluster.
    pub refused: u64,
}

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
}

/// Sends over a link, a bounded number at once, each with a deadline.
#[derive(Clone)]
pub(super) struct Outbox {
    link: Arc<dyn StateLink>,
    slots: Arc<Semaphore>,
    counters: Arc<Counters>,
}

impl Outbox {
    pub(super) fn new(link: Arc<dyn StateLink>) -> Self {
        Self {
            link,
            slots: Arc::new(Semaphore::new(STATE_SENDS_MAX)),
            counters: Arc::default(),
        }
    }

    /// Sends in the background; drops when too many are on their way.
    pub(super) fn send(&self, to: NodeId, payload: Bytes) {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let link = self.link.clone();
        let counters = self.counters.clone();
        tokio::spawn(async move {
            let sent = tokio::time::timeout(STATE_SEND_DEADLINE, link.send(to, payload)).await;
            let counter = match sent {
                Ok(Ok(())) => &counters.sent,
                Ok(Err(_)) | Err(_) => &counters.dropped,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            drop(slot);
        });
    }

    /// The next message, or nothing once the link is closed.
    pub(super) async fn recv(&self) -> Option<(NodeId, Bytes)> {
        let received = self.link.recv().await?;
        self.counters.received.fetch_add(1, Ordering::Relaxed);
        Some(received)
    }

    /// The last message received was of no use.
    pub(super) fn refused(&self) {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn traffic(&self) -> StateTraffic {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StateTraffic {
            sent: load(&self.counters.sent),
            received: load(&self.counters.received),
            dropped: load(&self.counters.dropped),
            refused: load(&self.counters.refused),
        }
    }
}
