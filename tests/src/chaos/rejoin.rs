//! A node whose data is damaged: it refuses to run, or repairs; and what the
//! operator does with one that refuses.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::field::{Field, PATIENCE};
use super::machine::Machine;

/// What is damaged is found when it is opened, or soon after.
const FOUND: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(200);

/// Starts a node on a damaged folder. One that refuses is joined anew.
///
/// # Errors
/// When it neither runs nor says why, or cannot be joined anew.
pub async fn after_damage(
    field: &Field,
    machine: &Machine,
    damaged: &str,
) -> anyhow::Result<String> {
    machine.set_damaged(true);
    machine.start(&field.binary(), &[])?;
    let Some(status) = machine.ends_within(FOUND).await? else {
        machine.becomes_ready(PATIENCE).await?;
        return Ok(format!("{damaged}: it runs all the same"));
    };
    if status.success() {
        bail!("{} ended with success on damaged data", machine.name());
    }
    let why = machine.last_words();
    anew(field, machine).await?;
    Ok(format!("{damaged}: refused ({why}), joined anew"))
}

/// Joins those anew that have found changed bytes later, when they read them.
///
/// # Errors
/// When one cannot be joined anew.
pub async fn late(field: &Field) -> anyhow::Result<Vec<String>> {
    let mut said = Vec::new();
    for machine in field.machines.iter().filter(|machine| machine.gave_up()) {
        let why = machine.last_words();
        anew(field, machine).await?;
        said.push(format!("{} found the damage ({why})", machine.name()));
    }
    Ok(said)
}

/// What an operator does: an empty folder, joined anew, and the cluster
/// forgets the old node.
async fn anew(field: &Field, machine: &Machine) -> anyhow::Result<()> {
    let before = number_of(field, machine).await?;
    machine.disk.wipe()?;
    machine.set_damaged(false);
    machine.start(&field.binary(), &field.invitation().await?)?;
    machine.becomes_ready(PATIENCE).await?;
    forget(field, before).await
}

/// The number that the cluster knows a machine's node by: it is dead or alive
/// under that name, and has not left.
async fn number_of(field: &Field, machine: &Machine) -> anyhow::Result<u64> {
    let api = field.founder()?.place()?.api;
    let nodes = api.get("/v1/nodes").await?;
    let nodes = nodes["nodes"].as_array().context("no list of nodes")?;
    let named = nodes.iter().filter(|node| node["name"] == machine.name());
    let numbers = named.filter_map(|node| node["node"].as_u64());
    numbers.max().context("the cluster does not know it")
}

/// Takes a node that is gone for good out of the cluster: `node decommission`.
/// Until the founder has heard of the one in its place, that is refused.
async fn forget(field: &Field, node: u64) -> anyhow::Result<()> {
    let api = field.founder()?.place()?.api;
    let end = Instant::now() + PATIENCE;
    for step in ["drain", "remove"] {
        let path = format!("/v1/nodes/{node}/{step}");
        while let Err(error) = api.post(&path, &json!({})).await {
            if Instant::now() > end {
                let shards = api.get("/v1/shards").await.unwrap_or(Value::Null);
                return Err(error).with_context(|| format!("{step} of the old node: {shards}"));
            }
            sleep(LOOK).await;
        }
    }
    Ok(())
}
