//! What nodes are to each other: peers, consensus, following, routing.

pub mod backend;
pub mod cursors;
pub mod feeds;
pub mod follow;
pub mod gossip;
pub mod join;
pub mod machine;
pub mod meta;
pub mod outbox;
pub mod peers;
pub mod read;
pub mod router;
pub mod serve;
pub mod shards;
pub mod start;
pub mod view;
