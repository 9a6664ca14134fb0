//! `folkmoot-bench storm`: days of a real channel, many times as fast as they
//! were, in one group that thousands follow over several regions, with the wide
//! area between these. All have to see one order.

mod listener;
mod order;
mod people;
mod place;
mod report;
mod table;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_node::demo::cluster::Cluster;
use folkmoot_node::demo::orchestra::{Orchestra, Plan};
use folkmoot_node::demo::ports::raise_open_files;
use folkmoot_node::demo::replay::{Log, Observers, Pace, Replay, TIME_AHEAD};
use folkmoot_node::demo::verify::{self, Witness};
use folkmoot_node::demo::wan::Wan;
use folkmoot_node::demo::{irc, regions};
use folkmoot_wire::limits;
use tokio::time::{Instant, sleep};

use crate::flags::Common;
use crate::machine::{Cores, Machine, Memory, Meter, Usage};
use crate::peer::{self, Peer};
use crate::progress::Progress;
use crate::run;
use people::People;
use report::Report;

/// The group.
const GROUP: &str = "storm";
const SHARDS: u32 = 4;
/// Sends per session that no speaker reaches at any speed: what is measured is
/// the nodes, not the limit that protects them.
const SENDS: u32 = 100_000_000;
/// How long regions and listeners may take to have all, after the last line.
const AGREE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);

/// Flags of `folkmoot-bench storm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Few listeners, to see that it works
    #[arg(long)]
    quick: bool,
    /// Logs, each a day, said one after the other [default: the day that is
    /// built in]
    #[arg(long, value_name = "FILES", num_args = 1..)]
    logs: Vec<PathBuf>,
    /// So many times as fast as they were
    #[arg(long, default_value_t = 1_000.0)]
    speed: f64,
    /// Clients that follow the group, over all regions [default: 5000]
    #[arg(long)]
    listeners: Option<usize>,
    #[arg(long, default_value_t = 3)]
    regions: usize,
    /// Delays between regions are so many times as long; 0: none
    #[arg(long, default_value_t = 1.0)]
    wan: f64,
    #[command(flatten)]
    common: Common,
}

impl Options {
    fn check(&self) -> anyhow::Result<()> {
        if !(1.0..=100_000.0).contains(&self.speed) {
            bail!("--speed is between 1 and 100000");
        }
        if !(1..=20_000).contains(&self.listeners()) {
            bail!("--listeners are between 1 and 20000");
        }
        if !(1..=regions::NAMES.len()).contains(&self.regions) {
            bail!("--regions are between 1 and {}", regions::NAMES.len());
        }
        if !(0.0..=20.0).contains(&self.wan) {
            bail!("--wan is a number from 0 to 20");
        }
        Ok(())
    }

    fn listeners(&self) -> usize {
        self.listeners
            .unwrap_or(if self.quick { 200 } else { 5_000 })
    }

    fn log(&self) -> anyhow::Result<Log> {
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("reading {}", path.display()))
        };
        let files: Vec<Vec<u8>> = self.logs.iter().map(read).collect::<Result<_, _>>()?;
        let days: Vec<&[u8]> = match files.is_empty() {
            true => vec![irc::BUILT_IN],
            false => files.iter().map(Vec::as_slice).collect(),
        };
        let mut log = Log::of_days(GROUP.to_owned(), &days);
        // A group of this kind is large, however few try it out.
        log.room += self.listeners().max(limits::LARGE_GROUP as usize);
        Ok(log)
    }

    fn plan(&self, program: PathBuf, folder: PathBuf) -> Plan {
        Plan {
            program,
            regions: self.regions,
            per_region: 1,
            shards: SHARDS,
            folder,
            flags: vec![
                format!("--sends-per-second={SENDS}"),
                format!("--sends-burst={SENDS}"),
                "--log=warn".to_owned(),
            ],
        }
    }
}

/// What came of it, before the folders were read.
struct Played {
    replay: Arc<Replay>,
    people: People,
    /// From the first line until everybody had the last.
    time: Duration,
    usage: Usage,
    /// Of all nodes, in bytes.
    memory: u64,
    problems: Vec<String>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    raise_open_files()?;
    let report = run::until_interrupted(measure(options))?;
    match options.common.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => table::print(&report),
    }
    if !report.ok {
        bail!("not everybody saw the same");
    }
    Ok(())
}

async fn measure(options: &Options) -> anyhow::Result<Report> {
    options.check()?;
    let log = options.log()?;
    let mut product = peer::Folkmoot::new(options.common.folkmoot.clone())?;
    let version = product.prepare().await?;
    let cores = Cores::choose()?;
    let folder = run::folder(options.common.data.as_deref())?;
    let wan = Wan::new(options.regions, options.wan);
    let plan = options.plan(product.program().to_owned(), folder.path().to_owned());
    let progress = Progress::show(log.script.steps.len());
    progress.says("starting the regions");
    let (mut orchestra, cluster) = Orchestra::start(&plan, &wan).await?;
    let pids = orchestra.pids();
    let played = tokio::select! {
        biased;
        error = orchestra.look_after() => Err(error),
        played = play(options, log, cluster, (pids, cores), &progress) => played,
    };
    drop(progress);
    let stopped = orchestra.stop().await;
    let played = played?;
    stopped?;
    // Nobody is pinned: three regions are to have what they can get.
    let unpinned = Cores {
        server: None,
        generator: None,
        ..cores
    };
    let machine = Machine::here(&unpinned, folder.path());
    conclude(options, machine, version, played)
}

async fn play(
    options: &Options,
    log: Log,
    cluster: Cluster,
    (pids, cores): (Vec<u32>, Cores),
    progress: &Progress,
) -> anyhow::Result<Played> {
    let cluster = Arc::new(cluster);
    let replay = Replay::prepare(Arc::clone(&cluster), vec![log]).await?;
    let replay = Arc::new(replay);
    let group = replay.groups.first().context("one group")?.id;
    let observers = Observers::start(&replay).await?;
    progress.says("listeners come in");
    let mut people = People::come(&cluster, group, options.listeners()).await?;
    replay.guests.lock().extend(people.users.iter().copied());
    progress.says("the channel is said");
    let said: u64 = replay.groups.iter().map(|group| group.entries() - 1).sum();
    let last = people.base + said;
    let hall = Arc::clone(&people.hall);
    let all = async {
        let begun = async {
            sleep(TIME_AHEAD).await;
            anyhow::Ok((Meter::start(pids.clone(), cores)?, Instant::now()))
        };
        let played = replay.run(&observers, Pace::Timed(options.speed));
        let (_, (meter, start)) = tokio::try_join!(played, begun)?;
        let deadline = Instant::now() + AGREE;
        while hall.all_at() < last && Instant::now() < deadline {
            sleep(LOOK).await;
        }
        anyhow::Ok((start.elapsed(), meter.stop()?))
    };
    let (time, usage) = tokio::select! {
        biased;
        failed = people.listening.next_failure() => return Err(failed),
        all = all => all?,
        never = show(progress, &replay) => match never {},
    };
    let memory = Memory::of(&pids)?.server;
    let mut problems = replay.refused.lock().clone();
    let at = hall.all_at();
    if at < last && problems.is_empty() {
        problems.push(format!("after the end somebody has {at} of {last} entries"));
    }
    if let Err(error) = verify::agree_on(&cluster, group, at, AGREE).await {
        problems.push(format!("{error:#}"));
    }
    observers.close().await;
    Ok(Played {
        replay,
        people,
        time,
        usage,
        memory,
        problems,
    })
}

async fn show(progress: &Progress, replay: &Replay) -> Infallible {
    loop {
        sleep(LOOK).await;
        progress.at(replay.progress().0);
    }
}

/// Reads the folders: what all were shown must be what all regions hold, and
/// that must be what was said.
fn conclude(
    options: &Options,
    machine: Machine,
    version: String,
    mut played: Played,
) -> anyhow::Result<Report> {
    let cluster = &played.replay.cluster;
    let witnesses: Vec<Witness<'_>> = (0..cluster.regions)
        .map(|region| Witness {
            name: regions::NAMES[region],
            folder: &cluster.of_region(region)[0].place.folder,
        })
        .collect();
    let verified = verify::offline(&played.replay, &witnesses, None, false)?;
    let held = verified.groups.into_iter().next().context("one group")?;
    played.problems.extend(verified.problems);
    for (region, head) in &held.heads {
        let shown = played.people.hall.order.lock().chain(head.seq).copied();
        if shown.is_none_or(|shown| hex(&shown) != head.chain) {
            played.problems.push(format!(
                "{region} ends at {} {}, and listeners were shown another end",
                head.seq, head.chain
            ));
        }
    }
    Ok(Report::new(options, machine, version, &played, held))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
