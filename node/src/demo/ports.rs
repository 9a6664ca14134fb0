//! Free ports for the nodes.
//!
//! They are taken from below the range that systems give to outgoing
//! connections, so that a node that is started again finds its own free.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context, bail};

const FIRST: u16 = 20_000;
const PORTS: u16 = 12_000;

/// Finds ports; each is found once.
#[derive(Debug)]
pub struct Ports {
    next: u16,
    left: u16,
}

impl Ports {
    /// Begins at a place that depends on `seed`, so that two demos at once
    /// seldom try the same.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self {
            next: (seed.wrapping_mul(61) % u32::from(PORTS)) as u16,
            left: PORTS,
        }
    }

    /// A loopback address whose port is free for UDP and for TCP.
    ///
    /// # Errors
    /// When there is none.
    pub fn free(&mut self) -> anyhow::Result<SocketAddr> {
        while self.left > 0 {
            let port = FIRST + self.next;
            self.next = (self.next + 1) % PORTS;
            self.left -= 1;
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok() {
                return Ok(addr);
            }
        }
        bail!("no port from {FIRST} on is free")
    }
}

/// Sets how many files this process and its nodes may open as high as the
/// system lets it: each client is one.
///
/// # Errors
/// When the system refuses.
pub fn raise_open_files() -> anyhow::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raising the number of open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_given_once() {
        let mut ports = Ports::new(std::process::id());
        let a = ports.free().expect("a port");
        let b = ports.free().expect("another");
        assert_ne!(a, b);
        assert!(TcpListener::bind(a).is_ok());
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let mut ports = Ports::new(7);
        let taken = ports.free().expect("a port");
        let _holder = UdpSocket::bind(taken).expect("it was free");
        let mut again = Ports::new(7);
        assert_ne!(again.free().expect("the next"), taken);
    }
}
