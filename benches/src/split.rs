//! `folkmoot-bench split`: how long groups stand still when their shard is split
//! under load, and whether anything is lost or doubled by it. Three nodes, three
//! voters; an open loop in every group, each message at its time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use folkmoot_client::{Client, GroupId, NewGroup};
use futures_util::future::try_join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep};

use crate::flags::Common;
use crate::machine::{Cores, Machine};
use crate::peer::{Cluster, Folkmoot, Peer, Setup, publisher};
use crate::progress::Progress;
use crate::run::{self, Clean};
use crate::stats::Percentiles;
use crate::table::titled;

/// Connections that publish.
const CLIENTS: usize = 12;
/// How long each split is looked at, and the time before it.
const LOOK: Duration = Duration::from_millis(1_500);
/// Longest pause that is told apart, in microseconds.
const LONGEST: u64 = 60_000_000;

/// Flags of `folkmoot-bench split`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Two splits only, to see that it works
    #[arg(long)]
    quick: bool,
    /// How many shards are split, one after the other; at most 16
    #[arg(long, default_value_t = 16)]
    splits: usize,
    /// Groups that are written to
    #[arg(long, default_value_t = 48)]
    groups: usize,
    /// Messages a second in each group
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    #[command(flatten)]
    common: Common,
}

/// Everything.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    groups: usize,
    rate: f64,
    splits: usize,
    /// From the question until the new shard is known to have a leader.
    split_ms: Percentiles,
    /// The longest time between two acknowledgements in one group.
    gaps: Vec<Gaps>,
    sent: u64,
}

/// Of one kind of groups.
#[derive(Debug, Serialize)]
struct Gaps {
    which: &'static str,
    /// How many were looked at.
    of: u64,
    gap_ms: Percentiles,
}

/// Measures and prints. Fails when a message was lost or is there twice.
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
        "{} splits, one after the other, while {} groups get {} messages a second each: \
         {} messages, none lost, none doubled",
        report.splits, report.groups, report.rate, report.sent
    );
    println!(
        "from the question to a new shard with a leader: p50 {:.0} ms, at most {:.0} ms",
        report.split_ms.p50, report.split_ms.most
    );
    let mut table = titled(&[
        "longest gap between acknowledgements",
        "of",
        "p50 ms",
        "p99 ms",
        "max ms",
    ]);
    for row in &report.gaps {
        table.add_row([
            row.which.to_owned(),
            row.of.to_string(),
            format!("{:.0}", row.gap_ms.p50),
            format!("{:.0}", row.gap_ms.p99),
            format!("{:.0}", row.gap_ms.most),
        ]);
    }
    println!("{table}");
}

/// A group that is written to, and when its messages were acknowledged.
struct Room {
    id: GroupId,
    acknowledged: Mutex<Vec<Instant>>,
}

impl Room {
    /// The longest time without an acknowledgement between two moments.
    fn gap(&self, from: Instant, to: Instant) -> Duration {
        let acknowledged = self.acknowledged.lock();
        let within = acknowledged.iter().filter(|at| (from..to).contains(*at));
        let mut longest = Duration::ZERO;
        let mut last = from;
        for at in within.copied().chain([to]) {
            longest = longest.max(at - last);
            last = at;
        }
        longest
    }
}

async fn measure(options: &Options, cores: Cores) -> anyhow::Result<Report> {
    let splits = if options.quick { 2 } else { options.splits };
    if !(1..=16).contains(&splits) || !(1..=1_000).contains(&options.groups) {
        bail!("--splits is between 1 and 16, --groups between 1 and 1000");
    }
    if !(1.0..=1_000.0).contains(&options.rate) {
        bail!("--rate is between 1 and 1000 messages a second");
    }
    let mut product = Folkmoot::new(options.common.folkmoot.clone())?;
    product.prepare().await?;
    let folder = run::folder(options.common.data.as_deref())?;
    let progress = Progress::show(splits);
    progress.says("three nodes start");
    let setup = Setup {
        replicas: 3,
        targets: 1,
        publishers: CLIENTS,
        folder: folder.path().join("data"),
        core: cores.server,
    };
    std::fs::create_dir_all(&setup.folder)?;
    let _clean = Clean(&setup.folder);
    let cluster = Cluster::start_with(product.program(), &setup, Vec::new()).await?;
    let clients = connect(&cluster).await?;
    let rooms = make(&clients, options.groups).await?;
    let load = Load::start(&clients, &rooms, options.rate);
    sleep(LOOK).await;
    let mut seen = Seen::new()?;
    for shard in 1..=splits as u64 {
        progress.step(&format!("split {shard} of {splits}"));
        one(&cluster, shard, &rooms, &mut seen).await?;
    }
    let sent = load.stop().await?;
    check(&cluster, &rooms, &sent).await?;
    for client in &clients {
        client.close().await;
    }
    cluster.stop().await?;
    Ok(Report {
        machine: Machine::here(&cores, folder.path()),
        groups: options.groups,
        rate: options.rate,
        splits,
        split_ms: Percentiles::of(&seen.splits),
        gaps: seen.gaps(),
        sent: sent.iter().sum(),
    })
}

async fn connect(cluster: &Cluster) -> anyhow::Result<Vec<Client>> {
    let nodes = &cluster.nodes;
    let one = |number: usize| async move {
        // Whichever it is at, it goes on when that one goes.
        let at = number % nodes.len();
        publisher(&[&nodes[at], &nodes[(at + 1) % nodes.len()]], number).await
    };
    try_join_all((0..CLIENTS).map(one)).await
}

async fn make(clients: &[Client], groups: usize) -> anyhow::Result<Vec<Arc<Room>>> {
    let one = |number: usize| async move {
        let group = NewGroup {
            name: format!("bench {number}"),
            nick: "founder".to_owned(),
            ..NewGroup::default()
        };
        let made = clients[number % clients.len()].create_group(group).await?;
        anyhow::Ok(Arc::new(Room {
            id: made.id(),
            acknowledged: Mutex::default(),
        }))
    };
    try_join_all((0..groups).map(one))
        .await
        .context("making the groups")
}

/// One split, and what groups saw of it.
async fn one(
    cluster: &Cluster,
    shard: u64,
    rooms: &[Arc<Room>],
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let before = cluster.shards_of(rooms.iter().map(|room| room.id)).await?;
    let calm = Instant::now();
    sleep(LOOK).await;
    let begun = Instant::now();
    let child = cluster
        .split(shard)
        .await
        .with_context(|| format!("shard {shard}"))?;
    seen.split(begun.elapsed());
    sleep((begun + LOOK).saturating_duration_since(Instant::now())).await;
    let ended = Instant::now();
    let after = cluster.shards_of(rooms.iter().map(|room| room.id)).await?;
    for room in rooms {
        let (was, is) = (before[&room.id], after[&room.id]);
        let which = match (was == shard, is == child) {
            (true, true) => Which::Split,
            (true, false) => Which::Stayed,
            _ => Which::Others,
        };
        seen.gap(Which::Before, room.gap(calm, begun));
        seen.gap(which, room.gap(begun, ended));
    }
    Ok(())
}

/// Nothing is lost and nothing there twice: the home counts what it has.
async fn check(cluster: &Cluster, rooms: &[Arc<Room>], sent: &[u64]) -> anyhow::Result<()> {
    for (room, sent) in rooms.iter().zip(sent) {
        let there = cluster.count(room.id).await?;
        ensure!(
            there == *sent,
            "group {}: {sent} messages sent, {there} there",
            room.id
        );
    }
    Ok(())
}

/// Which groups a gap was seen in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    Before,
    Others,
    Stayed,
    Split,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Self::Before => "all groups, before each split",
            Self::Others => "groups of other shards",
            Self::Stayed => "groups that stayed with the shard",
            Self::Split => "groups that were split off",
        }
    }
}

struct Seen {
    splits: Histogram<u64>,
    gaps: BTreeMap<Which, Histogram<u64>>,
}

impl Seen {
    fn new() -> anyhow::Result<Self> {
        let all = [Which::Before, Which::Others, Which::Stayed, Which::Split];
        let empty = || Histogram::new_with_max(LONGEST, 3);
        let mut gaps = BTreeMap::new();
        for which in all {
            gaps.insert(which, empty()?);
        }
        Ok(Self {
            splits: empty()?,
            gaps,
        })
    }

    fn split(&mut self, took: Duration) {
        self.splits.saturating_record(took.as_micros() as u64);
    }

    fn gap(&mut self, which: Which, gap: Duration) {
        if let Some(gaps) = self.gaps.get_mut(&which) {
            gaps.saturating_record(gap.as_micros() as u64);
        }
    }

    fn gaps(&self) -> Vec<Gaps> {
        let row = |(which, gaps): (&Which, &Histogram<u64>)| Gaps {
            which: which.name(),
            of: gaps.len(),
            gap_ms: Percentiles::of(gaps),
        };
        self.gaps.iter().map(row).collect()
    }
}

/// The load, group by group.
struct Load {
    stop: watch::Sender<bool>,
    groups: Vec<JoinHandle<anyhow::Result<u64>>>,
}

impl Load {
    fn start(clients: &[Client], rooms: &[Arc<Room>], rate: f64) -> Self {
        let (stop, stopped) = watch::channel(false);
        let every = Duration::from_secs_f64(1.0 / rate);
        let groups = rooms.iter().enumerate().map(|(number, room)| {
            let client = clients[number % clients.len()].clone();
            tokio::spawn(publish(client, Arc::clone(room), every, stopped.clone()))
        });
        Self {
            groups: groups.collect(),
            stop,
        }
    }

    /// Ends when all that was sent is acknowledged; gives how much that is.
    async fn stop(self) -> anyhow::Result<Vec<u64>> {
        self.stop.send_replace(true);
        let mut sent = Vec::new();
        for group in self.groups {
            sent.push(group.await??);
        }
        Ok(sent)
    }
}

async fn publish(
    client: Client,
    room: Arc<Room>,
    every: Duration,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<u64> {
    let group = client.group(room.id);
    let mut ticks = interval(every);
    let mut open = FuturesUnordered::new();
    let (mut sent, mut goes_on) = (0, true);
    while goes_on || !open.is_empty() {
        tokio::select! {
            biased;
            _ = stopped.changed(), if goes_on => goes_on = false,
            _ = ticks.tick(), if goes_on => {
                sent += 1;
                open.push(group.submit(format!("message {sent}")).await?);
            }
            Some(done) = open.next(), if !open.is_empty() => {
                done.with_context(|| format!("group {}", room.id))?;
                room.acknowledged.lock().push(Instant::now());
            }
        }
    }
    Ok(sent)
}
