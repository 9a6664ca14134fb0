//! `folkmoot-bench connections`: what a connection costs that does nothing.

use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::crowd::{Host, Hosts, Listener, Room, Setup, Which};
use crate::flags::Common;
use crate::machine::{Cores, Machine, Memory};
use crate::progress::Progress;
use crate::run::{self, Clean};
use crate::table::{align, titled};

/// Servers settle for so long before they are looked at.
const SETTLE: Duration = Duration::from_secs(60);
const SETTLE_QUICKLY: Duration = Duration::from_secs(3);

/// What can be measured.
const HOSTS: [Which; 7] = [
    Which::Websocket,
    Which::Quic,
    Which::Redis,
    Which::Nats,
    Which::Mosquitto,
    Which::Ejabberd,
    Which::FloorTcp,
];

/// Flags of `folkmoot-bench connections`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Few connections and a short wait, to see that it works
    #[arg(long)]
    quick: bool,
    /// [default: 10000]
    #[arg(long)]
    connections: Option<usize>,
    /// Groups, subjects or topics that each is in
    #[arg(long, default_value_t = 10)]
    groups: usize,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    hosts: Hosts,
}

/// Everything.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    connections: usize,
    groups: usize,
    rows: Vec<Row>,
}

/// Of one host, in bytes for each connection.
#[derive(Debug, Serialize)]
struct Row {
    host: String,
    version: String,
    /// Of the server's memory (PSS).
    server: f64,
    /// Of the kernel's slabs, for both ends.
    slab: f64,
    /// The server's memory without connections, in bytes; whoever connects
    /// later is in its rooms already, where that outlives a connection.
    empty: u64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::printed(
        options.common.json,
        async |cores| measure(options, cores).await,
        print,
    )?;
    Ok(())
}

fn print(report: &Report) {
    println!(
        "{} idle connections, each in {} groups: KiB for each connection",
        report.connections, report.groups
    );
    let mut table = titled(&["host", "server", "kernel, both ends", "empty server, MiB"]);
    let kib = |bytes: f64| format!("{:.1}", bytes / 1024.0);
    for row in &report.rows {
        table.add_row([
            format!("{} {}", row.host, row.version),
            kib(row.server),
            kib(row.slab),
            kib(row.empty as f64 / 1024.0),
        ]);
    }
    align(&mut table);
    println!("{table}");
}

async fn measure(options: &Options, cores: Cores) -> anyhow::Result<Report> {
    let connections = match (options.connections, options.quick) {
        (Some(connections), _) => connections,
        (None, true) => 200,
        (None, false) => 10_000,
    };
    if !(1..=25_000).contains(&connections) {
        bail!("--connections is between 1 and 25000");
    }
    let folder = run::folder(options.common.data.as_deref())?;
    let mut hosts = options.hosts.hosts(&options.common, &HOSTS)?;
    let progress = Progress::show(hosts.len());
    let mut rows = Vec::new();
    for host in &mut hosts {
        let name = host.name();
        progress.step(&name);
        let version = host.prepare().await?;
        let setup = Setup {
            listeners: connections,
            folder: folder.path().join("server"),
            core: cores.server,
        };
        let row = one(&**host, version, &setup, options).await;
        rows.push(row.with_context(|| name)?);
    }
    Ok(Report {
        machine: Machine::here(&cores, folder.path()),
        connections,
        groups: options.groups,
        rows,
    })
}

async fn one(
    host: &dyn Host,
    version: String,
    setup: &Setup,
    options: &Options,
) -> anyhow::Result<Row> {
    std::fs::create_dir(&setup.folder)?;
    let _clean = Clean(&setup.folder);
    let mut room = host.open(setup).await?;
    let settle = match options.quick {
        true => SETTLE_QUICKLY,
        false => SETTLE,
    };
    room.enter(options.groups).await.context("entering")?;
    sleep(SETTLE_QUICKLY).await;
    let before = Memory::of(&room.pids())?;
    let idlers = room.idlers(options.groups).await.context("connecting")?;
    let after = settled(&mut *room, idlers, settle).await?;
    room.stop().await?;
    let each = |more: u64, less: u64| (more as f64 - less as f64) / setup.listeners as f64;
    Ok(Row {
        host: host.name(),
        version,
        server: each(after.server, before.server),
        slab: each(after.slab, before.slab),
        empty: before.server,
    })
}

/// The memory once all were there for a while.
async fn settled(
    room: &mut dyn Room,
    idlers: Vec<Box<dyn Listener>>,
    settle: Duration,
) -> anyhow::Result<Memory> {
    let mut tasks = JoinSet::new();
    for mut idler in idlers {
        tasks.spawn(async move {
            let mut heard = Vec::new();
            loop {
                if let Err(error) = idler.hear(&mut heard).await {
                    return error;
                }
            }
        });
    }
    let ended = tokio::select! {
        () = sleep(settle) => None,
        ended = tasks.join_next() => ended,
    };
    if let Some(error) = ended {
        return Err(error?.context("a connection"));
    }
    room.must_run()?;
    Memory::of(&room.pids())
}
