//! The command line.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::crowd::{FloorOptions, serve_floor};
use crate::{
    all, compare, counts, cursors, failover, fanout, floor, herd, idle, members, parts, path,
    process, scale, split, storm,
};

/// Measures Folkmoot, beside its peers where there are any.
#[derive(Debug, Parser)]
#[command(name = "folkmoot-bench", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every figure that is wanted, beside others and the floor, in one run
    All(all::Options),
    /// The same workloads at all who can do them, over many sizes and paces:
    /// tables and plots in a folder
    Compare(compare::Options),
    /// The least that the same can cost on this machine, by bare loops, and what
    /// ours is to it
    Floor(floor::Options),
    /// The way of a message: send to commit, send to deliver, and the highest
    /// committed rate; beside JetStream and Redis Streams
    Path(path::Options),
    /// The pause of a group when its leader is killed under load, and what is
    /// lost or doubled by it; beside JetStream
    Failover(failover::Options),
    /// The pause of groups when their shard is split under load, and what is lost
    /// or doubled by it
    Split(split::Options),
    /// What it costs to bring one person's messages to many; beside Redis, NATS
    /// and Mosquitto, and beside bare loops that write the same bytes
    Fanout(fanout::Options),
    /// Many who ask at once for the newest of one group's history; beside
    /// JetStream and Redis Streams, and beside the same loops
    Herd(herd::Options),
    /// How much is unread in a thousand groups: server time and delay
    Counts(counts::Options),
    /// People who tell how far they have read: what an edge takes, and what of
    /// it goes on to the group's home
    Cursors(cursors::Options),
    /// A group that a million people come into: joins a second, pages of its
    /// members, and what they take on disk
    Members(members::Options),
    /// Days of a real channel, a thousand times as fast, in one group that
    /// thousands follow over three regions: all must see one order
    Storm(storm::Options),
    /// The memory of connections that do nothing; beside the same
    Connections(idle::Options),
    /// One part alone: records per second that the store's group commit makes
    /// durable on this disk
    Commit(parts::commit::Options),
    /// One part alone: proposals per second of a shard with one voter
    Propose(parts::propose::Options),
    /// Rows that differ between two copies: bytes, round trips and time to find
    /// and bring them
    Reconcile(parts::reconcile::Options),
    /// Clusters of up to a thousand nodes and a room of a million members, in a
    /// simulation with the product's own cores: what it costs, and what limits it
    Scale(scale::Options),
    /// This process becomes the bare loop that others are compared with
    #[command(hide = true)]
    AsFloor(FloorOptions),
    /// This process pins itself and becomes a server that ends with its parent
    #[command(hide = true)]
    AsServer {
        #[arg(long)]
        core: Option<usize>,
        #[arg(long)]
        parent: u32,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Fails only when a provider is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match Arguments::parse().what {
        What::All(options) => all::run(&options),
        What::Compare(options) => compare::run(&options),
        What::Floor(options) => floor::run(&options),
        What::Path(options) => path::run(options),
        What::Failover(options) => failover::run(&options),
        What::Split(options) => split::run(&options),
        What::Fanout(options) => fanout::run(&options),
        What::Herd(options) => herd::run(&options),
        What::Counts(options) => counts::run(&options),
        What::Cursors(options) => cursors::run(&options),
        What::Members(options) => members::run(&options),
        What::Storm(options) => storm::run(&options),
        What::Connections(options) => idle::run(&options),
        What::AsFloor(options) => serve_floor(&options),
        What::Commit(options) => parts::commit::run(&options),
        What::Propose(options) => parts::propose::run(&options),
        What::Reconcile(options) => parts::reconcile::run(&options),
        What::Scale(options) => scale::run(&options),
        What::AsServer {
            core,
            parent,
            command,
        } => Err(process::become_server(core, parent, &command)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("folkmoot-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
