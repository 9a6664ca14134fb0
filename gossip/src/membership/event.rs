//! What goes into the machine, and what comes out.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::identity::Identity;
use crate::seal::{Keyring, Refused};

/// A timer of SWIM's, to be handed back when its time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer(pub(super) foca::Timer<Identity>);

/// What happens to the machine.
#[derive(Debug)]
pub enum Event {
    /// A datagram came in.
    Packet {
        /// Where from, as the network says.
        from: SocketAddr,
        /// The bytes, sealed.
        bytes: Bytes,
    },
    /// A scheduled timer is due. Every one must be delivered.
    Timer(Timer),
    /// About once a second.
    Tick,
    /// These addresses may answer; they become the seeds, and are tried now.
    Announce(Vec<SocketAddr>),
    /// Take no new work, or take it again.
    Drain(bool),
    /// Say goodbye. Repeating it repeats the goodbye, against loss; anything
    /// else is ignored afterwards.
    Leave,
    /// The gossip keys changed.
    Keys(Keyring),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this datagram.
    Send {
        /// Where to.
        to: SocketAddr,
        /// The bytes, sealed.
        packet: Bytes,
    },
    /// Deliver [`Event::Timer`] after this time.
    Schedule {
        /// Counted from now.
        after: Duration,
        /// What to deliver.
        timer: Timer,
    },
    /// The members, or what is known of them, changed.
    Changed,
    /// First packet of this source that was refused for this reason: worth a
    /// line in the log. The counters have them all.
    Warn {
        /// Where from.
        from: SocketAddr,
        /// Why.
        reason: Refused,
    },
}
