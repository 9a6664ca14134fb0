//! The cluster: machines in three regions, founded and joined as a real one
//! is.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_node::cluster::joiner::{JoinToken, Numeric, ask, create_token};
use folkmoot_node::cluster::start::Node;
use folkmoot_node::ports::SeededRandom;
use folkmoot_transport::sim::{SIM_CA, SimNet, SimOptions};
use folkmoot_wire::limits;
use folkmoot_wire::proto::{JoinReply, JoinRequest};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::clock::SimClock;
use super::disk::Disk;
use super::draw::{self, Draw};
use super::lies::Lie;
use super::machine::{Failed, Machine, MachineParts};
use super::net::{REGIONS, node_ip};
use super::oracle::Oracle;
use super::plan::Plan;
use super::weather::Weather;

/// A new cluster is whole within this time.
const WHOLE: Duration = Duration::from_secs(30);

/// The cluster.
pub struct World {
    pub net: SimNet,
    pub weather: Arc<Weather>,
    pub machines: Vec<Machine>,
    /// When the history began.
    pub start: Instant,
    pub(super) plan: Plan,
    /// Lets the machine in that joins later.
    pub(super) token: Option<JoinToken>,
    /// What disks gave back that was never written.
    pub(super) lies: Vec<Lie>,
    /// Processes that cannot go on.
    pub(super) failed: mpsc::UnboundedReceiver<Failed>,
}

/// What a world is made of.
pub struct WorldParts<'a> {
    pub net: SimNet,
    pub weather: Arc<Weather>,
    pub oracle: &'a Oracle,
    pub start: Instant,
}

impl World {
    /// Founds a cluster and joins every other machine to it.
    ///
    /// # Errors
    /// When a node does not start, or is not let in.
    pub async fn found(plan: &Plan, parts: WorldParts<'_>) -> anyhow::Result<Self> {
        let (tell, failed) = mpsc::unbounded_channel();
        let mut world = Self {
            machines: machines(plan, &parts, &tell),
            net: parts.net,
            weather: parts.weather,
            start: parts.start,
            plan: plan.clone(),
            token: None,
            lies: Vec::new(),
            failed,
        };
        world.machines[0].found();
        world.machines[0].start().await.context("machine 0")?;
        for index in 1..world.machines.len() {
            if plan.shape.late() == Some(index) {
                world.token = Some(world.token(index).await?);
                continue;
            }
            world
                .join(index)
                .await
                .with_context(|| format!("machine {index} joins"))?;
        }
        world.whole().await?;
        Ok(world)
    }

    async fn token(&self, index: usize) -> anyhow::Result<JoinToken> {
        let founder = self.machines[0].node.as_ref().context("no founder")?;
        let random = SeededRandom::new(draw::fork(self.plan.seed, &format!("token {index}")));
        let region = REGIONS[self.machines[index].region];
        Ok(create_token(founder, &random, SIM_CA, region, limits::JOIN_TOKEN_TTL).await?)
    }

    /// With a token of the founder, through whichever node joined last: one
    /// that holds no CA key passes the request on.
    async fn join(&mut self, index: usize) -> anyhow::Result<()> {
        let token = self.token(index).await?;
        let mut installed = self.machines.iter().take(index);
        let last = installed.rfind(|machine| machine.id().is_some());
        let through = last.context("nobody to join through")?.addr().to_string();
        let reply = self.ask(index, token, vec![through]).await?;
        let machine = &mut self.machines[index];
        machine.joined(reply)?;
        machine.start().await
    }

    /// Asks to let a machine in. What is returned needs the world no more.
    pub(super) fn ask(
        &self,
        index: usize,
        token: JoinToken,
        through: Vec<String>,
    ) -> impl Future<Output = anyhow::Result<JoinReply>> + Send + use<> {
        let machine = &self.machines[index];
        let host = self.net.host(machine.ip, None, SimOptions::default());
        let request = JoinRequest {
            token: token.secret().to_owned(),
            node: Some(machine.record()),
            csr: format!("the key of machine {index}").into(),
            shards: machine.shards(),
            voters: machine.voters(),
            goal: machine.goal().into(),
        };
        async move { ask(&host, &Numeric, &through, token.ca, &request).await }
    }

    /// Waits until every node knows every other, and every shard is placed.
    async fn whole(&self) -> anyhow::Result<()> {
        let end = Instant::now() + WHOLE;
        while !self.nodes().all(|(_, node)| self.sees_all(node)) {
            if Instant::now() > end {
                bail!("the cluster is not whole after {WHOLE:?}");
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn sees_all(&self, node: &Node) -> bool {
        let placement = node.view.placement();
        let shards = REGIONS.len() * self.machines[0].shards() as usize;
        let installed = self.machines.iter().filter(|m| m.id().is_some()).count();
        node.view.members().len() == installed
            && placement.nodes().count() == installed
            && placement.shards().count() == shards
    }

    /// Whether every node follows every group in full.
    #[must_use]
    pub fn follows_all(&self) -> bool {
        self.plan.shape.follow_all
    }

    /// The machines of a region.
    #[must_use]
    pub fn of_region(&self, region: usize) -> Vec<usize> {
        let machines = self.machines.iter();
        let here = machines.filter(|machine| machine.region == region);
        here.map(|machine| machine.index).collect()
    }

    /// The nodes that run now.
    pub fn nodes(&self) -> impl Iterator<Item = (&Machine, &Arc<Node>)> {
        self.machines
            .iter()
            .filter_map(|machine| Some((machine, machine.node.as_ref()?)))
    }
}

fn machines(
    plan: &Plan,
    parts: &WorldParts<'_>,
    tell: &mpsc::UnboundedSender<Failed>,
) -> Vec<Machine> {
    let mut draw = Draw::of(plan.seed, "machines");
    let mut machines = Vec::new();
    for (region, &count) in plan.shape.nodes.iter().enumerate() {
        for number in 0..count {
            let index = machines.len();
            let off_ms = draw.below(200) as i64 - 100;
            machines.push(Machine::new(MachineParts {
                index,
                region,
                ip: node_ip(region, number),
                clock: Arc::new(SimClock::new(parts.start, off_ms)),
                disk: Disk::new(index, parts.oracle.clone()),
                net: parts.net.clone(),
                weather: Arc::clone(&parts.weather),
                failed: tell.clone(),
                seed: plan.seed,
                shape: plan.shape,
                // A disk that is fast, slower than its region's network, slow.
                sync: Duration::from_millis([2, 5, 25][draw.below(3)]),
            }));
        }
    }
    machines
}
