//! `folkmoot-bench path`: the way of a message, at equal durability beside
//! others, in runs that take turns.

mod cells;
mod report;
mod table;

use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::flags::{Common, NatsAt, RedisAt};
use crate::machine::{Cores, Machine};
use crate::peer::{Folkmoot, JetStream, Peer, Redis, Setup};
use crate::progress::Progress;
use crate::run::{self, Clean};
use cells::{Cell, Measured, Shape};
use report::{Report, Row};

/// Publishers in every measurement.
const PUBLISHERS: usize = 16;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Folkmoot,
    Jetstream,
    Redis,
}

/// Flags of `folkmoot-bench path`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// One short run, to see that it works; its figures mean little
    #[arg(long)]
    quick: bool,
    /// How often everything is measured, in turns [default: 5]
    #[arg(long)]
    runs: Option<usize>,
    /// Seconds of each measurement, after a fifth of that to warm up
    /// [default: 5]
    #[arg(long)]
    seconds: Option<f64>,
    /// Groups, subjects and streams of the measurements with many
    /// [default: 1000]
    #[arg(long)]
    groups: Option<usize>,
    /// Only these
    #[arg(long, value_delimiter = ',', value_name = "PEERS")]
    only: Vec<Which>,
    /// Only with so many replicas
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    replicas: Vec<usize>,
    /// Only these measurements, of: latency, window1, window256, window1-many,
    /// window256-many
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    cells: Vec<String>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    nats: NatsAt,
    #[command(flatten)]
    redis: RedisAt,
}

impl Options {
    fn shape(&self) -> anyhow::Result<Shape> {
        let seconds = self.seconds.unwrap_or(if self.quick { 1.0 } else { 5.0 });
        if !(0.1..=3_600.0).contains(&seconds) {
            bail!("--seconds is between 0.1 and 3600");
        }
        let many = self.groups.unwrap_or(if self.quick { 50 } else { 1_000 });
        if !(1..=10_000).contains(&many) {
            bail!("--groups is between 1 and 10000");
        }
        Ok(Shape {
            many,
            time: Duration::from_secs_f64(seconds),
            warmup: Duration::from_secs_f64(seconds / 5.0),
        })
    }

    fn runs(&self) -> usize {
        self.runs.unwrap_or(if self.quick { 1 } else { 5 }).max(1)
    }

    fn peers(&self) -> anyhow::Result<Vec<Box<dyn Peer>>> {
        let mut peers: Vec<Box<dyn Peer>> = Vec::new();
        let wanted = |which| self.only.is_empty() || self.only.contains(&which);
        if wanted(Which::Folkmoot) {
            peers.push(Box::new(Folkmoot::new(self.common.folkmoot.clone())?));
        }
        if wanted(Which::Jetstream) {
            peers.push(Box::new(JetStream::new(self.nats.nats_server.clone())));
        }
        if wanted(Which::Redis) {
            peers.push(Box::new(Redis::new(self.redis.redis_server.clone())));
        }
        Ok(peers)
    }

    fn wants_replicas(&self, replicas: usize) -> bool {
        self.replicas.is_empty() || self.replicas.contains(&replicas)
    }

    fn cells(&self, shape: &Shape) -> anyhow::Result<Vec<Cell>> {
        let mut cells = shape.cells();
        let known: Vec<String> = cells.iter().map(Cell::id).collect();
        if let Some(unknown) = self.cells.iter().find(|name| !known.contains(name)) {
            bail!(
                "there is no measurement {unknown:?}, only {}",
                known.join(", ")
            );
        }
        cells.retain(|cell| self.cells.is_empty() || self.cells.contains(&cell.id()));
        Ok(cells)
    }
}

/// Measures and prints.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    run::printed(
        options.common.json,
        async |cores| measure(&options, cores).await,
        table::print,
    )?;
    Ok(())
}

async fn measure(options: &Options, cores: Cores) -> anyhow::Result<Report> {
    let shape = options.shape()?;
    let cells = options.cells(&shape)?;
    let mut peers = options.peers()?;
    let mut versions = Vec::new();
    for peer in &mut peers {
        versions.push(peer.prepare().await?);
    }
    let folder = run::folder(options.common.data.as_deref())?;
    let mut rows = Vec::new();
    for (at, peer) in peers.iter().enumerate() {
        for &replicas in peer.replicas() {
            if options.wants_replicas(replicas) {
                rows.push((at, Row::new(&**peer, replicas, &versions[at], &cells)));
            }
        }
    }
    let progress = Progress::show(options.runs() * rows.len() * cells.len());
    for run in 1..=options.runs() {
        for (at, row) in &mut rows {
            let setup = Setup {
                replicas: row.replicas,
                targets: shape.targets(&cells),
                publishers: PUBLISHERS,
                folder: folder.path().join("data"),
                core: cores.server,
            };
            progress.says(&format!("run {run}: {} starts", row.label()));
            let measured = one(&*peers[*at], &setup, &cells, &shape, cores, |cell| {
                progress.step(&format!("run {run}: {}, {}", row.label(), cell.name()));
            });
            let measured = measured.await.with_context(|| row.label())?;
            row.take(measured);
        }
    }
    drop(progress);
    let machine = Machine::here(&cores, folder.path());
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    Ok(Report::new(machine, options.runs(), &shape, rows))
}

/// One run of one peer, from fresh servers.
async fn one(
    peer: &dyn Peer,
    setup: &Setup,
    cells: &[Cell],
    shape: &Shape,
    cores: Cores,
    mut begins: impl FnMut(&Cell),
) -> anyhow::Result<Vec<Measured>> {
    std::fs::create_dir_all(&setup.folder)?;
    let _clean = Clean(&setup.folder);
    let mut servers = peer.start(setup).await?;
    let mut measured = Vec::new();
    let mut next = 1;
    for cell in cells {
        begins(cell);
        let done = cell.measure(&mut *servers, shape, cores, next).await;
        let (figures, numbers) = match done {
            Ok(done) => done,
            Err(error) => {
                servers.must_run()?;
                return Err(error.context(cell.name()));
            }
        };
        next += numbers;
        measured.push(figures);
    }
    servers.must_run()?;
    servers.stop().await?;
    Ok(measured)
}
