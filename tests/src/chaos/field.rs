//! All machines: nine nodes in three regions, of one cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use folkmoot_node::demo::cluster::{Cluster, Member};
use folkmoot_node::demo::regions;
use folkmoot_node::demo::wan::Wan;
use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::lab::{self, PER_REGION, REGIONS, Space};
use super::machine::Machine;
use super::rules::Rules;

const LOOK: Duration = Duration::from_millis(100);
/// All of it starts, or is whole again, within this time.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The machines.
pub struct Field {
    /// By region, then by number.
    pub machines: Vec<Machine>,
    /// What they run, and what the next rolling restart puts in its place.
    binaries: Mutex<[PathBuf; 2]>,
}

impl Field {
    /// Builds the network and the machines, and starts a node on each.
    ///
    /// # Errors
    /// When something cannot be made, or the nodes do not find each other.
    pub async fn start(
        folder: &Path,
        binaries: [PathBuf; 2],
        wan_scale: f64,
    ) -> anyhow::Result<Self> {
        lab::build()?;
        let wan = Wan::new(REGIONS, wan_scale);
        let mut machines = Vec::new();
        for region in 0..REGIONS {
            for number in 1..=PER_REGION {
                let name = format!("{}-{number}", regions::NAMES[region]);
                let space = Space::make(&name, region, number)?;
                machines.push(Machine::make(space, folder, &wan)?);
            }
        }
        let field = Self {
            machines,
            binaries: Mutex::new(binaries),
        };
        field.found().await?;
        Ok(field)
    }

    async fn found(&self) -> anyhow::Result<()> {
        let binary = self.binary();
        for (at, machine) in self.machines.iter().enumerate() {
            let mut extra = Vec::new();
            if at == 0 {
                machine.init(&binary)?;
            } else {
                extra = self.invitation().await?;
            }
            machine.start(&binary, &extra)?;
            machine.becomes_ready(PATIENCE).await?;
            machine.keep_certificate()?;
        }
        self.is_whole(PATIENCE).await.map(drop)
    }

    /// What nodes are started from.
    #[must_use]
    pub fn binary(&self) -> PathBuf {
        self.binaries.lock()[0].clone()
    }

    /// Nodes are started from the other one from now on, which this gives.
    pub fn change_binary(&self) -> PathBuf {
        let mut binaries = self.binaries.lock();
        binaries.swap(0, 1);
        binaries[0].clone()
    }

    /// Flags with which a node joins.
    ///
    /// # Errors
    /// When the founder gives no token.
    pub async fn invitation(&self) -> anyhow::Result<Vec<String>> {
        let founder = self.founder()?;
        let api = founder.place()?.api;
        let answer = api.post("/v1/tokens", &json!({ "region": "" })).await?;
        let token = answer["token"].as_str().context("no join token")?;
        Ok(vec![
            format!("--join={}", founder.listen()),
            format!("--token={token}"),
        ])
    }

    /// The node that keeps the meta shard.
    ///
    /// # Errors
    /// When there are no machines.
    pub fn founder(&self) -> anyhow::Result<&Machine> {
        self.machines.first().context("a field has machines")
    }

    /// Machines of a region.
    pub fn of_region(&self, region: usize) -> impl Iterator<Item = &Machine> {
        (self.machines.iter()).filter(move |machine| machine.space.region == region)
    }

    /// The cluster as its people need to know it.
    ///
    /// # Errors
    /// When a node does not answer.
    pub async fn cluster(&self) -> anyhow::Result<Cluster> {
        let mut members = Vec::new();
        for machine in &self.machines {
            members.push(Member::of(machine.place()?).await?);
        }
        Cluster::of(REGIONS, members).await
    }

    /// Waits until every node is ready, sees all others alive, and every shard
    /// has its voters. Gives what was missing last.
    ///
    /// # Errors
    /// With what is missing in the end.
    pub async fn is_whole(&self, within: Duration) -> anyhow::Result<String> {
        let end = Instant::now() + within;
        let mut last = String::new();
        while let Some(why) = self.lacks().await {
            anyhow::ensure!(Instant::now() < end, "the cluster is not whole: {why}");
            last = why;
            sleep(LOOK).await;
        }
        Ok(last)
    }

    /// Undoes whatever a fault that went wrong has left.
    ///
    /// # Errors
    /// When it cannot.
    pub fn revive(&self) -> anyhow::Result<()> {
        for machine in &self.machines {
            machine.space.filter(&Rules::default())?;
            (0..REGIONS).try_for_each(|to| machine.space.set_route(to, true))?;
            machine.clock.set(0)?;
            match machine.ended()? {
                Some(_) => machine.start(&self.binary(), &[])?,
                None => machine.signal(Signal::CONT)?,
            }
        }
        Ok(())
    }

    async fn lacks(&self) -> Option<String> {
        for machine in &self.machines {
            let name = machine.name();
            match machine.ended() {
                Ok(None) => {}
                Ok(Some(status)) => {
                    return Some(format!("{name} ended ({status}): {}", machine.last_words()));
                }
                Err(error) => return Some(format!("{name}: {error:#}")),
            }
            if let Err(why) = machine.ready().await {
                return Some(format!("{name} is not ready: {why}"));
            }
            match lacks(machine).await {
                Ok(None) => {}
                Ok(Some(why)) => return Some(format!("{name} {why}")),
                Err(error) => return Some(format!("{name}: {error:#}")),
            }
        }
        None
    }
}

async fn lacks(machine: &Machine) -> anyhow::Result<Option<String>> {
    let api = machine.place()?.api;
    let list = |answer: &Value, key: &str| answer[key].as_array().cloned().unwrap_or_default();
    let nodes = list(&api.get("/v1/nodes").await?, "nodes");
    let alive = nodes.iter().filter(|node| node["state"] == "alive").count();
    if alive != REGIONS * PER_REGION {
        return Ok(Some(format!("sees {alive} nodes alive")));
    }
    let shards = list(&api.get("/v1/shards").await?, "shards");
    // One of each region at least, and the meta shard.
    if shards.len() <= REGIONS {
        return Ok(Some(format!("sees {} shards", shards.len())));
    }
    let changing = |shard: &Value| {
        shard["next"]
            .as_array()
            .is_some_and(|next| !next.is_empty())
    };
    let shard = shards.iter().find(|shard| changing(shard));
    Ok(shard.map(|shard| format!("sees shard {} change its voters", shard["shard"])))
}
