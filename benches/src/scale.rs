//! Clusters that do not fit this machine, with the product's own cores under
//! virtual time: what gossip, following and fan-out cost as nodes, groups and
//! members grow, and where the first limit is.

mod clients;
mod edge;
mod follow;
mod growth;
mod home;
mod limits;
mod plots;
mod report;
mod states;
mod swim;
mod topology;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use folkmoot_wire::NodeId;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;

use crate::progress::Progress;
use clients::Shares;
use follow::{PACES, Room};
use topology::Topology;

/// Members of rooms that are looked at.
const MEMBERS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The pace of all rooms; the largest is looked at in every pace.
const ROOM_PACE: u32 = 100;
const ROOM_MESSAGES: u32 = 50;

/// Of more, gossip is looked at for less long.
const MANY_NODES: u32 = 300;

/// Flags of `folkmoot-bench scale`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Up to a hundred nodes, and shorter
    #[arg(long)]
    quick: bool,
    /// Write plots as SVG into this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Sizes of clusters, rising [default: 10,100,1000; quick: 10,100]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(10..=1_100))]
    nodes: Vec<u32>,
    /// The same seed gives the same figures, the times of node states aside
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Members who are connected, in percent
    #[arg(long, default_value_t = 10.0)]
    online: f64,
    /// Connected members who have the group open, in percent
    #[arg(long, default_value_t = 10.0)]
    active: f64,
}

impl Options {
    fn sizes(&self) -> Vec<u32> {
        match (self.nodes.is_empty(), self.quick) {
            (false, _) => self.nodes.clone(),
            (true, true) => vec![10, 100],
            (true, false) => vec![10, 100, 1_000],
        }
    }

    fn groups(&self) -> &'static [u32] {
        match self.quick {
            true => &[1_000, 10_000],
            false => &[1_000, 10_000, 100_000],
        }
    }

    /// What is looked at of gossip. Its cost grows with the square of the
    /// nodes: of many, less.
    fn plan(&self, nodes: u32) -> swim::Plan {
        let many = nodes > MANY_NODES;
        swim::Plan {
            quiet: Duration::from_secs(match (many, self.quick) {
                (true, _) => 5,
                (false, true) => 10,
                (false, false) => 30,
            }),
            pause: Duration::from_secs(if many { 1 } else { 10 }),
            starts: !many,
            kills: if many { 1 } else { 3 },
            loss_percent: 1,
        }
    }
}

/// What came out of running the product's code.
#[derive(Debug, Serialize)]
struct Simulated {
    gossip: Vec<swim::Figures>,
    states: Vec<states::Figures>,
    follow: Vec<follow::Figures>,
    rooms: Vec<RoomRun>,
    cursors: Vec<follow::Cursors>,
    clients: Vec<edge::Figures>,
    groups: Vec<growth::Groups>,
    rows: growth::Rows,
    quiet: growth::Quiet,
}

/// A room of the largest cluster.
#[derive(Debug, Serialize)]
struct RoomRun {
    members: u64,
    followed: follow::Figures,
    cursors: follow::Cursors,
}

/// What was computed from it.
#[derive(Debug, Serialize)]
struct Computed {
    rooms: Vec<clients::Room>,
    clusters: Vec<growth::Cluster>,
    head_in_memory_bytes: usize,
    /// On disk, of each node that has the largest room in full.
    rows_of_largest_room_bytes: f64,
    limits: Vec<limits::Limit>,
}

#[derive(Debug, Serialize)]
struct Report {
    seed: u64,
    quick: bool,
    shares: Shares,
    simulated: Simulated,
    computed: Computed,
}

/// What the largest cluster shows beside the figures of all.
struct Largest {
    clients: Vec<edge::Figures>,
    rooms: Vec<RoomRun>,
    groups: Vec<growth::Groups>,
    rows: growth::Rows,
}

fn measure(options: &Options) -> anyhow::Result<Report> {
    let sizes = options.sizes();
    ensure!(sizes.is_sorted(), "sizes of clusters have to rise");
    let progress = Progress::show(3 * sizes.len() + 1);
    let shares = Shares {
        online: options.online / 100.0,
        active: options.active / 100.0,
    };
    let (mut gossip, mut states) = (Vec::new(), Vec::new());
    let (mut follow, mut cursors) = (Vec::new(), Vec::new());
    let (mut clusters, mut arrivals) = (Vec::new(), Vec::new());
    for nodes in &sizes {
        let topology = Topology::new(*nodes, options.seed);
        let plan = options.plan(*nodes);
        gossip.push(swim::measure(&topology, options.seed, &plan, &progress)?);
        progress.step("gossip");
        let looked = Topology::new(*nodes, options.seed);
        let quiet = Duration::from_secs(3);
        states.push(states::measure(looked, options.seed, quiet, &progress)?);
        progress.step("node states");
        let measured = follow::measure(&topology, &progress)?;
        follow.extend(measured.figures);
        cursors.push(measured.cursors);
        arrivals = measured.arrivals;
        clusters.push(growth::cluster(&topology)?);
        progress.step("following");
    }
    let largest = Topology::new(*sizes.last().context("no size")?, options.seed);
    let largest = look_at(&largest, options, shares, &arrivals, &progress)?;
    progress.step("done");
    let simulated = Simulated {
        gossip,
        states,
        follow,
        rooms: largest.rooms,
        cursors,
        clients: largest.clients,
        groups: largest.groups,
        rows: largest.rows,
        quiet: growth::quiet()?,
    };
    let mut computed = Computed {
        rooms: rooms(&simulated, shares),
        clusters,
        head_in_memory_bytes: growth::head_in_memory(),
        rows_of_largest_room_bytes: MEMBERS[MEMBERS.len() - 1] as f64
            * (simulated.rows.member_bytes + simulated.rows.cursor_bytes),
        limits: Vec::new(),
    };
    computed.limits = limits::find(&simulated, &computed, shares);
    Ok(Report {
        seed: options.seed,
        quick: options.quick,
        shares,
        simulated,
        computed,
    })
}

fn look_at(
    topology: &Topology,
    options: &Options,
    shares: Shares,
    arrivals: &[(u32, u32, follow::Arrivals)],
    progress: &Progress,
) -> anyhow::Result<Largest> {
    let clients = arrivals
        .iter()
        .map(|(per_s, messages, came)| edge::measure(*per_s, *messages, came))
        .collect::<anyhow::Result<_>>()?;
    let mut rooms = Vec::new();
    for members in MEMBERS {
        progress.says(&format!("a room of {members} members"));
        let wanting = wanting(topology, options.seed, shares.of(members).0);
        let mut room = Room::open(topology, &wanting)?;
        rooms.push(RoomRun {
            members,
            followed: room.say(ROOM_PACE, ROOM_MESSAGES)?,
            cursors: room.read()?,
        });
    }
    progress.says("groups");
    let small = Topology::new(10, options.seed);
    let mut room = Room::open(&small, &BTreeSet::new())?;
    room.read()?;
    let groups = options.groups().iter();
    Ok(Largest {
        clients,
        rooms,
        groups: groups
            .map(|count| growth::groups(room.home(), *count))
            .collect::<anyhow::Result<_>>()?,
        rows: growth::rows(room.home())?,
    })
}

/// Nodes on which somebody has the group open, of so many who do, spread
/// evenly.
fn wanting(topology: &Topology, seed: u64, active: f64) -> BTreeSet<NodeId> {
    let mut nodes: Vec<NodeId> = topology.ids().collect();
    nodes.shuffle(&mut StdRng::seed_from_u64(seed));
    nodes.truncate((active.round() as usize).max(1));
    nodes.into_iter().collect()
}

fn rooms(simulated: &Simulated, shares: Shares) -> Vec<clients::Room> {
    let got = |per_s: u32| simulated.clients.iter().find(|got| got.per_s == per_s);
    let of = |run: &RoomRun, followed: &follow::Figures| {
        let got = got(followed.per_s)?;
        Some(clients::room(
            run.members,
            shares,
            followed,
            &run.cursors,
            got,
        ))
    };
    let by_members = simulated
        .rooms
        .iter()
        .filter_map(|run| of(run, &run.followed));
    let others = simulated.follow.iter().rev().take(PACES.len()).rev();
    let others = others.filter(|followed| followed.per_s != ROOM_PACE);
    let largest = simulated.rooms.last().into_iter();
    let paces = largest.flat_map(|run| others.clone().filter_map(move |f| of(run, f)));
    by_members.chain(paces).collect()
}

/// Measures, prints, and plots.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let report = measure(options).context("scale")?;
    match options.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => report::print(&report),
    }
    if let Some(folder) = &options.plots {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        for (name, chart) in plots::charts(&report) {
            chart.write(&folder.join(name))?;
        }
    }
    Ok(())
}
