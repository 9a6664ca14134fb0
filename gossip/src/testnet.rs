//! In-memory networks for the tests of what runs on tokio.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_wire::NodeId;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::port::{Datagrams, LinkError, StateLink};

const QUEUE: usize = 1_024;

/// Delivers between those that opened an address; the cut-off hear nothing.
pub(crate) struct Net<A, T> {
    ends: Mutex<BTreeMap<A, mpsc::Sender<(A, T)>>>,
    cut: Mutex<BTreeSet<A>>,
}

impl<A: Copy + Ord, T> Net<A, T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            ends: Mutex::default(),
            cut: Mutex::default(),
        })
    }

    /// Opens an end; an earlier one at the same address goes deaf.
    pub(crate) fn open(self: &Arc<Self>, at: A) -> Arc<End<A, T>> {
        let (inbox, queue) = mpsc::channel(QUEUE);
        self.ends.lock().insert(at, inbox);
        Arc::new(End {
            at,
            net: self.clone(),
            queue: tokio::sync::Mutex::new(queue),
        })
    }

    pub(crate) fn cut(&self, at: impl IntoIterator<Item = A>) {
        *self.cut.lock() = at.into_iter().collect();
    }

    fn send(&self, from: A, to: A, what: T) -> bool {
        let cut = self.cut.lock();
        if cut.contains(&from) != cut.contains(&to) {
            return false;
        }
        let ends = self.ends.lock();
        ends.get(&to)
            .is_some_and(|end| end.try_send((from, what)).is_ok())
    }
}

/// One end of a [`Net`].
pub(crate) struct End<A, T> {
    at: A,
    net: Arc<Net<A, T>>,
    queue: tokio::sync::Mutex<mpsc::Receiver<(A, T)>>,
}

#[async_trait]
impl StateLink for End<NodeId, Bytes> {
    async fn send(&self, to: NodeId, payload: Bytes) -> Result<(), LinkError> {
        if self.net.send(self.at, to, payload) {
            Ok(())
        } else {
            Err(LinkError::Unreachable(to))
        }
    }

    async fn recv(&self) -> Option<(NodeId, Bytes)> {
        self.queue.lock().await.recv().await
    }
}

#[async_trait]
impl Datagrams for End<SocketAddr, Bytes> {
    async fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        self.net.send(self.at, to, Bytes::copy_from_slice(packet));
        Ok(())
    }

    async fn recv(&self) -> io::Result<(SocketAddr, Bytes)> {
        let received = self.queue.lock().await.recv().await;
        received.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    fn local(&self) -> SocketAddr {
        self.at
    }
}
