//! Order: one Raft group per shard behind the [`Sequencer`] port (design
//! decisions D1, D2, D4, D15 and D19), with openraft as the engine.
//!
//! The parts: [`RaftShard`] runs one replica; its log and vote live in the
//! store's Raft table and are acknowledged only after the group commit's
//! fsync; committed payloads go to a [`Machine`], whose effects and the
//! applied position are one atomic batch; replicas talk through a
//! [`RaftLink`]. Terms have at most one leader, so `(term)` is an epoch.

mod applier;
mod born;
mod check;
mod codec;
mod compare;
mod cut;
mod durable;
mod inbound;
mod install;
mod log;
mod manifest;
mod membership;
mod network;
mod options;
mod overlay;
mod pages;
mod port;
mod promise;
mod purge;
mod report;
mod retired;
mod sending;
mod shard;
mod stage;
mod tail;
mod tally;
mod types;
mod wire;

pub use check::check;
pub use codec::entry_author;
pub use membership::Membership;
pub use options::{ConsensusError, RaftOptions};
pub use port::{
    Inspector, LinkError, Machine, MachineError, Mark, Position, ProposeError, Proposed, RaftLink,
    Range, Room, Sequencer, Status, Unsound, Whose,
};
pub use promise::{LastEntry, Promise, promise, remember};
pub use retired::{holds, retire};
pub use shard::RaftShard;
pub use tally::Snapshots;

#[cfg(test)]
mod tests;
