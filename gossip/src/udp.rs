//! The real datagram socket.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::net::UdpSocket;

use crate::port::{DATAGRAM_MAX, Datagrams};

/// A UDP socket of the operating system.
pub struct UdpDatagrams {
    socket: UdpSocket,
    local: SocketAddr,
}

impl UdpDatagrams {
    /// Binds `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(addr).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot bind the gossip socket to {addr}/udp: {error}"),
            )
        })?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local })
    }
}

/// An ICMP answer to an earlier send surfaces at the next call, whoever that
/// is for. It says that a peer is away, which SWIM finds out by itself.
fn is_about_a_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::Interrupted
    )
}

#[async_trait]
impl Datagrams for UdpDatagrams {
    async fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        match self.socket.send_to(packet, to).await {
            Ok(_) => Ok(()),
            Err(error) if is_about_a_peer(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn recv(&self) -> io::Result<(SocketAddr, Bytes)> {
        // One byte over the limit, so that a longer datagram is seen as such.
        let mut buffer = [0; DATAGRAM_MAX + 1];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((length, from)) => {
                    return Ok((from, Bytes::copy_from_slice(&buffer[..length])));
                }
                Err(error) if is_about_a_peer(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn local(&self) -> SocketAddr {
        self.local
    }
}
