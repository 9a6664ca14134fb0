//! The network: who has which address, how far regions are apart, and who
//! looks on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_gossip::Datagrams;
use folkmoot_transport::sim::{Delivery, SimDatagrams, SimNet};
use rand::Rng;

use super::draw;
use super::oracle::Oracle;
use super::talk::Talk;
use super::weather::Weather;

/// Where nodes listen, and where gossip does.
pub const PORT: u16 = 7300;
pub const GOSSIP: u16 = 7301;
/// The regions, in order.
pub const REGIONS: [&str; 3] = ["west", "east", "south"];
/// Between two hosts of a region, one way.
const NEAR: Duration = Duration::from_micros(300);
/// One packet of gossip in so many is lost.
const LOSS: u32 = 100;

/// The address of a region's node.
#[must_use]
pub fn node_ip(region: usize, number: usize) -> IpAddr {
    Ipv4Addr::new(10, region as u8 + 1, 0, number as u8 + 1).into()
}

/// The address of a region's client.
#[must_use]
pub fn client_ip(region: usize, number: usize) -> IpAddr {
    Ipv4Addr::new(10, region as u8 + 1, 1, number as u8 + 1).into()
}

/// The address of the other device of a region's client: one without the SDK.
#[must_use]
pub fn raw_ip(region: usize, number: usize) -> IpAddr {
    Ipv4Addr::new(10, region as u8 + 1, 2, number as u8 + 1).into()
}

/// A client, by its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAt {
    pub region: usize,
    pub number: usize,
    /// The device without the SDK.
    pub raw: bool,
}

/// Whose address it is, if it is a client's.
#[must_use]
pub fn client_of(ip: IpAddr) -> Option<ClientAt> {
    match ip {
        IpAddr::V4(ip) => match ip.octets() {
            [10, region, kind @ (1 | 2), number] => Some(ClientAt {
                region: region as usize - 1,
                number: number as usize - 1,
                raw: kind == 2,
            }),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

/// The region of an address.
#[must_use]
pub fn region_of(ip: IpAddr) -> usize {
    match ip {
        IpAddr::V4(ip) => ip.octets()[1] as usize - 1,
        IpAddr::V6(_) => 0,
    }
}

/// One way: half of 75, 140 and 210 ms.
fn latency(from: IpAddr, to: IpAddr) -> Duration {
    let (a, b) = (region_of(from), region_of(to));
    match (a.min(b), a.max(b)) {
        (a, b) if a == b => NEAR,
        (0, 1) => Duration::from_micros(37_500),
        (0, _) => Duration::from_millis(70),
        _ => Duration::from_millis(105),
    }
}

/// A network that the oracle looks on at.
#[must_use]
pub fn network(oracle: &Oracle, weather: Arc<Weather>) -> SimNet {
    let Oracle {
        trace,
        book,
        leases,
        ..
    } = oracle.clone();
    let talk = Talk::new(oracle.findings.under("clocks"), oracle.sometimes.clone());
    let observe = move |delivery: &Delivery<'_>| {
        trace.delivery(delivery);
        match (client_of(delivery.to.ip()), client_of(delivery.from.ip())) {
            (Some(client), _) => {
                book.crossed(client, delivery);
                talk.heard(delivery);
                leases.to_client(delivery);
            }
            (None, Some(_)) => talk.said(delivery),
            (None, None) => leases.between_nodes(delivery),
        }
    };
    let late = move |from: IpAddr, to: IpAddr| {
        latency(from, to) + weather.delay(region_of(from), region_of(to))
    };
    SimNet::observed(late, Box::new(observe))
}

/// Gossip's socket.
pub struct Packets {
    socket: SimDatagrams,
    weather: Arc<Weather>,
}

impl Packets {
    /// Binds one. Some packets sent from it are lost, in any weather.
    ///
    /// # Errors
    /// When the address is taken.
    pub fn bind(
        net: &SimNet,
        weather: Arc<Weather>,
        addr: SocketAddr,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut rng = draw::rng(seed, "loss");
        let loss = Box::new(move || rng.random_ratio(1, LOSS));
        let socket = net.datagrams(addr, loss)?;
        Ok(Self { socket, weather })
    }
}

#[async_trait]
impl Datagrams for Packets {
    async fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        let (here, there) = (self.socket.local().ip(), to.ip());
        if self.weather.loses(region_of(here), region_of(there)) {
            return Ok(());
        }
        self.socket.send(to, packet).await
    }

    async fn recv(&self) -> io::Result<(SocketAddr, Bytes)> {
        self.socket.recv().await
    }

    fn local(&self) -> SocketAddr {
        self.socket.local()
    }
}
