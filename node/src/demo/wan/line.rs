//! A way that takes its time: what goes in comes out later, in order.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Packets under way at most. More: the newest is dropped. At 105 ms this
/// lets through some 80,000 packets a second.
pub(super) const LINE_MAX: usize = 8_192;

/// Where packets go in.
#[derive(Debug)]
pub(super) struct LineIn {
    tx: mpsc::Sender<(Instant, Bytes)>,
    delay: Duration,
}

/// Where they come out.
#[derive(Debug)]
pub(super) struct LineOut {
    rx: mpsc::Receiver<(Instant, Bytes)>,
}

/// A way of this length. The delay is the same for all packets, so the first
/// in is the first due.
pub(super) fn line(delay: Duration) -> (LineIn, LineOut) {
    let (tx, rx) = mpsc::channel(LINE_MAX);
    (LineIn { tx, delay }, LineOut { rx })
}

impl LineIn {
    /// Sends a packet on its way; false: it was dropped.
    pub(super) fn push(&self, packet: Bytes) -> bool {
        self.tx
            .try_send((Instant::now() + self.delay, packet))
            .is_ok()
    }
}

impl LineOut {
    /// The next packet, when it is due; `None` when no more will come.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let (due, packet) = self.rx.recv().await?;
        if due > Instant::now() {
            sleep_until(due).await;
        }
        Some(packet)
    }
}
