//! Hosts: listening and dialling in the simulated network.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use folkmoot_wire::{Code, NodeId};
use tokio::sync::{Mutex, mpsc};

use super::link::{Link, SimConnection};
use super::observe::Delivered;
use super::stream::StreamWindow;
use super::{ListenerEntry, Net};
use crate::counters::Counters;
use crate::error::{Result, TransportError};
use crate::pki::Fingerprint;
use crate::port::{Connection, Dial, FrameLimits, Listener, PeerKind};

/// The CA that joiners have to pin here.
pub const SIM_CA: Fingerprint = Fingerprint([0x51; 32]);
/// Connections that nobody has taken yet; more are refused.
const ACCEPTED_QUEUE: usize = 1_024;

/// Settings of a host.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// Largest frames.
    pub frames: FrameLimits,
    /// A dial must be done within this (virtual) time.
    pub dial_deadline: Duration,
    /// What each direction of a stream holds, of connections that this host
    /// dials.
    pub window: StreamWindow,
    /// Where connections are counted.
    pub counters: Arc<Counters>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            frames: FrameLimits::default(),
            dial_deadline: Duration::from_secs(5),
            window: StreamWindow::default(),
            counters: Counters::new(),
        }
    }
}

/// A host: dials, and makes listeners.
pub struct SimHost {
    net: Arc<Net>,
    ip: IpAddr,
    /// Which life of the host this is of.
    life: u64,
    identity: Option<(NodeId, String)>,
    options: SimOptions,
}

impl std::fmt::Debug for SimHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimHost({} {:?})", self.ip, self.identity)
    }
}

impl SimHost {
    pub(super) fn new(
        net: Arc<Net>,
        ip: IpAddr,
        identity: Option<(NodeId, String)>,
        options: SimOptions,
    ) -> Self {
        let life = net.state().life(ip);
        Self {
            net,
            ip,
            life,
            identity,
            options,
        }
    }

    fn check_alive(&self) -> Result<()> {
        if self.net.state().life(self.ip) == self.life {
            Ok(())
        } else {
            Err(TransportError::lost("this host was killed"))
        }
    }

    /// Listens on a port of this host, for clients, nodes and joiners.
    ///
    /// # Errors
    /// When the port is taken, or the host was killed.
    pub fn listen(&self, port: u16) -> Result<SimListener> {
        self.check_alive()?;
        let local = SocketAddr::new(self.ip, port);
        let (tx, rx) = mpsc::channel(ACCEPTED_QUEUE);
        let mut state = self.net.state();
        if state.listeners.contains_key(&local) {
            return Err(TransportError::Bind {
                addr: local,
                reason: "the address is in use".into(),
            });
        }
        state.listeners.insert(
            local,
            ListenerEntry {
                accepted: tx.clone(),
                identity: self.identity.clone(),
                options: self.options.clone(),
            },
        );
        drop(state);
        Ok(SimListener {
            net: self.net.clone(),
            local,
            own: tx.downgrade(),
            accepted: Mutex::new(rx),
        })
    }

    async fn dial(
        &self,
        addr: SocketAddr,
        seen_as: PeerKind,
        expected: Option<NodeId>,
    ) -> Result<Arc<dyn Connection>> {
        let after = self.options.dial_deadline;
        let dial = self.dial_unbounded(addr, seen_as, expected);
        match tokio::time::timeout(after, dial).await {
            Ok(dialled) => dialled,
            Err(_) => Err(TransportError::Deadline {
                what: "dialling",
                after,
            }),
        }
    }

    async fn dial_unbounded(
        &self,
        addr: SocketAddr,
        seen_as: PeerKind,
        expected: Option<NodeId>,
    ) -> Result<Arc<dyn Connection>> {
        let (net, here, there) = (&self.net, self.ip, addr.ip());
        self.check_alive()?;
        net.arrive(here, there, net.arrival(here, there)).await;
        // Killed meanwhile: nobody is there to answer.
        self.check_alive()?;
        net.delivered(Delivered::Dial, SocketAddr::new(here, 0), addr, &[]);
        let answer = self.knock(addr, seen_as, expected);
        net.arrive(there, here, net.arrival(there, here)).await;
        answer
    }

    /// What happens at the listener's host.
    fn knock(
        &self,
        addr: SocketAddr,
        seen_as: PeerKind,
        expected: Option<NodeId>,
    ) -> Result<Arc<dyn Connection>> {
        let unreachable = |reason: &str| TransportError::Unreachable {
            addr,
            reason: reason.to_owned(),
        };
        let mut state = self.net.state();
        // Ephemeral ports: 49152 to 65535.
        state.next_port = state.next_port.wrapping_add(1) & 0x3fff;
        let local = SocketAddr::new(self.ip, 0xc000 | state.next_port);
        let entry = state
            .listeners
            .get(&addr)
            .ok_or_else(|| unreachable("nothing listens there"))?;
        let wants_node = seen_as != PeerKind::Client;
        let peer = match (&entry.identity, wants_node) {
            (Some((got, region)), true) => {
                if let Some(expected) = expected.filter(|expected| expected != got) {
                    return Err(TransportError::WrongPeer {
                        expected,
                        got: *got,
                    });
                }
                PeerKind::Node {
                    node: *got,
                    region: region.clone(),
                }
            }
            (None, true) => return Err(unreachable("no node runs there")),
            (_, false) => PeerKind::Edge,
        };
        let accepted = entry.accepted.clone();
        let options = entry.options.clone();
        drop(state);
        let link = Link::new(self.net.clone(), local, addr, self.options.window);
        // A joiner's frames are held to a stranger's limit on both sides.
        let max_here = match seen_as {
            PeerKind::Joiner => self.options.frames.client,
            _ => self.options.frames.of(&peer),
        };
        let max_there = options.frames.of(&seen_as);
        let here = SimConnection::new(
            link.clone(),
            0,
            peer,
            max_here,
            self.options.counters.clone(),
        );
        let there = SimConnection::new(link, 1, seen_as, max_there, options.counters);
        accepted
            .try_send(Arc::new(there))
            .map_err(|_| unreachable("it takes no more connections now"))?;
        Ok(Arc::new(here))
    }
}

#[async_trait]
impl Dial for SimHost {
    async fn dial_node(&self, node: NodeId, addr: SocketAddr) -> Result<Arc<dyn Connection>> {
        let Some((own, region)) = self.identity.clone() else {
            return Err(TransportError::Unsupported(
                "this host is no node: give it an identity to dial nodes",
            ));
        };
        let seen_as = PeerKind::Node { node: own, region };
        self.dial(addr, seen_as, Some(node)).await
    }

    async fn dial_client(&self, addr: SocketAddr, _: &str) -> Result<Arc<dyn Connection>> {
        self.dial(addr, PeerKind::Client, None).await
    }

    async fn dial_join(&self, addr: SocketAddr, ca: Fingerprint) -> Result<Arc<dyn Connection>> {
        if ca != SIM_CA {
            return Err(TransportError::Tls {
                addr,
                reason: "the CA's fingerprint is another".into(),
            });
        }
        self.dial(addr, PeerKind::Joiner, None).await
    }
}

/// A listener of a host.
pub struct SimListener {
    net: Arc<Net>,
    local: SocketAddr,
    /// Tells this listener's entry from a later one's on the same address.
    own: mpsc::WeakSender<Arc<dyn Connection>>,
    accepted: Mutex<mpsc::Receiver<Arc<dyn Connection>>>,
}

impl std::fmt::Debug for SimListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimListener({})", self.local)
    }
}

impl SimListener {
    fn remove(&self) {
        let mut state = self.net.state();
        let own = self.own.upgrade();
        let mine = |entry: &ListenerEntry| {
            own.as_ref()
                .is_some_and(|own| own.same_channel(&entry.accepted))
        };
        if state.listeners.get(&self.local).is_some_and(mine) {
            let removed = state.listeners.remove(&self.local);
            drop(state);
            drop(removed);
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.remove();
    }
}

#[async_trait]
impl Listener for SimListener {
    async fn accept(&self) -> Option<Arc<dyn Connection>> {
        self.accepted.lock().await.recv().await
    }

    fn local(&self) -> SocketAddr {
        self.local
    }

    async fn close(&self) {
        self.remove();
        for link in self.net.links(|link| link.listens_at(self.local)) {
            let there = TransportError::Closed {
                code: Code::Draining as u32,
                reason: Code::Draining.message().to_owned(),
            };
            link.close(1, TransportError::ClosedHere, there);
        }
    }
}
