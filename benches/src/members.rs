//! `folkmoot-bench members`: a group that a million people come into, what it
//! takes to find one of them, and what they take on disk.

mod find;
mod joining;
mod report;

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use folkmoot_client::GroupId;
use folkmoot_storage::{RocksOptions, RocksStore, Store, Table, keys};
use folkmoot_wire::{Slot, UserId};
use tokio::time::{Instant, sleep};

use crate::crowd::{Folkmoot, Joins, Over, Product, Setup};
use crate::flags::Common;
use crate::machine::{Cores, Machine, Meter};
use crate::progress::Progress;
use crate::run::{self, Clean};
use report::{OnDisk, Report};

/// What a join does to the user's own list comes later: it is waited for until
/// the server has had a second with so little of its core, in percent...
const IDLE: f64 = 5.0;
/// ...and no longer than this.
const SETTLE: Duration = Duration::from_secs(300);

/// Flags of `folkmoot-bench members`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Few members and short runs, to see that it works
    #[arg(long)]
    quick: bool,
    /// People who come [default: 1000000]
    #[arg(long)]
    members: Option<u32>,
    /// How many a second
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// Pages asked for a second
    #[arg(long, default_value_t = 50.0)]
    asks: f64,
    /// Of each kind of page [default: 10]
    #[arg(long)]
    seconds: Option<f64>,
    #[command(flatten)]
    common: Common,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::printed(
        options.common.json,
        async |cores| measure(options, cores).await,
        report::print,
    )?;
    Ok(())
}

async fn measure(options: &Options, cores: Cores) -> anyhow::Result<Report> {
    let (quick, rate) = (options.quick, options.rate);
    let members = options
        .members
        .unwrap_or(if quick { 20_000 } else { 1_000_000 });
    let seconds = options.seconds.unwrap_or(if quick { 1.0 } else { 10.0 });
    // The founder and an onlooker are in it, too.
    let most = folkmoot_wire::limits::MEMBER_CAP_MAX;
    let members = members.min(most - 2);
    if members < 1_000 || !(1..=1_000_000).contains(&rate) {
        bail!("--members is at least 1000, --rate between 1 and 1000000");
    }
    if !(0.5..=600.0).contains(&seconds) || !(0.1..=10_000.0).contains(&options.asks) {
        bail!("--seconds is between 0.5 and 600, --asks between 0.1 and 10000");
    }
    let folder = run::folder(options.common.data.as_deref())?;
    let progress = Progress::show(2 + find::KINDS.len());
    let mut product = Folkmoot::new(options.common.folkmoot.clone(), Over::Quic, true);
    product.prepare().await?;
    let setup = Setup {
        listeners: 1,
        folder: folder.path().join("server"),
        core: cores.server,
    };
    std::fs::create_dir(&setup.folder)?;
    let _clean = Clean(&setup.folder);
    let room = product.joins(&setup).await?;
    progress.step(&format!("{members} people come, {rate} a second"));
    let joins = joining::measure(&room, members, rate, cores).await?;
    settle(&room, cores).await?;
    let mut pages = Vec::new();
    for kind in find::KINDS {
        progress.step(kind.name);
        let found = find::measure(&room, kind, options.asks, seconds, cores).await;
        pages.push(found.with_context(|| kind.name)?);
    }
    progress.step("the store is looked at");
    let (store, group) = (room.store(), room.group());
    room.stop().await?;
    let disk = on_disk(&store, &group, members).context("the store of the node")?;
    drop(progress);
    Ok(Report {
        machine: Machine::here(&cores, folder.path()),
        members,
        joins,
        pages,
        disk,
    })
}

async fn settle(room: &Joins, cores: Cores) -> anyhow::Result<()> {
    let until = Instant::now() + SETTLE;
    loop {
        let meter = Meter::start(room.pids(), cores)?;
        sleep(Duration::from_secs(1)).await;
        if meter.stop()?.server < IDLE {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("the server does not come to rest after the joins");
        }
    }
}

/// Bytes for each member, of a store that nobody has open.
fn on_disk(path: &std::path::Path, group: &GroupId, members: u32) -> anyhow::Result<OnDisk> {
    let store = RocksStore::open(path, &RocksOptions::default())?;
    let each = |table, (from, to): (Bytes, Bytes)| {
        let bytes = store.compacted_bytes(table, &from, &to)?;
        anyhow::Ok(bytes as f64 / f64::from(members))
    };
    let (rows, whole) = (keys::rows::group_range(group), keys::prefix_range(&[]));
    let disk = OnDisk {
        rows: each(Table::Rows, rows)?,
        lists: each(Table::Rows, whole.clone())?,
        index: each(Table::Index, whole)?,
        log: each(Table::Log, keys::log::group_range(group))?,
        wanted_rows: report::WANTED_BYTES,
    };
    let disk = OnDisk {
        lists: disk.lists - disk.rows,
        ..disk
    };
    store.close()?;
    Ok(disk)
}

/// The user of a number: all over the slots of the group's region.
fn user(room: &Joins, number: u32) -> UserId {
    let mut unique = [0; 11];
    unique[..4].copy_from_slice(&number.to_be_bytes());
    let mixed = number.wrapping_mul(0x9e37_79b1);
    unique[4..8].copy_from_slice(&mixed.to_be_bytes());
    UserId::new(room.group().region(), Slot((mixed >> 16) as u16), unique)
}

/// What that one is called.
fn nick(number: u32) -> String {
    const FIRST: [&str; 16] = [
        "ada", "bo", "cleo", "dan", "eve", "finn", "gus", "hana", "ian", "juno", "kit", "lea",
        "mio", "nils", "ola", "pia",
    ];
    const THEN: [&str; 8] = ["_", "-", "", "_the_", ".", "x", "_of_", "o"];
    let first = FIRST[number as usize % FIRST.len()];
    let then = THEN[(number as usize / FIRST.len()) % THEN.len()];
    format!("{first}{then}{number}")
}
