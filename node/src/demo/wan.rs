//! Wide-area delays on one machine.
//!
//! In front of each node's UDP sockets stands a proxy, whose address the node
//! advertises. Packets of another node come in there, wait half the round
//! trip of the two regions, and go on from a socket of that sender's own;
//! answers go the same way back. No packet overtakes another of its flow.
//! Who sends is known by the address. Nodes of one region and strangers are
//! not delayed and not counted.

mod line;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use super::regions;
use line::{LineIn, LineOut, line};

/// Senders of one proxy. More: their packets are dropped and counted.
const FLOWS_MAX: usize = 256;
/// The largest UDP payload.
const PACKET_MAX: usize = 65_535;
/// Received packets share buffers of this size.
const BUFFER: usize = 256 * 1024;

/// What a proxy carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// The nodes' calls and the log.
    Quic,
    /// Who is there.
    Gossip,
}

/// UDP payload that went between regions, in bytes.
#[derive(Debug)]
pub struct Traffic {
    regions: usize,
    quic: Vec<AtomicU64>,
    gossip: Vec<AtomicU64>,
    /// Packets that found a queue full.
    dropped: AtomicU64,
}

/// A look at [`Traffic`]: bytes from region to region, `[from][to]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub quic: Vec<Vec<u64>>,
    pub gossip: Vec<Vec<u64>>,
    pub dropped: u64,
}

impl Traffic {
    fn new(regions: usize) -> Self {
        let zeros = || (0..regions * regions).map(|_| AtomicU64::new(0)).collect();
        Self {
            regions,
            quic: zeros(),
            gossip: zeros(),
            dropped: AtomicU64::new(0),
        }
    }

    fn count(&self, carried: Carried, from: usize, to: usize, bytes: usize) {
        if from != to {
            let cells = match carried {
                Carried::Quic => &self.quic,
                Carried::Gossip => &self.gossip,
            };
            cells[from * self.regions + to].fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// What went so far.
    #[must_use]
    pub fn sample(&self) -> Sample {
        let table = |cells: &[AtomicU64]| {
            let row = |row: &[AtomicU64]| row.iter().map(|c| c.load(Ordering::Relaxed)).collect();
            cells.chunks(self.regions).map(row).collect()
        };
        Sample {
            quic: table(&self.quic),
            gossip: table(&self.gossip),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

/// The wide area between the demo's regions.
#[derive(Debug)]
pub struct Wan {
    scale: f64,
    /// Region of each socket that nodes send from.
    senders: Mutex<HashMap<SocketAddr, usize>>,
    /// Regions that nothing gets into or out of.
    cut: Vec<AtomicBool>,
    /// Pairs between which nothing passes.
    apart: Mutex<BTreeSet<(usize, usize)>>,
    traffic: Traffic,
}

impl Wan {
    /// Delays are `scale` times those of [`regions`].
    #[must_use]
    pub fn new(regions: usize, scale: f64) -> Arc<Self> {
        Arc::new(Self {
            scale,
            senders: Mutex::default(),
            cut: (0..regions).map(|_| AtomicBool::new(false)).collect(),
            apart: Mutex::default(),
            traffic: Traffic::new(regions),
        })
    }

    /// What packets from `addr` count as.
    pub fn place(&self, addr: SocketAddr, region: usize) {
        self.senders.lock().insert(addr, region);
    }

    /// Cuts a region off from all others, or heals it. False: there is none.
    pub fn set_cut(&self, region: usize, cut: bool) -> bool {
        let place = self.cut.get(region);
        if let Some(place) = place {
            place.store(cut, Ordering::Relaxed);
        }
        place.is_some()
    }

    /// Whether a region is cut off.
    #[must_use]
    pub fn is_cut(&self, region: usize) -> bool {
        let place = self.cut.get(region);
        place.is_some_and(|cut| cut.load(Ordering::Relaxed))
    }

    /// Cuts two regions off from each other, and from no other, or heals that.
    pub fn set_apart(&self, a: usize, b: usize, apart: bool) {
        let pair = (a.min(b), a.max(b));
        let mut pairs = self.apart.lock();
        match apart {
            true => pairs.insert(pair),
            false => pairs.remove(&pair),
        };
    }

    /// Whether a packet from one region to another gets there.
    fn passes(&self, from: usize, to: usize) -> bool {
        let pair = (from.min(to), from.max(to));
        from == to || !(self.is_cut(from) || self.is_cut(to) || self.apart.lock().contains(&pair))
    }

    /// What went between regions.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// A proxy in front of `target`, a socket of a node of `region`.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn proxy(
        self: &Arc<Self>,
        carried: Carried,
        region: usize,
        target: SocketAddr,
    ) -> io::Result<Proxy> {
        let socket = Arc::new(UdpSocket::bind((target.ip(), 0)).await?);
        let addr = socket.local_addr()?;
        let ingress = Ingress {
            wan: Arc::clone(self),
            carried,
            region,
            target,
            socket,
            flows: HashMap::new(),
        };
        let task = tokio::spawn(ingress.run()).abort_handle();
        Ok(Proxy { addr, task })
    }
}

/// A running proxy. It ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    task: AbortHandle,
}

impl Proxy {
    /// What the node advertises.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Ingress {
    wan: Arc<Wan>,
    carried: Carried,
    region: usize,
    target: SocketAddr,
    socket: Arc<UdpSocket>,
    flows: HashMap<SocketAddr, Flow>,
}

/// Packets of one sender.
struct Flow {
    /// `None`: a stranger.
    from: Option<usize>,
    line: LineIn,
    tasks: Vec<AbortHandle>,
}

impl Drop for Flow {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Ingress {
    async fn run(mut self) {
        let mut buffer = BytesMut::new();
        loop {
            // An error is about a packet sent before, not about the socket.
            let Ok((packet, from)) = receive(&self.socket, &mut buffer).await else {
                continue;
            };
            if !self.flows.contains_key(&from) {
                match self.flow(from).await {
                    Some(flow) => drop(self.flows.insert(from, flow)),
                    None => {
                        self.wan.traffic.dropped.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                }
            }
            if let Some(flow) = self.flows.get(&from) {
                if flow
                    .from
                    .is_some_and(|from| !self.wan.passes(from, self.region))
                {
                    continue;
                }
                let sent = packet.len();
                match (flow.line.push(packet), flow.from) {
                    (true, Some(from)) => {
                        self.wan
                            .traffic
                            .count(self.carried, from, self.region, sent);
                    }
                    (true, None) => {}
                    (false, _) => {
                        self.wan.traffic.dropped.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    async fn flow(&self, sender: SocketAddr) -> Option<Flow> {
        if self.flows.len() >= FLOWS_MAX {
            return None;
        }
        let inner = UdpSocket::bind((self.target.ip(), 0)).await.ok()?;
        inner.connect(self.target).await.ok()?;
        let inner = Arc::new(inner);
        let from = self.wan.senders.lock().get(&sender).copied();
        let delay = from.map_or_else(Default::default, |from| {
            regions::one_way(from, self.region, self.wan.scale)
        });
        let (line_in, there) = line(delay);
        let (back_in, back) = line(delay);
        let returns = Returns {
            wan: Arc::clone(&self.wan),
            carried: self.carried,
            pair: from.map(|to| (self.region, to)),
            inner: Arc::clone(&inner),
            line: back_in,
        };
        let outer = Arc::clone(&self.socket);
        let tasks = vec![
            tokio::spawn(forward(there, inner, None)).abort_handle(),
            tokio::spawn(forward(back, outer, Some(sender))).abort_handle(),
            tokio::spawn(returns.run()).abort_handle(),
        ];
        Some(Flow {
            from,
            line: line_in,
            tasks,
        })
    }
}

/// The node's answers to one sender.
struct Returns {
    wan: Arc<Wan>,
    carried: Carried,
    pair: Option<(usize, usize)>,
    inner: Arc<UdpSocket>,
    line: LineIn,
}

impl Returns {
    async fn run(self) {
        let mut buffer = BytesMut::new();
        loop {
            // The node is down, or was: its socket may come back.
            let Ok((packet, _)) = receive(&self.inner, &mut buffer).await else {
                continue;
            };
            if self
                .pair
                .is_some_and(|(from, to)| !self.wan.passes(from, to))
            {
                continue;
            }
            let sent = packet.len();
            match (self.line.push(packet), self.pair) {
                (true, Some((from, to))) => {
                    self.wan.traffic.count(self.carried, from, to, sent);
                }
                (true, None) => {}
                (false, _) => drop(self.wan.traffic.dropped.fetch_add(1, Ordering::Relaxed)),
            }
        }
    }
}

async fn receive(socket: &UdpSocket, buffer: &mut BytesMut) -> io::Result<(Bytes, SocketAddr)> {
    if buffer.capacity() < PACKET_MAX {
        *buffer = BytesMut::with_capacity(BUFFER);
    }
    let (len, from) = socket.recv_buf_from(buffer).await?;
    Ok((buffer.split_to(len).freeze(), from))
}

/// Sends what is due; a packet that cannot be sent is lost, as packets are.
async fn forward(mut line: LineOut, socket: Arc<UdpSocket>, to: Option<SocketAddr>) {
    while let Some(packet) = line.next().await {
        let _ = match to {
            Some(to) => socket.send_to(&packet, to).await,
            None => socket.send(&packet).await,
        };
    }
}
