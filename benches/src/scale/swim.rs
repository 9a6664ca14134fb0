//! Membership: the node's own machine on every node, on a network under
//! virtual time.

mod net;
#[cfg(test)]
mod tests;
mod told;

use std::time::Duration;

use anyhow::{Context, ensure};
use folkmoot_gossip::MemberState;
use folkmoot_wire::NodeId;
use serde::Serialize;

use super::topology::Topology;
use crate::progress::Progress;
use net::Net;

/// A second in which no more than so many packets leave a node is quiet: a
/// probe, the answer to one, and now and then an announce.
const QUIET_PACKETS: f64 = 3.5;
/// Nothing may take longer.
const LIMIT: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);
/// A node that joined is looked at for so long.
const NEWCOMER: Duration = Duration::from_secs(5);

/// Times of the first, of half, and of all nodes, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Told {
    pub(super) first_s: f64,
    pub(super) half_s: f64,
    pub(super) all_s: f64,
}

/// What one node sends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Sent {
    pub(super) packets_per_s: f64,
    pub(super) bytes_per_s: f64,
}

/// All nodes start within a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Start {
    /// Until every node knew all.
    pub(super) formed_s: f64,
    /// Mean of all nodes, until it was quiet.
    pub(super) bytes_per_node: f64,
    /// Packets that the busiest node got in the first second.
    pub(super) most_packets_in: u64,
}

/// What a node knows that has just joined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Newcomer {
    /// So many nodes, itself included,
    pub(super) knows: usize,
    /// after this time.
    pub(super) after_s: f64,
    /// All of them since then, if it does.
    pub(super) all_s: Option<f64>,
}

/// Of one size of cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) nodes: u32,
    pub(super) regions: u32,
    /// Where it was looked at.
    pub(super) start: Option<Start>,
    pub(super) quiet: Sent,
    /// Medians of so many kills.
    pub(super) kills: u32,
    pub(super) killed: Told,
    /// The mean of all nodes in the seconds until all knew.
    pub(super) killed_sent: Sent,
    pub(super) joined: Told,
    pub(super) newcomer: Newcomer,
    /// Of the packets lost below, in percent.
    pub(super) loss_percent: u32,
    pub(super) killed_with_loss: Told,
    /// Living nodes that were held for dead meanwhile and came back.
    pub(super) wrongly_dead: u64,
}

/// How long is looked.
pub(super) struct Plan {
    pub(super) quiet: Duration,
    /// Whether the cluster forms by itself.
    pub(super) starts: bool,
    /// Nodes that are killed without loss, and as many with it.
    pub(super) kills: u32,
    /// Between two of them.
    pub(super) pause: Duration,
    pub(super) loss_percent: u32,
}

pub(super) fn measure(
    topology: &Topology,
    seed: u64,
    plan: &Plan,
    progress: &Progress,
) -> anyhow::Result<Figures> {
    let mut net = Net::new(topology, seed);
    let says = |what: &str, net: &Net| {
        let seconds = net.now().as_secs();
        progress.says(&format!(
            "gossip, {} nodes: {what}, {seconds} s",
            topology.nodes
        ));
    };
    let start = match plan.starts {
        true => Some(start(&mut net, |net| says("forms", net))?),
        false => {
            told::form(&mut net, |net| says("is told", net))?;
            settle(&mut net, |net| says("settles", net))?;
            None
        }
    };
    ensure!(net.is_whole(), "not all know all");

    says("is quiet", &net);
    let quiet = sent(&mut net, |net| net.run(plan.quiet));
    // Of other regions each time.
    let kills = plan.kills;
    let mut victims =
        (0..2 * kills).map(|n| NodeId(n * (topology.nodes / (2 * kills)) + n % 3 + 1));
    let (mut deaths, mut death) = (Vec::new(), None);
    for victim in victims.by_ref().take(kills as usize) {
        says("one is killed", &net);
        let sent = sent(&mut net, |net| deaths.push(kill(net, victim)));
        death.get_or_insert(sent);
        net.run(plan.pause);
    }
    says("one joins", &net);
    let (joined, newcomer) = join(&mut net, NodeId(topology.nodes + 1))?;
    net.run(plan.pause);
    net.lose(plan.loss_percent);
    let (before, mut lossy) = (net.returns(), Vec::new());
    for victim in victims {
        says("one is killed, with loss", &net);
        lossy.push(kill(&mut net, victim));
        net.run(plan.pause);
    }
    Ok(Figures {
        nodes: topology.nodes,
        regions: topology.regions,
        start,
        quiet,
        kills,
        killed: Told::median(deaths)?,
        killed_sent: death.context("nobody was killed")?,
        joined,
        newcomer,
        loss_percent: plan.loss_percent,
        killed_with_loss: Told::median(lossy)?,
        wrongly_dead: net.returns() - before,
    })
}

impl Told {
    /// Of several times, each figure by itself.
    fn median(times: Vec<anyhow::Result<Self>>) -> anyhow::Result<Self> {
        let times = times.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let of = |figure: fn(&Self) -> f64| {
            let mut all: Vec<f64> = times.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied().unwrap_or(0.0)
        };
        Ok(Self {
            first_s: of(|told| told.first_s),
            half_s: of(|told| told.half_s),
            all_s: of(|told| told.all_s),
        })
    }

    fn of(mut after: Vec<Duration>) -> Self {
        after.sort_unstable();
        let at = |place: usize| after.get(place).copied().map_or(0.0, seconds);
        Self {
            first_s: at(0),
            half_s: at(after.len() / 2),
            all_s: at(after.len().saturating_sub(1)),
        }
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Runs in such steps until it holds; how long that took.
fn until(
    net: &mut Net,
    step: Duration,
    what: &str,
    mut holds: impl FnMut(&Net) -> bool,
) -> anyhow::Result<Duration> {
    let begun = net.now();
    while !holds(net) {
        let took = net.now() - begun;
        ensure!(took < LIMIT, "not within {LIMIT:?}: {what}");
        net.run(step);
    }
    Ok(net.now() - begun)
}

/// Until news have been passed on as often as they are.
fn settle(net: &mut Net, mut says: impl FnMut(&Net)) -> anyhow::Result<()> {
    let mut before = net.traffic();
    until(net, SECOND, "quiet", |net| {
        says(net);
        let now = net.traffic();
        let packets = (now.packets - before.packets) as f64 / net.living() as f64;
        let began = now.packets == before.packets;
        before = now;
        !began && packets < QUIET_PACKETS
    })?;
    Ok(())
}

/// All nodes start.
fn start(net: &mut Net, mut says: impl FnMut(&Net)) -> anyhow::Result<Start> {
    for node in net.topology.ids() {
        net.start_soon(node);
    }
    net.run(SECOND);
    let most_packets_in = net.most_packets_in();
    let formed = until(net, SECOND, "all know all", |net| {
        says(net);
        net.is_whole()
    })?;
    settle(net, says)?;
    Ok(Start {
        formed_s: seconds(SECOND + formed),
        bytes_per_node: net.traffic().bytes as f64 / net.living() as f64,
        most_packets_in,
    })
}

/// What the mean node sent a second meanwhile.
fn sent(net: &mut Net, work: impl FnOnce(&mut Net)) -> Sent {
    let (before, begun, nodes) = (net.traffic(), net.now(), net.living() as f64);
    work(net);
    let after = net.traffic();
    let node_seconds = nodes * seconds(net.now() - begun);
    Sent {
        packets_per_s: (after.packets - before.packets) as f64 / node_seconds,
        bytes_per_s: (after.bytes - before.bytes) as f64 / node_seconds,
    }
}

/// Ends a node without a word, until all know that it is dead.
fn kill(net: &mut Net, node: NodeId) -> anyhow::Result<Told> {
    net.kill(node);
    net.watch(node, MemberState::Dead);
    let begun = net.now();
    until(net, STEP, "all know who is dead", |net| {
        net.seen().len() == net.living()
    })?;
    Ok(told(net, begun))
}

/// A new node: until all know it, and what it knows itself by then and a while
/// later.
fn join(net: &mut Net, node: NodeId) -> anyhow::Result<(Told, Newcomer)> {
    let begun = net.now();
    net.watch(node, MemberState::Alive);
    net.start(node);
    let mut all_s = None;
    until(net, STEP, "all know who joined", |net| {
        if all_s.is_none() && net.knows(node) == net.living() {
            all_s = Some(seconds(net.now() - begun));
        }
        let waited = net.now() - begun >= NEWCOMER;
        net.seen().len() == net.living() && (waited || all_s.is_some())
    })?;
    let mut seen = net.seen().clone();
    seen.remove(&node);
    let after = seen.values().map(|at| *at - begun).collect();
    let newcomer = Newcomer {
        knows: net.knows(node),
        after_s: seconds(net.now() - begun),
        all_s,
    };
    Ok((Told::of(after), newcomer))
}

fn told(net: &Net, begun: Duration) -> Told {
    Told::of(net.seen().values().map(|at| *at - begun).collect())
}
