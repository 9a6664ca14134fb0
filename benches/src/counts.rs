//! `folkmoot-bench counts`: what it takes to tell somebody what there is to
//! read in a thousand groups. An open loop: each question is due at its time.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use folkmoot_client::{Client, NewGroup};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::{sleep, sleep_until};

use crate::flags::Common;
use crate::machine::{Cores, Machine, Meter, Usage};
use crate::peer::{self, Cluster, Peer};
use crate::progress::Progress;
use crate::run::{self, Clean};
use crate::stats::Percentiles;
use crate::table::titled;

/// Groups made, joined and written to at once.
const AT_ONCE: usize = 32;
/// All groups are on the user's list within this time...
const SETTLE: Duration = Duration::from_secs(30);
/// ...and it is looked at this often.
const LOOK: Duration = Duration::from_millis(200);
/// Longest delay that is told apart, in microseconds.
const LONGEST: u64 = 60_000_000;
/// What is wanted, in milliseconds of the server's time.
const WANTED_MS: f64 = 5.0;

/// Flags of `folkmoot-bench counts`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Few groups and a short run, to see that it works
    #[arg(long)]
    quick: bool,
    /// Groups that the user is in [default: 1000]
    #[arg(long)]
    groups: Option<usize>,
    /// Questions a second
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// [default: 10]
    #[arg(long)]
    seconds: Option<f64>,
    #[command(flatten)]
    common: Common,
}

/// Everything.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    groups: usize,
    rate: f64,
    rows: Vec<Row>,
}

/// One way of asking.
#[derive(Debug, Serialize)]
struct Row {
    way: &'static str,
    round_trips: usize,
    /// Of the server's core, for one answer about all groups.
    server_ms: f64,
    /// From when a question was due to its whole answer.
    delay_ms: Percentiles,
    usage: Usage,
    wanted_ms: f64,
}

/// How it is asked.
#[derive(Debug, Clone, Copy)]
enum Way {
    Counts,
    List,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Counts => "counts alone",
            Self::List => "the list, with names and heads",
        }
    }

    /// Asks; gives the groups with something unread, and the round trips.
    async fn ask(self, client: &Client, groups: usize) -> anyhow::Result<(usize, usize)> {
        Ok(match self {
            Self::Counts => {
                let answer = client.unread().await?;
                let pages = groups.div_ceil(folkmoot_wire::limits::UNREAD_GROUPS);
                (answer.groups.len(), pages)
            }
            Self::List => {
                let list = client.list_groups().await?;
                let unread = list.iter().filter(|group| group.unread > 0).count();
                (unread, list.len().div_ceil(LIST_PAGE))
            }
        })
    }
}

/// Groups in one answer with names and heads.
const LIST_PAGE: usize = 100;

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
        "unread in {} groups, asked {} times a second",
        report.groups, report.rate
    );
    let mut table = titled(&[
        "way",
        "round trips",
        "server ms",
        "p50 ms",
        "p99 ms",
        "wanted",
    ]);
    for row in &report.rows {
        table.add_row([
            row.way.to_owned(),
            row.round_trips.to_string(),
            format!("{:.2}", row.server_ms),
            format!("{:.1}", row.delay_ms.p50),
            format!("{:.1}", row.delay_ms.p99),
            format!("{WANTED_MS} ms of the server"),
        ]);
    }
    println!("{table}");
}

async fn measure(options: &Options, cores: Cores) -> anyhow::Result<Report> {
    let groups = options
        .groups
        .unwrap_or(if options.quick { 50 } else { 1_000 });
    if !(1..=10_000).contains(&groups) {
        bail!("--groups is between 1 and 10000");
    }
    let seconds = options
        .seconds
        .unwrap_or(if options.quick { 1.0 } else { 10.0 });
    if !(0.5..=600.0).contains(&seconds) || !(0.1..=10_000.0).contains(&options.rate) {
        bail!("--seconds is between 0.5 and 600, --rate between 0.1 and 10000");
    }
    let mut product = peer::Folkmoot::new(options.common.folkmoot.clone())?;
    product.prepare().await?;
    let folder = run::folder(options.common.data.as_deref())?;
    let progress = Progress::show(2);
    progress.says("making groups");
    let setup = crate::crowd::Setup {
        listeners: 1,
        folder: folder.path().join("server"),
        core: cores.server,
    };
    std::fs::create_dir(&setup.folder)?;
    let _clean = Clean(&setup.folder);
    let setup = peer::Setup::of_one(&setup);
    let cluster = Cluster::start_with(product.program(), &setup, Vec::new()).await?;
    let node = [&cluster.nodes[0]];
    let (founder, reader) = (
        peer::publisher(&node, 0).await?,
        peer::publisher(&node, 1).await?,
    );
    make(&founder, &reader, groups).await?;
    let mut rows = Vec::new();
    for way in [Way::Counts, Way::List] {
        progress.step(way.name());
        let count = (seconds * options.rate).ceil() as u32;
        let asked = ask(&reader, way, groups, options.rate, count, &cluster, cores).await;
        rows.push(asked.context(way.name())?);
    }
    founder.close().await;
    reader.close().await;
    cluster.stop().await?;
    Ok(Report {
        machine: Machine::here(&cores, folder.path()),
        groups,
        rate: options.rate,
        rows,
    })
}

/// Groups with both in them, and one message that the reader has not read.
async fn make(founder: &Client, reader: &Client, groups: usize) -> anyhow::Result<()> {
    let one = |number: usize| async move {
        let group = NewGroup {
            name: format!("group {number}"),
            nick: "founder".to_owned(),
            open: true,
            ..NewGroup::default()
        };
        let group = founder.create_group(group).await?;
        reader.group(group.id()).join("reader").await?;
        group.send("news").await?;
        anyhow::Ok(())
    };
    let all = stream::iter((0..groups).map(one)).buffer_unordered(AT_ONCE);
    all.try_collect::<()>().await.context("making groups")
}

async fn ask(
    reader: &Client,
    way: Way,
    groups: usize,
    rate: f64,
    count: u32,
    cluster: &Cluster,
    cores: Cores,
) -> anyhow::Result<Row> {
    // What is read for the first time comes from the disk; and a group is on the
    // list a moment after the join.
    let settled = Instant::now() + SETTLE;
    let (unread, round_trips) = loop {
        let (unread, round_trips) = way.ask(reader, groups).await?;
        if unread == groups {
            break (unread, round_trips);
        }
        if Instant::now() > settled {
            bail!("{unread} of {groups} groups have something unread");
        }
        sleep(LOOK).await;
    };
    let mut delays = Histogram::new_with_max(LONGEST, 3)?;
    let meter = Meter::start(cluster.pids(), cores)?;
    let start = Instant::now();
    for number in 0..count {
        let due = start + Duration::from_secs_f64(f64::from(number) / rate);
        sleep_until(due.into()).await;
        let (again, _) = way.ask(reader, groups).await?;
        if again != unread {
            bail!("{again} groups have something unread, and {unread} had");
        }
        delays.saturating_record(due.elapsed().as_micros() as u64);
    }
    let time = start.elapsed();
    let usage = meter.stop()?;
    Ok(Row {
        way: way.name(),
        round_trips,
        server_ms: usage.server / 100.0 * time.as_secs_f64() * 1_000.0 / f64::from(count),
        delay_ms: Percentiles::of(&delays),
        usage,
        wanted_ms: WANTED_MS,
    })
}
