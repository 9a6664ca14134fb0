//! The Rust SDK of Folkmoot.
//!
//! ```no_run
//! # async fn run() -> folkmoot_client::Result<()> {
//! use folkmoot_client::Client;
//!
//! let client = Client::builder()
//!     .edge("chat.example.org:7300")
//!     .token("...")
//!     .connect()
//!     .await?;
//! let group = client.group("g000000000000000000000000".parse().expect("an id"));
//! group.send("hello").await?;
//! let mut entries = group.entries().await?;
//! while let Some(entry) = entries.next().await {
//!     println!("{}: {}", entry.nick(), entry.text().unwrap_or_default());
//! }
//! # Ok(()) }
//! ```
//!
//! What it takes care of: a session over QUIC or WebSocket and a new one when
//! it ends; messages that are sent until they are committed, each at most once
//! in the log, over restarts too with a [`FileStore`]; each entry of a group
//! exactly once, in order and proved by its chain.
//!
//! Inside, [`core`] holds the protocol without I/O, an engine joins its parts,
//! and one task per client does the I/O.

mod badge;
mod builder;
mod client;
pub mod core;
mod driver;
mod engine;
mod entry;
mod error;
mod event;
mod feed;
mod group;
mod message;
mod presence;
mod readers;
mod receipt;
mod store;
mod token;

pub use badge::badge;
pub use builder::ClientBuilder;
pub use client::{Client, NewGroup};
pub use core::backoff::Backoff;
pub use core::timeline::{Point, Start};
pub use entry::Entry;
pub use error::{ClientError, Result};
pub use event::{Event, Events, Presence, TentativeEntry};
pub use feed::Entries;
pub use group::{Group, Range};
pub use message::SendOptions;
pub use receipt::{Receipt, Sent};
pub use store::{
    FileStore, Identity, LocalStore, MemoryStore, Record, Saved, SavedMessage, StoreError,
};
pub use token::TokenProvider;

pub use folkmoot_transport::{Carrier, Dial, Fingerprint, TransportError, Trust};
pub use folkmoot_wire::{
    ClientMsgId, Code, DeviceId, Fault, GroupId, MessageId, NodeId, UserId, proto,
};
