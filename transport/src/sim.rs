//! A simulated network, for tests under virtual time (a paused tokio clock).
//!
//! Hosts are IP addresses. Every link has a fixed one-way latency, is lossless
//! and in order per connection, and has unlimited bandwidth. A cut link holds
//! what is in flight until it heals; connections over it break after the idle
//! timeout of QUIC between nodes. Nothing here reads a clock other than
//! tokio's, or any randomness, and nothing iterates over a hash map: one
//! program gives one trace.

mod datagrams;
mod host;
mod link;
mod observe;
mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use folkmoot_wire::{NodeId, limits};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use datagrams::{Loss, SimDatagrams};
pub use host::{SIM_CA, SimHost, SimListener, SimOptions};
pub use observe::{Delivered, Delivery, Observe};
pub use stream::StreamWindow;

use crate::error::TransportError;
use crate::port::Connection;
use datagrams::Inbox;
use link::Link;

/// Past outages remembered per link; older ones hold nothing back any more.
const OUTAGES: usize = 64;

/// One-way latency from a host to another.
type Latency = Box<dyn Fn(IpAddr, IpAddr) -> Duration + Send + Sync>;

/// A simulated network. Clones are the same network.
#[derive(Clone)]
pub struct SimNet {
    net: Arc<Net>,
}

impl std::fmt::Debug for SimNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.net.state();
        f.debug_struct("SimNet")
            .field("listening", &state.listeners.keys())
            .field("cuts", &state.cuts.keys())
            .finish_non_exhaustive()
    }
}

struct Net {
    latency: Latency,
    observe: Option<Observe>,
    state: Mutex<State>,
    /// Changes with every cut and heal.
    topology: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    listeners: BTreeMap<SocketAddr, ListenerEntry>,
    inboxes: BTreeMap<SocketAddr, Arc<Inbox>>,
    /// Links that are cut now; directed.
    cuts: BTreeMap<(IpAddr, IpAddr), Cut>,
    /// From when to when links were cut before; the latest of each.
    outages: BTreeMap<(IpAddr, IpAddr), VecDeque<(Instant, Instant)>>,
    links: BTreeMap<u64, Weak<Link>>,
    /// How often hosts were killed: what a dead process still holds of its
    /// host is of an earlier life and no use any more.
    lives: BTreeMap<IpAddr, u64>,
    next: u64,
    next_port: u16,
}

struct Cut {
    number: u64,
    since: Instant,
}

/// How something fares that should arrive at some time.
enum Fate {
    Arrives,
    Later(Instant),
    Held,
}

impl State {
    /// What meets a cut is held, and arrives one latency after it healed.
    /// What had arrived before is there, received yet or not.
    fn fate(&self, from: IpAddr, to: IpAddr, at: Instant, latency: Duration) -> Fate {
        let link = (from, to);
        let past = self.outages.get(&link).into_iter().flatten();
        if let Some((_, healed)) = past.clone().find(|(cut, heal)| *cut <= at && at < *heal) {
            return Fate::Later(*healed + latency);
        }
        match self.cuts.get(&link) {
            Some(cut) if cut.since <= at => Fate::Held,
            _ => Fate::Arrives,
        }
    }

    fn life(&self, host: IpAddr) -> u64 {
        self.lives.get(&host).copied().unwrap_or(0)
    }

    fn heal(&mut self, from: IpAddr, to: IpAddr) {
        if let Some(cut) = self.cuts.remove(&(from, to)) {
            let outages = self.outages.entry((from, to)).or_default();
            outages.push_back((cut.since, Instant::now()));
            if outages.len() > OUTAGES {
                outages.pop_front();
            }
        }
    }
}

struct ListenerEntry {
    accepted: mpsc::Sender<Arc<dyn Connection>>,
    identity: Option<(NodeId, String)>,
    options: SimOptions,
}

impl Net {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latency(&self, from: IpAddr, to: IpAddr) -> Duration {
        (self.latency)(from, to)
    }

    fn is_cut(&self, from: IpAddr, to: IpAddr) -> bool {
        self.state().cuts.contains_key(&(from, to))
    }

    /// Something sent now over the link would get there at this time.
    fn arrival(&self, from: IpAddr, to: IpAddr) -> Instant {
        Instant::now() + self.latency(from, to)
    }

    /// Waits until something that should arrive at `at` has arrived: later, if
    /// the link is cut then.
    async fn arrive(&self, from: IpAddr, to: IpAddr, mut at: Instant) {
        let latency = self.latency(from, to);
        let mut topology = self.topology.subscribe();
        loop {
            tokio::time::sleep_until(at).await;
            let fate = self.state().fate(from, to, at, latency);
            match fate {
                Fate::Arrives => return,
                Fate::Later(time) => at = time,
                // The sender is in `self`: it cannot be gone.
                Fate::Held => drop(topology.changed().await),
            }
        }
    }

    /// The links that `which` picks, in the order they were made.
    fn links(&self, which: impl Fn(&Link) -> bool) -> Vec<Arc<Link>> {
        // Collected first: dropping the last reference takes the lock again.
        let all: Vec<Arc<Link>> = self
            .state()
            .links
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        all.into_iter().filter(|link| which(link)).collect()
    }
}

impl SimNet {
    /// A network in which a packet from `a` to `b` takes `latency(a, b)`.
    #[must_use]
    pub fn new(latency: impl Fn(IpAddr, IpAddr) -> Duration + Send + Sync + 'static) -> Self {
        Self::build(Box::new(latency), None)
    }

    /// The same, and `observe` is told of everything that is delivered, at the
    /// moment of it: for traces, and for checks on what crosses the network.
    /// It must not use the network itself.
    #[must_use]
    pub fn observed(
        latency: impl Fn(IpAddr, IpAddr) -> Duration + Send + Sync + 'static,
        observe: Observe,
    ) -> Self {
        Self::build(Box::new(latency), Some(observe))
    }

    fn build(latency: Latency, observe: Option<Observe>) -> Self {
        Self {
            net: Arc::new(Net {
                latency,
                observe,
                state: Mutex::default(),
                topology: watch::Sender::new(0),
            }),
        }
    }

    /// A host. `identity`: number and region of the node that runs on it;
    /// `None`: a client, or a node that has not joined.
    #[must_use]
    pub fn host(
        &self,
        ip: IpAddr,
        identity: Option<(NodeId, &str)>,
        options: SimOptions,
    ) -> SimHost {
        let identity = identity.map(|(node, region)| (node, region.to_owned()));
        SimHost::new(self.net.clone(), ip, identity, options)
    }

    /// Binds a socket for packets. `loss`: asked once for every packet sent
    /// from it whether the packet is lost; give it a seeded generator.
    ///
    /// # Errors
    /// When the address is taken.
    pub fn datagrams(&self, addr: SocketAddr, loss: Loss) -> Result<SimDatagrams, TransportError> {
        SimDatagrams::bind(self.net.clone(), addr, loss)
    }

    /// Cuts the link between two hosts, both ways.
    pub fn partition(&self, a: IpAddr, b: IpAddr) {
        self.cut(&[(a, b), (b, a)]);
    }

    /// Cuts what `from` sends to `to`, and leaves the other way whole.
    pub fn partition_one_way(&self, from: IpAddr, to: IpAddr) {
        self.cut(&[(from, to)]);
    }

    fn cut(&self, pairs: &[(IpAddr, IpAddr)]) {
        for &(from, to) in pairs {
            let number = {
                let mut state = self.net.state();
                if state.cuts.contains_key(&(from, to)) {
                    continue;
                }
                state.next += 1;
                let number = state.next;
                let since = Instant::now();
                state.cuts.insert((from, to), Cut { number, since });
                number
            };
            let crossing = self.net.links(|link| link.joins(from, to));
            let crossing: Vec<_> = crossing.iter().map(Arc::downgrade).collect();
            let Ok(runtime) = Handle::try_current() else {
                continue;
            };
            let net = Arc::downgrade(&self.net);
            runtime.spawn(async move {
                tokio::time::sleep(limits::NODE_IDLE).await;
                let still = |net: Arc<Net>| {
                    let state = net.state();
                    state.cuts.get(&(from, to)).map(|cut| cut.number) == Some(number)
                };
                if net.upgrade().is_some_and(still) {
                    for link in crossing.iter().filter_map(Weak::upgrade) {
                        let silent = format!("nothing was heard for {:?}", limits::NODE_IDLE);
                        link.break_both(&TransportError::lost(silent));
                    }
                }
            });
        }
        self.net.topology.send_modify(|version| *version += 1);
    }

    /// Heals the link between two hosts, both ways. What was held arrives one
    /// latency later.
    pub fn heal(&self, a: IpAddr, b: IpAddr) {
        {
            let mut state = self.net.state();
            state.heal(a, b);
            state.heal(b, a);
        }
        self.net.topology.send_modify(|version| *version += 1);
    }

    /// Heals what `from` sends to `to`; the other way stays as it is.
    pub fn heal_one_way(&self, from: IpAddr, to: IpAddr) {
        self.net.state().heal(from, to);
        self.net.topology.send_modify(|version| *version += 1);
    }

    /// Heals everything.
    pub fn heal_all(&self) {
        {
            let mut state = self.net.state();
            let all: Vec<_> = state.cuts.keys().copied().collect();
            for (from, to) in all {
                state.heal(from, to);
            }
        }
        self.net.topology.send_modify(|version| *version += 1);
    }

    /// Kills everything on a host: listeners, sockets and connections. The
    /// other ends hear of it one latency later; if their link is cut, when it
    /// heals, or by the idle timeout. The host's addresses can be bound anew,
    /// by a [`SimHost`] that is made after this: the ones before are dead.
    pub fn kill(&self, host: IpAddr) {
        let (listeners, inboxes) = {
            let mut state = self.net.state();
            *state.lives.entry(host).or_default() += 1;
            let (killed, rest) = std::mem::take(&mut state.listeners)
                .into_iter()
                .partition::<BTreeMap<_, _>, _>(|(addr, _)| addr.ip() == host);
            state.listeners = rest;
            let (closed, rest) = std::mem::take(&mut state.inboxes)
                .into_iter()
                .partition::<BTreeMap<_, _>, _>(|(addr, _)| addr.ip() == host);
            state.inboxes = rest;
            (killed, closed)
        };
        drop(listeners);
        for inbox in inboxes.values() {
            inbox.close();
        }
        for link in self.net.links(|link| link.touches(host)) {
            link.kill(host);
        }
    }
}
