//! The demo's nodes: real processes of this program, each with a folder and
//! ports of its own.

mod child;
mod ready;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, Member, Place};
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
pub struct Plan {
    /// The command that nodes are.
    pub program: PathBuf,
    /// Regions of [`regions::NAMES`].
    pub regions: usize,
    /// Nodes of each.
    pub per_region: usize,
    /// Shards of each region.
    pub shards: u32,
    /// Where nodes keep their data and logs.
    pub folder: PathBuf,
    /// What nodes are told besides.
    pub flags: Vec<String>,
}

/// A node's place, and the wide area in front of it.
struct Site {
    place: Place,
    quic: Proxy,
    gossip: Proxy,
}

/// The processes. Dropping it kills them.
pub struct Orchestra {
    children: Vec<Child>,
    /// In front of the nodes, as long as these run.
    proxies: Vec<Proxy>,
}

impl Orchestra {
    /// Starts all nodes and waits until each of them knows all of them.
    ///
    /// # Errors
    /// When they do not come up, with the ends of their logs.
    pub async fn start(plan: &Plan, wan: &Arc<Wan>) -> anyhow::Result<(Self, Cluster)> {
        let sites = sites(plan, wan).await?;
        let mut orchestra = Self {
            children: Vec::new(),
            proxies: Vec::new(),
        };
        let members = match orchestra.start_all(plan, sites).await {
            Ok(members) => members,
            Err(error) => {
                let logs = orchestra.last_words();
                return Err(error.context(format!("the nodes did not start\n{logs}")));
            }
        };
        let cluster = Cluster::of(plan.regions, members).await?;
        Ok((orchestra, cluster))
    }

    async fn start_all(&mut self, plan: &Plan, sites: Vec<Site>) -> anyhow::Result<Vec<Member>> {
        let flags: Vec<Vec<String>> = sites.iter().map(|site| flags(plan, site)).collect();
        let mut places = Vec::with_capacity(sites.len());
        for site in sites {
            places.push(site.place);
            self.proxies.extend([site.quic, site.gossip]);
        }
        let Some((first, _)) = places.split_first() else {
            bail!("a demo has at least one node");
        };
        child::run(&plan.program, "init", &flags[0]).await?;
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
            let all = (&flags[at][..], &extra[..]);
            let child = Child::start(&plan.program, &place.name, all, log)?;
            self.children.push(child);
            ready::up(place, &mut self.children).await?;
        }
        let mut members = Vec::with_capacity(places.len());
        for place in places {
            members.push(Member::of(place).await?);
        }
        ready::agreed(plan, &members, &mut self.children).await?;
        Ok(members)
    }

    /// Starts a node again that was killed. Ends when one stopped by itself,
    /// with the reason.
    pub async fn look_after(&mut self) -> anyhow::Error {
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

    /// Their numbers in the operating system.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.children.iter().filter_map(Child::pid).collect()
    }

    /// Stops all nodes, and those that do not stop in time the hard way.
    ///
    /// # Errors
    /// When some had to be killed, with the ends of their logs.
    pub async fn stop(mut self) -> anyhow::Result<()> {
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
async fn sites(plan: &Plan, wan: &Arc<Wan>) -> anyhow::Result<Vec<Site>> {
    let mut ports = Ports::new(std::process::id());
    let mut sites = Vec::new();
    for region in 0..plan.regions {
        for number in 1..=plan.per_region {
            let name = format!("{}-{number}", regions::NAMES[region]);
            let (listen, gossip, admin) = (ports.free()?, ports.free()?, ports.free()?);
            wan.place(listen, region);
            wan.place(gossip, region);
            let place = Place {
                folder: plan.folder.join(&name),
                name,
                region,
                listen,
                gossip,
                admin,
                api: Api::at(admin, true)?,
            };
            sites.push(Site {
                place,
                quic: wan.proxy(Carried::Quic, region, listen).await?,
                gossip: wan.proxy(Carried::Gossip, region, gossip).await?,
            });
        }
    }
    Ok(sites)
}

fn flags(plan: &Plan, site: &Site) -> Vec<String> {
    let place = &site.place;
    let path = |path: &Path| path.display().to_string();
    let mut flags = vec![
        format!("--data={}", path(&place.folder)),
        format!("--name={}", place.name),
        format!("--region={}", regions::NAMES[place.region]),
        format!("--listen={}", place.listen),
        format!("--gossip={}", place.gossip),
        format!("--admin={}", place.admin),
        format!("--advertise={}", site.quic.addr()),
        format!("--advertise-gossip={}", site.gossip.addr()),
        format!("--shards={}", plan.shards),
        "--follow=full".to_owned(),
        // Each node stands for a region of several: commits stay in it.
        "--survival-goal=node".to_owned(),
    ];
    flags.extend(plan.flags.iter().cloned());
    flags
}
