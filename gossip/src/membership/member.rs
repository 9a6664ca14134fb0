//! A node as the others see it.

use std::net::SocketAddr;

use foca::State;
use folkmoot_wire::NodeId;

use crate::identity::Identity;

/// How a member is seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// Answers.
    Alive,
    /// Does not answer; has a few seconds to speak up. Still a member.
    Suspect,
    /// Did not speak up.
    Dead,
    /// Said goodbye.
    Left,
    /// Answers, and asks for no new work.
    Draining,
}

impl MemberState {
    /// Whether the node takes part: everything but dead and gone.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect | Self::Draining)
    }

    /// A short stable name, for metrics and people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Dead => "dead",
            Self::Left => "left",
            Self::Draining => "draining",
        }
    }
}

/// A node of the cluster, as seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// The name of its region.
    pub region: String,
    /// Where its gossip socket is reached.
    pub addr: SocketAddr,
    /// Where its QUIC endpoint is reached.
    pub quic: SocketAddr,
    /// The number of its start: higher after each restart.
    pub incarnation: u64,
    /// How it is.
    pub state: MemberState,
}

impl Member {
    pub(super) fn seen(identity: &Identity, state: MemberState) -> Self {
        Self {
            node: identity.node(),
            region: identity.region().to_owned(),
            addr: identity.gossip_addr(),
            quic: identity.quic_addr(),
            incarnation: identity.incarnation(),
            state,
        }
    }
}

/// How this node shows itself.
pub(super) fn own_state(me: &Identity, left: bool) -> MemberState {
    if left {
        MemberState::Left
    } else if me.draining() {
        MemberState::Draining
    } else {
        MemberState::Alive
    }
}

/// How SWIM's state of another shows.
pub(super) fn state_of(member: &foca::Member<Identity>) -> MemberState {
    match member.state() {
        State::Down if member.id().leaving() => MemberState::Left,
        State::Down => MemberState::Dead,
        State::Suspect => MemberState::Suspect,
        // A leaver whose goodbye is still under way takes no new work either.
        State::Alive if member.id().draining() || member.id().leaving() => MemberState::Draining,
        State::Alive => MemberState::Alive,
    }
}
