//! The ports behind which everything is alike that many are connected to: a
//! room that many listen to and one speaks in, a shelf that many read from.

mod ejabberd;
mod floor;
mod folkmoot;
mod hosts;
mod mosquitto;
mod nats;
mod plain;
mod records;
mod redis;
mod tls;

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Serialize;

pub(crate) use floor::{Floor, ServeOptions as FloorOptions, serve as serve_floor};
pub(crate) use folkmoot::{
    Adder, Answers, Dialer, Folkmoot, Joins, Known, Marker, Marks, Over, Said, Session,
};
pub(crate) use hosts::{Hosts, Which};

use crate::peer::Tag;

/// What a server is started for.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) listeners: usize,
    /// For its data; new.
    pub(crate) folder: PathBuf,
    /// Where it is pinned to.
    pub(crate) core: Option<usize>,
}

/// What a host is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Ours,
    Peer,
    /// A bare loop: the least that it can cost.
    Floor,
}

/// A program that is measured, as it is set up for that.
#[async_trait]
pub(crate) trait Product: Send + Sync {
    fn name(&self) -> String;

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    /// The bare loop that writes what this one writes, if there is one.
    fn floor(&self) -> Option<Floor> {
        None
    }

    /// How it is set up and what it does not do: for the notes.
    fn notes(&self) -> String;

    /// Finds or installs its program; gives the version.
    async fn prepare(&mut self) -> anyhow::Result<String>;
}

/// Something that fans out.
#[async_trait]
pub(crate) trait Host: Product {
    /// Starts a server with one room.
    async fn open(&self, setup: &Setup) -> anyhow::Result<Box<dyn Room>>;
}

/// Something that keeps what was said.
#[async_trait]
pub(crate) trait Archive: Product {
    /// Starts a server with one log of messages: the numbers from 0 on, so many
    /// of them. `newest` of these will be read at once.
    async fn shelf(
        &self,
        setup: &Setup,
        messages: Tag,
        newest: usize,
    ) -> anyhow::Result<Box<dyn Shelf>>;
}

/// A running server with its room. Dropping it kills it.
#[async_trait]
pub(crate) trait Room: Send {
    fn pids(&self) -> Vec<u32>;

    /// Connects all listeners: from now on each hears what is said.
    async fn listeners(&mut self) -> anyhow::Result<Vec<Box<dyn Listener>>>;

    /// Has those who will idle enter `rooms` rooms, where that outlives a
    /// connection: what is kept of it is not the connection's.
    async fn enter(&mut self, _rooms: usize) -> anyhow::Result<()> {
        Ok(())
    }

    /// Connects as many who are in `rooms` rooms, beside the first one, and do
    /// nothing there: each still does what keeps it connected. Behind
    /// [`Room::enter`].
    async fn idlers(&mut self, rooms: usize) -> anyhow::Result<Vec<Box<dyn Listener>>>;

    /// Connects the one who speaks.
    async fn speaker(&mut self) -> anyhow::Result<Box<dyn Speaker>>;

    /// Fails when the server has ended.
    fn must_run(&mut self) -> anyhow::Result<()>;

    async fn stop(self: Box<Self>) -> anyhow::Result<()>;
}

/// Says things; what the server answers is taken care of aside.
#[async_trait]
pub(crate) trait Speaker: Send {
    async fn say(&mut self, tag: Tag) -> anyhow::Result<()>;
}

/// Hears things.
#[async_trait]
pub(crate) trait Listener: Send {
    /// Waits until at least one message is there, and adds all that are.
    async fn hear(&mut self, heard: &mut Vec<Tag>) -> anyhow::Result<()>;
}

/// A running server with its log. Dropping it kills it.
#[async_trait]
pub(crate) trait Shelf: Send {
    fn pids(&self) -> Vec<u32>;

    /// Connects all who will read: they have done whatever a client does before
    /// it reads.
    async fn readers(&mut self) -> anyhow::Result<Vec<Box<dyn Reader>>>;

    /// Readers begin to read now.
    async fn begin(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Fails when the server has ended.
    fn must_run(&mut self) -> anyhow::Result<()>;

    async fn stop(self: Box<Self>) -> anyhow::Result<()>;
}

/// Reads what it missed.
#[async_trait]
pub(crate) trait Reader: Send {
    /// Asks for the newest messages, and adds all of them, oldest first.
    async fn catch_up(&mut self, read: &mut Vec<Tag>) -> anyhow::Result<()>;
}

/// A peer's name, by what carries it.
fn over(name: &str, tls: bool) -> String {
    match tls {
        true => format!("{name}{OVER_TLS}"),
        false => name.to_owned(),
    }
}

/// For a peer's notes.
fn carrier(tls: bool) -> &'static str {
    match tls {
        true => "TLS 1.3 over TCP",
        false => "TCP without TLS",
    }
}

/// What a peer's name ends with where it is over TLS.
pub(crate) const OVER_TLS: &str = ", tls";

/// QUIC connections of one socket: with all on one, its buffer would lose what
/// the sockets of as many devices take.
pub(crate) const ON_ONE_SOCKET: usize = 8;
/// Connections made at once.
pub(crate) const AT_ONCE: usize = 32;
