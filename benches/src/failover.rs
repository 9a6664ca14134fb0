//! `folkmoot-bench failover`: how long a group stands still when its leader is
//! killed under load, and whether anything is lost or there twice afterwards;
//! beside JetStream.

mod kills;
mod load;
mod report;
mod table;

use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::flags::{Common, NatsAt};
use crate::machine::{Cores, Machine};
use crate::peer::{Folkmoot, JetStream, Peer, Setup};
use crate::progress::Progress;
use crate::run::{self, Clean};
use report::{Report, Row};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Folkmoot,
    Jetstream,
}

/// Flags of `folkmoot-bench failover`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often Folkmoot's leader is killed
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// How often a peer's leader is killed: its pauses are long
    #[arg(long, default_value_t = 20)]
    peer_kills: usize,
    /// Messages a second, of 256 bytes, from all publishers together
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Connections that publish, spread over the servers
    #[arg(long, default_value_t = 6)]
    publishers: usize,
    /// Only these
    #[arg(long, value_delimiter = ',', value_name = "PEERS")]
    only: Vec<Which>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    nats: NatsAt,
}

impl Options {
    fn check(&self) -> anyhow::Result<()> {
        if !(1..=100_000).contains(&self.rate) {
            bail!("--rate is between 1 and 100000 messages a second");
        }
        if !(1..=1_000).contains(&self.publishers) {
            bail!("--publishers is between 1 and 1000");
        }
        Ok(())
    }

    fn peers(&self) -> anyhow::Result<Vec<(Box<dyn Peer>, usize)>> {
        let mut peers: Vec<(Box<dyn Peer>, usize)> = Vec::new();
        let wanted = |which| self.only.is_empty() || self.only.contains(&which);
        if wanted(Which::Folkmoot) && self.kills > 0 {
            let peer = Folkmoot::new(self.common.folkmoot.clone())?;
            peers.push((Box::new(peer), self.kills));
        }
        if wanted(Which::Jetstream) && self.peer_kills > 0 {
            let peer = JetStream::new(self.nats.nats_server.clone());
            peers.push((Box::new(peer), self.peer_kills));
        }
        Ok(peers)
    }
}

/// Measures and prints. Fails when a message was lost or is there twice.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    options.check()?;
    let report = run::printed(
        options.common.json,
        async |cores| measure(options, cores).await,
        table::print,
    )?;
    match report.wrong() {
        None => Ok(()),
        Some(wrong) => bail!("{wrong}"),
    }
}

async fn measure(options: &Options, cores: Cores) -> anyhow::Result<Report> {
    let mut peers = options.peers()?;
    let folder = run::folder(options.common.data.as_deref())?;
    let progress = Progress::show(peers.iter().map(|(_, kills)| kills).sum());
    let mut rows = Vec::new();
    for (peer, kills) in &mut peers {
        let version = peer.prepare().await?;
        let setup = Setup {
            replicas: 3,
            targets: 1,
            publishers: options.publishers,
            folder: folder.path().join("data"),
            core: cores.server,
        };
        progress.says(&format!("{} starts", peer.name()));
        let every = Duration::from_secs(1) / options.rate;
        let outcome = one(&**peer, &setup, *kills, every, &progress).await;
        let outcome = outcome.with_context(|| peer.name())?;
        rows.push(Row::new(&**peer, version, &outcome));
    }
    drop(progress);
    let machine = Machine::here(&cores, folder.path());
    Ok(Report::new(machine, options.rate, options.publishers, rows))
}

/// One peer, from fresh servers.
async fn one(
    peer: &dyn Peer,
    setup: &Setup,
    kills: usize,
    every: Duration,
    progress: &Progress,
) -> anyhow::Result<kills::Outcome> {
    std::fs::create_dir_all(&setup.folder)?;
    let _clean = Clean(&setup.folder);
    let mut servers = peer.start_replicated(setup).await?;
    let publishers = servers.lasting(setup.publishers).await?;
    let load = load::Load::start(publishers, every);
    let mut pauses = Vec::new();
    for kill in 1..=kills {
        progress.step(&format!("{}: kill {kill} of {kills}", peer.name()));
        let pause = kills::kill(&mut *servers, &load).await;
        pauses.push(pause.with_context(|| format!("kill {kill}"))?);
    }
    let acknowledged = load.stop().await.context("ending the load")?;
    let stored = servers.stored().await.context("reading all")?;
    servers.must_run()?;
    servers.stop().await?;
    Ok(kills::Outcome::new(pauses, &acknowledged, &stored))
}
