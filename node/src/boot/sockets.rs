//! The node's sockets and the addresses others know them by. They are bound
//! before anything else: a port in use is told before anything is written,
//! and with port 0 the cluster is told of the port that was found.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use folkmoot_gossip::{Datagrams, UdpDatagrams};
use tokio::time::sleep;

use crate::cluster::joiner::Names;
use crate::config::Config;

/// With port 0: tries to find one that is free for UDP and for TCP.
const TRIES: usize = 16;
/// A name that does not resolve is asked for again so often...
const LOOKUPS: usize = 5;
/// ...and after this pause: in a cluster that starts, names come late.
const LOOKUP_PAUSE: Duration = Duration::from_secs(1);

/// The sockets, bound and not served yet.
pub(super) struct Sockets {
    /// `listen`, UDP.
    pub(super) quic: UdpSocket,
    pub(super) gossip: UdpDatagrams,
    /// Served by whoever starts the node.
    pub(super) http: HttpSockets,
    pub(super) at: Addresses,
}

/// The sockets of HTTP.
pub struct HttpSockets {
    /// `listen`, TCP.
    pub https: TcpListener,
    /// `admin`.
    pub admin: TcpListener,
}

/// Addresses of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Where `listen` is bound.
    pub listen: SocketAddr,
    /// As others reach it.
    pub advertise: SocketAddr,
    /// As others reach gossip.
    pub gossip: SocketAddr,
    /// Where the admin API is.
    pub admin: SocketAddr,
}

impl Sockets {
    /// Binds all of them.
    ///
    /// # Errors
    /// When an address is taken or not of this machine, or an advertised name
    /// does not resolve.
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let (https, quic) = both(config.addr("listen")?)?;
        let gossip = UdpDatagrams::bind(config.addr("gossip")?).await?;
        let admin = tcp("the admin API", config.addr("admin")?)?;
        let listen = https.local_addr()?;
        let at = Addresses {
            listen,
            advertise: advertised(config, "advertise", listen).await?,
            gossip: advertised(config, "advertise_gossip", gossip.local()).await?,
            admin: admin.local_addr()?,
        };
        Ok(Self {
            quic,
            gossip,
            http: HttpSockets { https, admin },
            at,
        })
    }
}

/// One number for TCP and UDP (D16).
fn both(addr: SocketAddr) -> anyhow::Result<(TcpListener, UdpSocket)> {
    let mut tries = if addr.port() == 0 { TRIES } else { 1 };
    loop {
        let https = tcp("HTTPS", addr)?;
        let bound = https.local_addr()?;
        match UdpSocket::bind(bound) {
            Ok(quic) => return Ok((https, quic)),
            Err(error) => {
                tries -= 1;
                if tries == 0 {
                    bail!("QUIC cannot listen on {bound}/udp: {error}");
                }
            }
        }
    }
}

fn tcp(what: &str, addr: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(addr)
        .map_err(|error| anyhow::anyhow!("{what} cannot listen on {addr}/tcp: {error}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Names as this machine knows them.
pub(super) struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn resolve(&self, name: &str) -> anyhow::Result<Vec<SocketAddr>> {
        resolve(name).await
    }
}

async fn advertised(
    config: &Config,
    key: &'static str,
    bound: SocketAddr,
) -> anyhow::Result<SocketAddr> {
    let Some(name) = config.optional(key) else {
        return Ok(bound);
    };
    let mut tries = LOOKUPS;
    loop {
        match resolve(name).await {
            Ok(found) => return Ok(found[0]),
            Err(error) => {
                tries -= 1;
                if tries == 0 {
                    return Err(error.context(format!("`{key}`")));
                }
            }
        }
        sleep(LOOKUP_PAUSE).await;
    }
}

/// The addresses of `host:port` now; at least one.
pub(super) async fn resolve(name: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let found: Vec<_> = tokio::net::lookup_host(name)
        .await
        .with_context(|| format!("{name} does not resolve"))?
        .collect();
    if found.is_empty() {
        bail!("{name} has no address");
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
