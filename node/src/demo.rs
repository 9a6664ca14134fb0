//! `folkmoot demo`: a cluster over several regions on this machine, in which
//! real logs of a channel are replayed.
//!
//! The nodes are processes of this program like any other. What is the demo's
//! own lies around them: the wide area between the regions ([`wan`]), the
//! people ([`script`], [`replay`]), the page and the final check.

pub mod cluster;
mod compare;
mod crowd;
mod folder;
pub mod irc;
mod options;
pub mod orchestra;
mod page;
pub mod ports;
mod progress;
pub mod regions;
pub mod replay;
pub mod report;
pub mod script;
pub mod verify;
pub mod wan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ArgMatches;
use tokio::signal::unix::{SignalKind, signal};

use cluster::Cluster;
use crowd::Crowd;
use folder::DemoFolder;
use options::Options;
use orchestra::{Orchestra, Plan};
use progress::Progress;
use replay::{Observers, Pace, Replay};
use report::{Bytes, Clients, Report, round_trips};
use verify::Witness;
use wan::{Sample, Wan};

pub use options::command;

/// How long the regions may take to agree after the last line.
const AGREE: Duration = Duration::from_secs(90);

/// What a replay came to, before the folders were read.
struct Played {
    replay: Arc<Replay>,
    replay_time: Duration,
    wall_time: Duration,
    before: Sample,
    after: Sample,
    problems: Vec<String>,
}

/// Runs the demo.
///
/// # Errors
/// When it cannot run, or the regions do not hold what they should.
pub async fn run(args: &ArgMatches, json: bool) -> anyhow::Result<()> {
    if let Some(error) = options::as_node(args) {
        return Err(error);
    }
    let options = Options::of(args)?;
    let logs = options.logs()?;
    ports::raise_open_files()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let folder = DemoFolder::make(options.data.as_deref())?;
    let wan = Wan::new(options.regions, options.wan);
    let plan = Plan {
        program: std::env::current_exe().context("the path of this program")?,
        regions: options.regions,
        per_region: options.per_region,
        shards: options.shards,
        folder: folder.path().to_owned(),
        flags: Vec::new(),
    };
    say(
        json,
        format_args!(
            "starting {} regions of {} nodes",
            plan.regions, plan.per_region
        ),
    );
    // Dropping what has started kills it.
    let (mut orchestra, cluster) = tokio::select! {
        biased;
        _ = terminate.recv() => return stopped(&options),
        _ = interrupt.recv() => return stopped(&options),
        started = Orchestra::start(&plan, &wan) => started?,
    };
    let played = tokio::select! {
        biased;
        _ = terminate.recv() => Ok(None),
        _ = interrupt.recv() => Ok(None),
        error = orchestra.look_after() => Err(error),
        played = play(&options, cluster, logs, &wan, json) => played.map(Some),
    };
    say(json, format_args!("stopping the nodes"));
    let ended = orchestra.stop().await;
    let Some(played) = played? else {
        ended?;
        return stopped(&options);
    };
    ended?;
    let report = conclude(&options, played)?;
    print(&options, &report, json)
}

fn say(json: bool, what: std::fmt::Arguments<'_>) {
    if !json {
        eprintln!("{what}");
    }
}

/// Ctrl-C ends a demo as it should, but not one that was to prove something.
fn stopped(options: &Options) -> anyhow::Result<()> {
    if options.exit {
        bail!("interrupted");
    }
    Ok(())
}

async fn play(
    options: &Options,
    cluster: Cluster,
    logs: Vec<replay::Log>,
    wan: &Arc<Wan>,
    json: bool,
) -> anyhow::Result<Played> {
    let cluster = Arc::new(cluster);
    let replay = Arc::new(Replay::prepare(Arc::clone(&cluster), logs).await?);
    let observers = Observers::start(&replay).await?;
    let crowd = match options.members {
        Some(members) => Some(Crowd::make(&cluster, &replay.dialers, members).await?),
        None => None,
    };
    let page = match options.headless {
        true => None,
        false => Some(page::serve(&replay, crowd.as_ref(), wan, options).await?),
    };
    if let Some(page) = &page {
        println!("the page: http://{}/", page.addr);
    }
    let before = wan.traffic().sample();
    let start = tokio::time::Instant::now();
    let mut gathering = crowd.as_ref().map(|crowd| crowd.begin(Options::lines()));
    let progress = Progress::show(&replay, crowd.as_ref());
    let pace = match options.pipelined {
        true => Pace::Pipelined,
        false => Pace::LineByLine,
    };
    let replay_time = replay.run(&observers, pace).await?;
    if let Some(gathering) = &mut gathering {
        gathering.all().await?;
    }
    drop(progress);
    let mut problems = replay.refused.lock().clone();
    // What was refused is missing everywhere: there is nothing to wait for.
    if problems.is_empty() {
        if let Err(error) = observers.all_seen(&replay, AGREE).await {
            problems.push(format!("{error:#}"));
        }
        if let Err(error) = verify::agree(&cluster, &replay, AGREE).await {
            problems.push(format!("{error:#}"));
        }
    }
    let played = Played {
        replay,
        replay_time,
        wall_time: start.elapsed(),
        before,
        after: wan.traffic().sample(),
        problems,
    };
    if !options.exit {
        let verdict = match played.problems.first() {
            None => "all regions agree",
            Some(problem) => problem,
        };
        say(
            json,
            format_args!("replayed in {:.1} s; {verdict}", replay_time.as_secs_f64()),
        );
        say(json, format_args!("Ctrl-C stops everything"));
        match gathering {
            Some(mut gathering) => gathering.life().await?,
            None => std::future::pending::<()>().await,
        }
    }
    observers.close().await;
    Ok(played)
}

/// Reads the folders and puts the report together.
fn conclude(options: &Options, played: Played) -> anyhow::Result<Report> {
    let Played {
        replay,
        replay_time,
        wall_time,
        before,
        after,
        mut problems,
    } = played;
    let cluster = &replay.cluster;
    let witnesses: Vec<Witness<'_>> = (0..cluster.regions)
        .map(|region| Witness {
            name: regions::NAMES[region],
            folder: &cluster.of_region(region)[0].place.folder,
        })
        .collect();
    let export = options.export.as_deref();
    let verified = verify::offline(&replay, &witnesses, export, !options.pipelined)?;
    problems.extend(verified.problems);
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for (kind, count) in verified.groups.iter().flat_map(|group| &group.kinds) {
        *kinds.entry(kind.clone()).or_default() += count;
    }
    let entry_bytes = verified.groups.iter().map(|group| group.entry_bytes).sum();
    let names = &regions::NAMES[..options.regions];
    let [quic, websocket] = &replay.clients;
    Ok(Report {
        ok: problems.is_empty(),
        problems,
        pipelined: options.pipelined,
        regions: names.iter().map(|name| (*name).to_owned()).collect(),
        nodes: replay.cluster.members.len(),
        round_trips_ms: round_trips(options.regions, options.wan),
        lines: replay.groups.iter().map(|group| group.lines).sum(),
        entries: kinds.values().sum(),
        kinds,
        clients: Clients {
            quic: quic.load(Ordering::Relaxed),
            websocket: websocket.load(Ordering::Relaxed),
        },
        replay_seconds: replay_time.as_secs_f64(),
        wall_seconds: wall_time.as_secs_f64(),
        bytes: Bytes::of(&before, &after, entry_bytes, verified.other_entry_bytes),
        send_to_commit: replay.send_to_commit(),
        send_to_deliver: replay.send_to_deliver(),
        groups: verified.groups,
    })
}

fn print(options: &Options, report: &Report, json: bool) -> anyhow::Result<()> {
    if let Some(export) = &options.export {
        std::fs::create_dir_all(export).with_context(|| export.display().to_string())?;
        let path = export.join("report.json");
        let text = serde_json::to_vec_pretty(report)?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{report}");
    }
    if !report.ok {
        bail!("the regions do not hold what they should");
    }
    Ok(())
}
