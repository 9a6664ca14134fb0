//! The types openraft is instantiated with.

use std::fmt;

use bytes::Bytes;
use openraft::impls::EmptyNode;
use openraft::impls::leader_id_std;
use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt_tokio::TokioRuntime;
use serde::{Deserialize, Serialize};

/// tokio, with randomness drawn from a seed.
pub(crate) type Runtime = DeterministicRng<TokioRuntime>;

/// What the log carries. The committed log id has the term only, so the
/// leader's number travels with the payload.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command {
    pub(crate) proposer: u32,
    pub(crate) data: Bytes,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of node {}", self.data.len(), self.proposer)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the machine answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome(pub(crate) Bytes);

openraft::declare_raft_types!(
    pub(crate) Types:
        D = Command,
        R = Outcome,
        NodeId = u32,
        Node = EmptyNode,
        // At most one leader in a term (D1, D2); openraft's own default lets
        // a term have several.
        LeaderId = leader_id_std::LeaderId<u64, u32>,
        AsyncRuntime = Runtime,
);

pub(crate) type LogId = openraft::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::alias::VoteOf<Types>;
pub(crate) type Entry = openraft::alias::EntryOf<Types>;
pub(crate) type Payload = openraft::alias::PayloadOf<Types>;
pub(crate) type Membership = openraft::Membership<u32, EmptyNode>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<Types>;
