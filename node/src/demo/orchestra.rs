//! The demo's nodes: real processes of this program, each with a folder and
//! ports of its own.

mod child;
mod ready;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_transport::Fingerprint;
use folkmoot_wire::NodeId;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::ports::Ports;
use super::regions;
use super::wan::{Carried, Proxy, Wan};
use crate::cli::Api;
use child::Child;
pub(super) use child::become_node;

/// How often children are looked after.
const LOOK: Duration = Duration::from_millis(200);
/// A node stops by itself within this time, or it is killed.
const GRACE: Duration = Duration::from_secs(20);
/// A node that keeps dying is given up after so many starts.
const STARTS_MAX: u32 = 20;

/// What the orchestra is to be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) regions: usize,
    pub(super) per_region: usize,
    pub(super) shards: u32,
    pub(super) folder: PathBuf,
}

/// Where a node is.
pub(super) struct Place {
    /// `eu-1`.
    pub(super) name: String,
    pub(super) region: usize,
    /// Its data folder.
    pub(super) folder: PathBuf,
    /// For clients of its region: past the wide area.
    pub(super) listen: SocketAddr,
    pub(super) gossip: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) api: Api,
    quic_proxy: Proxy,
    gossip_proxy: Proxy,
}

/// A node that runs.
pub(super) struct Member {
    pub(super) place: Place,
    pub(super) id: NodeId,
    /// Of its certificate for clients.
    pub(super) fingerprint: Fingerprint,
}

/// The cluster, as its clients need to know it.
pub(super) struct Cluster {
    /// The cluster's id, in hex.
    pub(super) id: String,
    pub(super) regions: usize,
    pub(super) per_region: usize,
    /// By region, then by number.
    pub(super) members: Vec<Member>,
}

impl Cluster {
    /// The nodes of a region.
    pub(super) fn of_region(&self, region: usize) -> &[Member] {
        let from = region * self.per_region;
        &self.members[from..from + self.per_region]
    }

    /// A token for a client.
    pub(super) async fn token(&self, member: &Member, subject: &str) -> anyhow::Result<String> {
        let request = json!({ "subject": subject });
        let answer = member.place.api.post("/v1/client-token", &request).await?;
        let token = answer["token"].as_str().context("the node gave no token")?;
        Ok(token.to_owned())
    }
}

/// The processes.
pub(super) struct Orchestra {
    children: Vec<Child>,
}

impl Orchestra {
    /// Starts all nodes and waits until each of them knows all of them.
    pub(super) async fn start(plan: &Plan, wan: &Arc<Wan>) -> anyhow::Result<(Self, Cluster)> {
        let places = places(plan, wan).await?;
        let mut orchestra = Self {
            children: Vec::new(),
        };
        let members = match orchestra.start_all(plan, places).await {
            Ok(members) => members,
            Err(error) => {
                let logs = orchestra.last_words();
                return Err(error.context(format!("the nodes did not start\n{logs}")));
            }
        };
        let first = members.first().context("a demo has at least one node")?;
        let status = first.place.api.get("/v1/status").await?;
        let id = status["cluster"]
            .as_str()
            .context("a node without cluster")?;
        let cluster = Cluster {
            id: id.to_owned(),
            regions: plan.regions,
            per_region: plan.per_region,
            members,
        };
        Ok((orchestra, cluster))
    }

    async fn start_all(&mut self, plan: &Plan, places: Vec<Place>) -> anyhow::Result<Vec<Member>> {
        let flags: Vec<Vec<String>> = places.iter().map(|place| flags(plan, place)).collect();
        let Some((first, _)) = places.split_first() else {
            bail!("a demo has at least one node");
        };
        child::run("init", &flags[0]).await?;
        for (at, place) in places.iter().enumerate() {
            let mut extra = Vec::new();
            if at > 0 {
                let answer = first
                    .api
                    .post("/v1/tokens", &json!({ "region": "" }))
                    .await?;
                let token = answer["token"].as_str().context("no join token")?;
                extra.push(format!("--join={}", first.listen));
                extra.push(format!("--token={token}"));
            }
            let log = plan.folder.join(format!("{}.log", place.name));
            self.children
                .push(Child::start(&place.name, &flags[at], &extra, log)?);
            ready::up(place, &mut self.children).await?;
        }
        let mut members = Vec::with_capacity(places.len());
        for place in places {
            members.push(ready::member(place).await?);
        }
        ready::agreed(plan, &members, &mut self.children).await?;
        Ok(members)
    }

    /// Starts a node again that was killed. Ends when one stopped by itself,
    /// with the reason.
    pub(super) async fn look_after(&mut self) -> anyhow::Error {
        loop {
            sleep(LOOK).await;
            for child in &mut self.children {
                match child.keep_alive(STARTS_MAX) {
                    Ok(None) => {}
                    Ok(Some(status)) => {
                        let name = child.name();
                        eprintln!("{name} was killed ({status}) and is started again");
                    }
                    Err(error) => return error,
                }
            }
        }
    }

    /// Stops all nodes, and those that do not stop in time the hard way.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        for child in &self.children {
            child.terminate();
        }
        let deadline = Instant::now() + GRACE;
        let mut killed = Vec::new();
        for child in &mut self.children {
            if !child.stopped_by(deadline).await? {
                killed.push(child.name().to_owned());
            }
        }
        if killed.is_empty() {
            return Ok(());
        }
        bail!(
            "{} did not stop within {} s and had to be killed\n{}",
            killed.join(", "),
            GRACE.as_secs(),
            self.last_words()
        )
    }

    fn last_words(&self) -> String {
        self.children.iter().map(Child::last_words).collect()
    }
}

/// Chooses ports and folders, and puts proxies in front of the nodes.
async fn places(plan: &Plan, wan: &Arc<Wan>) -> anyhow::Result<Vec<Place>> {
    let mut ports = Ports::new(std::process::id());
    let mut places = Vec::new();
    for region in 0..plan.regions {
        for number in 1..=plan.per_region {
            let name = format!("{}-{number}", regions::NAMES[region]);
            let (listen, gossip, admin) = (ports.free()?, ports.free()?, ports.free()?);
            wan.place(listen, region);
            wan.place(gossip, region);
            places.push(Place {
                folder: plan.folder.join(&name),
                name,
                region,
                listen,
                gossip,
                admin,
                api: Api::at(admin, true)?,
                quic_proxy: wan.proxy(Carried::Quic, region, listen).await?,
                gossip_proxy: wan.proxy(Carried::Gossip, region, gossip).await?,
            });
        }
    }
    Ok(places)
}

fn flags(plan: &Plan, place: &Place) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    vec![
        format!("--data={}", path(&place.folder)),
        format!("--name={}", place.name),
        format!("--region={}", regions::NAMES[place.region]),
        format!("--listen={}", place.listen),
        format!("--gossip={}", place.gossip),
        format!("--admin={}", place.admin),
        format!("--advertise={}", place.quic_proxy.addr()),
        format!("--advertise-gossip={}", place.gossip_proxy.addr()),
        format!("--shards={}", plan.shards),
        "--follow=full".to_owned(),
    ]
}
