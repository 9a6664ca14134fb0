//! Following a shard (D7, D8): whoever holds it runs a [`feed::Feed`], whoever
//! wants it a [`follower::Follower`]. Both are cores without I/O.
//!
//! What is pushed speaks for what it covers and for nothing else. A gap is
//! fetched; bulk never travels on the live stream. Losing pushes is allowed
//! and said (`lossy`); the heads that follow show what to fetch. Between nodes
//! a push is lean: what the follower can work out is proven, not sent.

pub mod feed;
pub mod follower;
mod lean;

#[cfg(test)]
mod tests;
