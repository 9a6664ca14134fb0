//! `folkmoot-bench herd`: many come back at once, and each asks for the newest
//! messages of the same group; beside others that keep messages, and beside the
//! least that the same bytes can cost.

mod load;
mod report;
mod table;

use anyhow::{Context, bail};

use crate::crowd::{Archive, Hosts, Setup, Which};
use crate::flags::Common;
use crate::machine::{Cores, Machine};
use crate::peer::Tag;
use crate::progress::Progress;
use crate::run::{self, Clean};
use load::Herd;
use report::{Report, Row};

/// What can be measured.
const HOSTS: [Which; 7] = [
    Which::Websocket,
    Which::Quic,
    Which::RedisStreams,
    Which::Jetstream,
    Which::FloorTcp,
    Which::FloorTls,
    Which::FloorQuic,
];
/// Messages of the group for each that is read.
const SHELF: Tag = 4;

/// Flags of `folkmoot-bench herd`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// One short run, to see that it works; its figures mean little
    #[arg(long)]
    quick: bool,
    /// Who come at once, each a connection [default: 1000]
    #[arg(long)]
    clients: Option<usize>,
    /// The newest messages, that each asks for
    #[arg(long, default_value_t = 500)]
    newest: usize,
    /// How often they come [default: 5]
    #[arg(long)]
    rounds: Option<usize>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    hosts: Hosts,
}

impl Options {
    fn clients(&self) -> anyhow::Result<usize> {
        let clients = self.clients.unwrap_or(if self.quick { 100 } else { 1_000 });
        if !(1..=20_000).contains(&clients) {
            bail!("--clients is between 1 and 20000");
        }
        if !(1..=10_000).contains(&self.newest) {
            bail!("--newest is between 1 and 10000");
        }
        Ok(clients)
    }

    fn rounds(&self) -> anyhow::Result<usize> {
        let rounds = self.rounds.unwrap_or(if self.quick { 1 } else { 5 });
        if !(1..=1_000).contains(&rounds) {
            bail!("--rounds is between 1 and 1000");
        }
        Ok(rounds)
    }
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::printed(
        options.common.json,
        async |cores| measure(options, cores).await,
        table::print,
    )?;
    Ok(())
}

async fn measure(options: &Options, cores: Cores) -> anyhow::Result<Report> {
    let (clients, rounds) = (options.clients()?, options.rounds()?);
    let mut hosts = options.hosts.archives(&options.common, &HOSTS)?;
    let folder = run::folder(options.common.data.as_deref())?;
    let mut report = Report {
        machine: Machine::here(&cores, folder.path()),
        clients,
        newest: options.newest,
        rows: Vec::new(),
    };
    let progress = Progress::show(hosts.len());
    for host in &mut hosts {
        let name = host.name();
        progress.step(&name);
        let version = host.prepare().await?;
        let setup = Setup {
            listeners: clients,
            folder: folder.path().join("server"),
            core: cores.server,
        };
        let made = one(&**host, &setup, options.newest, rounds, cores).await;
        let made = made.with_context(|| name)?;
        let messages = clients * options.newest;
        report
            .rows
            .push(Row::new(&**host, version, messages, &made)?);
    }
    Ok(report)
}

/// One server, from its start to its end.
async fn one(
    host: &dyn Archive,
    setup: &Setup,
    newest: usize,
    rounds: usize,
    cores: Cores,
) -> anyhow::Result<Vec<load::Round>> {
    std::fs::create_dir(&setup.folder)?;
    let _clean = Clean(&setup.folder);
    let messages = newest as Tag * SHELF;
    let mut shelf = host.shelf(setup, messages, newest).await?;
    let readers = shelf.readers().await.context("connecting")?;
    let mut herd = Herd {
        readers,
        wanted: (messages - newest as Tag..messages).collect(),
    };
    let mut all = Vec::new();
    for number in 0..rounds {
        let round = herd.come(&mut *shelf, cores).await;
        shelf.must_run()?;
        all.push(round.with_context(|| format!("round {}", number + 1))?);
    }
    drop(herd);
    shelf.stop().await?;
    Ok(all)
}
