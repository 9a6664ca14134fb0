//! Waiting until nodes are there and know each other.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::Plan;
use super::child::Child;
use crate::demo::cluster::{Member, Place};

const EVERY: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until the node answers that it is ready.
pub(super) async fn up(place: &Place, children: &mut [Child]) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{}/readyz", place.admin);
    let deadline = Instant::now() + DEADLINE;
    loop {
        all_run(children)?;
        let why = match http.get(&url).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            bail!("{} is not ready: {why}", place.name);
        }
        sleep(EVERY).await;
    }
}

fn all_run(children: &mut [Child]) -> anyhow::Result<()> {
    children.iter_mut().try_for_each(Child::must_run)
}

/// Waits until each node sees all nodes alive, and all shards made and shared
/// out: one that goes to another node later is fetched anew by the one it left,
/// whose folder lacks it meanwhile.
pub(super) async fn agreed(
    plan: &Plan,
    members: &[Member],
    children: &mut [Child],
) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        all_run(children)?;
        let mut missing = None;
        for member in members {
            missing = missing.or(lacks(plan, member, members.len()).await?);
        }
        match missing {
            None => return Ok(()),
            Some(why) if Instant::now() > deadline => bail!("the cluster is not whole: {why}"),
            Some(_) => sleep(EVERY).await,
        }
    }
}

async fn lacks(plan: &Plan, member: &Member, nodes: usize) -> anyhow::Result<Option<String>> {
    let api = &member.place.api;
    let list = |answer: &Value, key: &str| answer[key].as_array().cloned().unwrap_or_default();
    let says = |what: String| Ok(Some(format!("{} {what}", member.place.name)));
    let seen = list(&api.get("/v1/nodes").await?, "nodes");
    let regions = regions_of(&seen);
    let alive = seen.iter().filter(|node| node["state"] == "alive").count();
    if alive != nodes {
        return says(format!("sees {alive} of {nodes} nodes alive"));
    }
    let seen = list(&api.get("/v1/regions").await?, "regions");
    let made = seen.iter().filter(|region| region["made"] == true).count();
    if made != plan.regions {
        return says(format!("sees {made} of {} regions made", plan.regions));
    }
    let shards = list(&api.get("/v1/shards").await?, "shards");
    if shards.len() < plan.regions * plan.shards as usize {
        return says(format!("sees {} shards", shards.len()));
    }
    match is_shared_out(&regions, &shards) {
        true => Ok(None),
        false => says("sees shards that go to other nodes".to_owned()),
    }
}

/// The region of each node.
fn regions_of(nodes: &[Value]) -> BTreeMap<u64, String> {
    let region = |node: &Value| {
        let name = node["region"].as_str()?.to_owned();
        Some((node["node"].as_u64()?, name))
    };
    nodes.iter().filter_map(region).collect()
}

/// Whether no shard is on its way, and within a region none of the nodes votes
/// in two shards more than another.
fn is_shared_out(regions: &BTreeMap<u64, String>, shards: &[Value]) -> bool {
    let mut loads: BTreeMap<u64, usize> = regions.keys().map(|node| (*node, 0)).collect();
    for shard in shards {
        if shard["next"]
            .as_array()
            .is_some_and(|next| !next.is_empty())
        {
            return false;
        }
        let voters = shard["voters"].as_array().into_iter().flatten();
        for node in voters.filter_map(Value::as_u64) {
            *loads.entry(node).or_default() += 1;
        }
    }
    let mut spreads: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (node, region) in regions {
        let load = loads[node];
        let (least, most) = spreads.entry(region).or_insert((load, load));
        (*least, *most) = ((*least).min(load), (*most).max(load));
    }
    spreads.values().all(|(least, most)| most - least <= 1)
}

#[cfg(test)]
mod tests;
