//! Packets in the simulated network, for gossip.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Net;
use super::observe::Delivered;
use crate::error::TransportError;

/// Whether the next packet is lost.
pub type Loss = Box<dyn FnMut() -> bool + Send>;

/// Packets waiting at one socket; more are dropped, as by an operating system.
const INBOX: usize = 4_096;
/// Largest payload of a UDP packet over IPv4.
const PACKET_MAX: usize = 65_507;

#[derive(Default)]
struct Waiting {
    closed: bool,
    next: u64,
    /// By time of arrival, then in the order they were sent.
    packets: BTreeMap<(Instant, u64), (SocketAddr, Bytes)>,
}

#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

impl Inbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_one();
    }
}

/// A bound socket for packets. It has the methods of gossip's datagram port.
pub struct SimDatagrams {
    net: Arc<Net>,
    local: SocketAddr,
    inbox: Arc<Inbox>,
    loss: Mutex<Loss>,
}

impl std::fmt::Debug for SimDatagrams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimDatagrams({})", self.local)
    }
}

impl SimDatagrams {
    pub(super) fn bind(
        net: Arc<Net>,
        local: SocketAddr,
        loss: Loss,
    ) -> Result<Self, TransportError> {
        let inbox = Arc::new(Inbox::default());
        let mut state = net.state();
        if state.inboxes.contains_key(&local) {
            return Err(TransportError::Bind {
                addr: local,
                reason: "the address is in use".into(),
            });
        }
        state.inboxes.insert(local, inbox.clone());
        drop(state);
        Ok(Self {
            net,
            local,
            inbox,
            loss: Mutex::new(loss),
        })
    }

    /// Where it is bound.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends a packet. That it is lost, or nobody is there, does not show.
    ///
    /// # Errors
    /// When the packet is too large, or this host was killed.
    #[allow(clippy::unused_async)] // the port's methods are async
    pub async fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        if packet.len() > PACKET_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a packet has at most {PACKET_MAX} bytes"),
            ));
        }
        if self.inbox.waiting().closed {
            return Err(killed());
        }
        let lost = {
            let mut loss = self.loss.lock().unwrap_or_else(PoisonError::into_inner);
            loss()
        };
        let (here, there) = (self.local.ip(), to.ip());
        if lost || self.net.is_cut(here, there) {
            return Ok(());
        }
        let at = self.net.arrival(here, there);
        let inbox = self.net.state().inboxes.get(&to).cloned();
        if let Some(inbox) = inbox {
            let mut waiting = inbox.waiting();
            if waiting.packets.len() < INBOX {
                waiting.next += 1;
                let key = (at, waiting.next);
                let packet = Bytes::copy_from_slice(packet);
                waiting.packets.insert(key, (self.local, packet));
                drop(waiting);
                inbox.changed.notify_one();
            }
        }
        Ok(())
    }

    /// The next packet, and where it came from.
    ///
    /// # Errors
    /// When this host was killed.
    pub async fn recv(&self) -> io::Result<(SocketAddr, Bytes)> {
        loop {
            let first = {
                let mut waiting = self.inbox.waiting();
                if waiting.closed {
                    return Err(killed());
                }
                match waiting.packets.first_entry() {
                    Some(entry) if entry.key().0 <= Instant::now() => Ok(entry.remove()),
                    Some(entry) => Err(Some(entry.key().0)),
                    None => Err(None),
                }
            };
            match first {
                // A packet that meets a cut on its way is lost.
                Ok((from, _)) if self.net.is_cut(from.ip(), self.local.ip()) => {}
                Ok((from, packet)) => {
                    let net = &self.net;
                    net.delivered(Delivered::Packet, from, self.local, &packet);
                    return Ok((from, packet));
                }
                Err(Some(at)) => tokio::select! {
                    biased;
                    () = self.inbox.changed.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                Err(None) => self.inbox.changed.notified().await,
            }
        }
    }
}

impl Drop for SimDatagrams {
    fn drop(&mut self) {
        let mut state = self.net.state();
        let mine = |inbox: &Arc<Inbox>| Arc::ptr_eq(inbox, &self.inbox);
        if state.inboxes.get(&self.local).is_some_and(mine) {
            state.inboxes.remove(&self.local);
        }
    }
}

fn killed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "this host was killed")
}
