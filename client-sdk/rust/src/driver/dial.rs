//! Finding an edge and a carrier that work: the first edge first, another when
//! it fails or is not there within a short head start, and at each QUIC before
//! WebSocket in the same way, after the manner of RFC 8305 ("Happy Eyeballs").

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use folkmoot_transport::{
    Connection, Dial, Fingerprint, FramedStream, QuicConfig, QuicEndpoint, TransportError, Trust,
};
use folkmoot_wire::NodeId;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::OnceCell;

use crate::error::{ClientError, Result};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// What an edge has before the next is tried beside it: a dead one answers
/// nothing. Longer than QUIC's head start, so that an edge behind a network
/// that drops UDP has its chance.
const EDGE_HEAD_START: Duration = Duration::from_millis(800);
/// Edges tried at once.
const EDGES_AT_ONCE: usize = 3;

/// A connection with its stream.
pub(crate) struct Dialed {
    pub(crate) edge: String,
    pub(crate) connection: Arc<dyn Connection>,
    pub(crate) stream: FramedStream,
}

/// How to reach which edges.
pub(crate) struct Dialers {
    pub(crate) edges: Vec<String>,
    pub(crate) first: Arc<dyn Dial>,
    /// Tried beside the first after its head start.
    pub(crate) second: Option<Arc<dyn Dial>>,
    pub(crate) head_start: Duration,
    /// One attempt at one address, with its stream.
    pub(crate) deadline: Duration,
}

impl Dialers {
    /// Tries all edges `except` one once, beginning with the one whose turn it
    /// is; the first that is there has it.
    pub(crate) async fn dial(&self, turn: usize, except: Option<&str>) -> Result<Dialed> {
        let mut last = ClientError::Config("there is no edge to connect to".into());
        let count = self.edges.len();
        let edges = (0..count).map(|n| &self.edges[turn.wrapping_add(n) % count]);
        let edges: Vec<_> = edges.filter(|edge| Some(edge.as_str()) != except).collect();
        let mut left = edges.into_iter();
        let mut attempts = FuturesUnordered::new();
        loop {
            if attempts.len() < EDGES_AT_ONCE {
                attempts.extend(left.next().map(|edge| self.dial_edge(edge)));
            }
            let may_go_on = left.len() > 0 && attempts.len() < EDGES_AT_ONCE;
            tokio::select! {
                biased;
                done = attempts.next() => match done {
                    Some(Ok(dialed)) => return Ok(dialed),
                    Some(Err(error)) => last = error,
                    None => return Err(last),
                },
                () = tokio::time::sleep(EDGE_HEAD_START), if may_go_on => {}
            }
        }
    }

    async fn dial_edge(&self, edge: &str) -> Result<Dialed> {
        let (host, addresses) = resolve(edge).await?;
        let mut last = ClientError::Resolve {
            edge: edge.to_owned(),
            reason: "the name has no address".into(),
        };
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match self.race(address, host).await {
                Ok((connection, stream)) => {
                    return Ok(Dialed {
                        edge: edge.to_owned(),
                        connection,
                        stream,
                    });
                }
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    async fn race(
        &self,
        address: SocketAddr,
        host: &str,
    ) -> std::result::Result<(Arc<dyn Connection>, FramedStream), TransportError> {
        let first = self.attempt(&self.first, address, host);
        let Some(second) = &self.second else {
            return first.await;
        };
        tokio::pin!(first);
        let early = tokio::time::timeout(self.head_start, &mut first).await;
        if let Ok(Ok(won)) = early {
            return Ok(won);
        }
        let second = self.attempt(second, address, host);
        if early.is_ok() {
            return second.await;
        }
        tokio::pin!(second);
        tokio::select! {
            biased;
            won = &mut first => match won {
                Ok(won) => Ok(won),
                Err(_) => second.await,
            },
            won = &mut second => match won {
                Ok(won) => Ok(won),
                Err(_) => first.await,
            },
        }
    }

    async fn attempt(
        &self,
        dial: &Arc<dyn Dial>,
        address: SocketAddr,
        host: &str,
    ) -> std::result::Result<(Arc<dyn Connection>, FramedStream), TransportError> {
        let attempt = async {
            let connection = dial.dial_client(address, host).await?;
            let stream = connection.open().await?;
            Ok((connection, stream))
        };
        match tokio::time::timeout(self.deadline, attempt).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::Deadline {
                what: "connecting",
                after: self.deadline,
            }),
        }
    }
}

/// The host of `host:port`, without the brackets of an IPv6 address.
pub(crate) fn host(edge: &str) -> Option<&str> {
    let (host, port) = edge.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let host = host
        .strip_prefix('[')
        .map_or(Some(host), |inner| inner.strip_suffix(']'))?;
    (!host.is_empty()).then_some(host)
}

async fn resolve(edge: &str) -> Result<(&str, Vec<SocketAddr>)> {
    let failed = |reason: String| ClientError::Resolve {
        edge: edge.to_owned(),
        reason,
    };
    let host = host(edge).ok_or_else(|| failed("an edge is written host:port".into()))?;
    // Addresses need no resolver, and the simulated network has none.
    if let Ok(address) = edge.parse() {
        return Ok((host, vec![address]));
    }
    let found = tokio::net::lookup_host(edge).await;
    let addresses = found.map_err(|error| failed(error.to_string()))?;
    Ok((host, addresses.collect()))
}

/// Dials over QUIC from a socket of the right family, bound when first needed.
#[derive(Debug)]
pub(crate) struct QuicDialer {
    trust: Trust,
    v4: OnceCell<Arc<QuicEndpoint>>,
    v6: OnceCell<Arc<QuicEndpoint>>,
}

impl QuicDialer {
    pub(crate) fn new(trust: Trust) -> Self {
        Self {
            trust,
            v4: OnceCell::new(),
            v6: OnceCell::new(),
        }
    }

    async fn endpoint(&self, to: SocketAddr) -> folkmoot_transport::Result<&Arc<QuicEndpoint>> {
        let (cell, any): (_, IpAddr) = match to {
            SocketAddr::V4(_) => (&self.v4, Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (&self.v6, Ipv6Addr::UNSPECIFIED.into()),
        };
        let bind = SocketAddr::new(any, 0);
        let make = || async { QuicEndpoint::bind(QuicConfig::client(self.trust.clone(), bind)) };
        cell.get_or_try_init(make).await
    }
}

#[async_trait]
impl Dial for QuicDialer {
    async fn dial_node(
        &self,
        _: NodeId,
        _: SocketAddr,
    ) -> folkmoot_transport::Result<Arc<dyn Connection>> {
        Err(TransportError::Unsupported("a client does not dial nodes"))
    }

    async fn dial_client(
        &self,
        addr: SocketAddr,
        server_name: &str,
    ) -> folkmoot_transport::Result<Arc<dyn Connection>> {
        self.endpoint(addr)
            .await?
            .dial_client(addr, server_name)
            .await
    }

    async fn dial_join(
        &self,
        _: SocketAddr,
        _: Fingerprint,
    ) -> folkmoot_transport::Result<Arc<dyn Connection>> {
        Err(TransportError::Unsupported(
            "a client does not join a cluster",
        ))
    }
}

#[cfg(test)]
mod tests;
