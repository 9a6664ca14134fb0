//! What nodes are to each other: peers, consensus, following, routing.

pub mod backend;
pub mod clocks;
pub mod commands;
pub mod copies;
pub mod cursors;
pub mod feeds;
pub mod follow;
pub mod gossip;
pub mod join;
pub mod joiner;
pub mod machine;
pub mod meta;
pub mod outbox;
mod outcome;
pub mod pack;
pub mod parts;
pub mod peers;
mod placed;
pub mod read;
pub mod router;
pub mod serve;
pub mod shards;
pub mod start;
mod status;
pub mod tentatives;
mod view;
