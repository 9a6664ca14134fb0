//! `folkmoot-bench members`: a group that a million people come into, what it
//! takes to find one of them, and what they take on disk.

mod find;
mod joining;
mod report;

use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_storage::{RocksOptions, RocksStore, Store, Table};
use folkmoot_wire::{Slot, UserId};
use tokio::time::sleep;

use crate::crowd::{Folkmoot, Joins, Over, Product, Setup};
use crate::flags::Common;
use crate::machine::{Cores, Machine};
use crate::progress::Progress;
use crate::run::{self, Clean};
use report::{OnDisk, Report};

/// What comes late, of users' own lists, has come by then.
const SETTLE: Duration = Duration::from_secs(2);

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
    sleep(SETTLE).await;
    let mut pages = Vec::new();
    for kind in find::KINDS {
        progress.step(kind.name);
        let found = find::measure(&room, kind, options.asks, seconds, cores).await;
        pages.push(found.with_context(|| kind.name)?);
    }
    progress.step("the store is looked at");
    let store = room.store();
    room.stop().await?;
    let disk = on_disk(&store, members).context("the store of the node")?;
    drop(progress);
    Ok(Report {
        machine: Machine::here(&cores, folder.path()),
        members,
        joins,
        pages,
        disk,
    })
}

/// Bytes for each member, of a store that nobody has open.
fn on_disk(path: &std::path::Path, members: u32) -> anyhow::Result<OnDisk> {
    let store = RocksStore::open(path, &RocksOptions::default())?;
    let each = |table| anyhow::Ok(store.compacted_bytes(table)? as f64 / f64::from(members));
    let disk = OnDisk {
        rows: each(Table::Rows)?,
        index: each(Table::Index)?,
        log: each(Table::Log)?,
        wanted_rows: report::WANTED_BYTES,
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
