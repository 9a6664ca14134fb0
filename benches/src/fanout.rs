//! `folkmoot-bench fanout`: what it costs to bring one person's messages to
//! many, beside others that do it, and beside the least that it can cost.

mod load;
mod report;
mod table;

use std::time::Duration;

use anyhow::{Context, bail};

use crate::crowd::{Host, Hosts, Setup, Which};
use crate::flags::Common;
use crate::machine::{Cores, Machine};
use crate::progress::Progress;
use crate::run::{self, Clean};
use load::{Crowd, Heard, Pace, Plan};
use report::{Cell, Report, Size};

/// What can be measured.
const HOSTS: [Which; 13] = [
    Which::Websocket,
    Which::WebsocketNoWindow,
    Which::Quic,
    Which::Redis,
    Which::RedisTls,
    Which::Nats,
    Which::NatsTls,
    Which::Mosquitto,
    Which::MosquittoTls,
    Which::Ejabberd,
    Which::FloorTcp,
    Which::FloorTls,
    Which::FloorQuic,
];

/// Flags of `folkmoot-bench fanout`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// One short run, to see that it works; its figures mean little
    #[arg(long)]
    quick: bool,
    /// Listeners, each a connection [default: 1000,5000]
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    listeners: Vec<usize>,
    /// Messages a second [default: 100,10]
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    rates: Vec<f64>,
    /// Leave out the measurement as fast as it goes
    #[arg(long)]
    no_most: bool,
    /// Percent of the listeners that read nothing [default: 0]
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    slow: Vec<usize>,
    /// Seconds of each measurement, after a fifth of that to warm up
    /// [default: 10]
    #[arg(long)]
    seconds: Option<f64>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    hosts: Hosts,
}

impl Options {
    fn time(&self) -> anyhow::Result<Duration> {
        let seconds = self.seconds.unwrap_or(if self.quick { 2.0 } else { 10.0 });
        if !(0.5..=600.0).contains(&seconds) {
            bail!("--seconds is between 0.5 and 600");
        }
        Ok(Duration::from_secs_f64(seconds))
    }

    fn listeners(&self) -> anyhow::Result<Vec<usize>> {
        let all = match (self.listeners.is_empty(), self.quick) {
            (false, _) => self.listeners.clone(),
            (true, true) => vec![200],
            (true, false) => vec![1_000, 5_000],
        };
        if all.iter().any(|count| !(1..=20_000).contains(count)) {
            bail!("--listeners are between 1 and 20000");
        }
        Ok(all)
    }

    fn slow(&self) -> anyhow::Result<Vec<usize>> {
        if self.slow.iter().any(|percent| *percent > 90) {
            bail!("--slow is at most 90 percent: who reads nothing is not measured");
        }
        Ok(match self.slow.is_empty() {
            true => vec![0],
            false => self.slow.clone(),
        })
    }

    fn paces(&self) -> anyhow::Result<Vec<Pace>> {
        let rates = match self.rates.is_empty() {
            true => &[100.0, 10.0][..],
            false => &self.rates,
        };
        if rates.iter().any(|rate| !(0.1..=100_000.0).contains(rate)) {
            bail!("--rates are between 0.1 and 100000 messages a second");
        }
        let mut paces: Vec<Pace> = rates.iter().map(|rate| Pace::Rate(*rate)).collect();
        if !self.no_most {
            paces.push(Pace::Most);
        }
        Ok(paces)
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
    let (time, paces) = (options.time()?, options.paces()?);
    let crowds = crowds(&options.listeners()?, &options.slow()?);
    let mut hosts = options.hosts.hosts(&options.common, &HOSTS)?;
    let mut versions = Vec::new();
    for host in &mut hosts {
        versions.push(host.prepare().await?);
    }
    let folder = run::folder(options.common.data.as_deref())?;
    let mut report = Report::new(Machine::here(&cores, folder.path()), time);
    let progress = Progress::show(hosts.len() * crowds.len() * paces.len());
    for size in crowds {
        for (host, version) in hosts.iter().zip(&versions) {
            let setup = Setup {
                listeners: size.listeners,
                folder: folder.path().join("server"),
                core: cores.server,
            };
            let plans = paces.iter().map(|pace| Plan {
                pace: *pace,
                warmup: time / 5,
                time,
            });
            let (name, plans) = (host.name(), plans.collect::<Vec<_>>());
            let says =
                |plan: &Plan| progress.step(&format!("{name}, {size}, {}", plan.pace.name()));
            let all = one(&**host, &setup, size, &plans, cores, says).await;
            let all = all.with_context(|| format!("{name} with {size}"))?;
            for (plan, heard) in plans.iter().zip(&all) {
                report.add(Cell::new(&**host, version, size, *plan, heard));
            }
        }
    }
    Ok(report)
}

/// Every number of listeners with every part of them that is slow.
fn crowds(listeners: &[usize], slow: &[usize]) -> Vec<Size> {
    let with = |listeners: &usize| {
        let listeners = *listeners;
        slow.iter().map(move |percent| Size {
            listeners,
            slow: listeners * percent / 100,
        })
    };
    listeners.iter().flat_map(with).collect()
}

/// One server, from its start to its end, under one load after the other.
async fn one(
    host: &dyn Host,
    setup: &Setup,
    size: Size,
    plans: &[Plan],
    cores: Cores,
    says: impl Fn(&Plan),
) -> anyhow::Result<Vec<Heard>> {
    std::fs::create_dir(&setup.folder)?;
    let _clean = Clean(&setup.folder);
    let mut room = host.open(setup).await?;
    let mut listeners = room.listeners().await.context("connecting listeners")?;
    // They stay connected, and read nothing.
    let slow = listeners.split_off(size.listeners - size.slow);
    let speaker = room.speaker().await.context("connecting the speaker")?;
    let mut crowd = Crowd {
        listeners,
        speaker,
        next: 0,
    };
    let mut all = Vec::new();
    for plan in plans {
        says(plan);
        let heard = load::run(&mut crowd, *plan, room.pids(), cores).await;
        room.must_run()?;
        all.push(heard.with_context(|| plan.pace.name())?);
    }
    drop((crowd, slow));
    room.stop().await?;
    Ok(all)
}
