//! What a simulated network tells of what it delivers.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::Net;

/// What was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivered {
    /// A wish to connect reached its listener's host.
    Dial,
    /// A frame of a stream was received.
    Frame,
    /// A packet was received.
    Packet,
}

/// One delivery.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// When, in virtual time.
    pub at: Instant,
    /// From where. Of a dial: from a port that is not yet known, 0.
    pub from: SocketAddr,
    /// To where.
    pub to: SocketAddr,
    /// What kind of thing.
    pub what: Delivered,
    /// Its bytes; of a dial none.
    pub bytes: &'a [u8],
}

/// Told of every delivery.
pub type Observe = Box<dyn Fn(&Delivery<'_>) + Send + Sync>;

impl Net {
    pub(super) fn delivered(
        &self,
        what: Delivered,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) {
        if let Some(observe) = &self.observe {
            observe(&Delivery {
                at: Instant::now(),
                from,
                to,
                what,
                bytes,
            });
        }
    }
}
