//! `node drain` and `node decommission`.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::{Api, views};

const LOOK: Duration = Duration::from_millis(500);

fn name() -> Arg {
    Arg::new("node")
        .required(true)
        .help("Number or name of the node")
}

pub(super) fn commands(node: Command) -> Command {
    node.subcommand(
        Command::new("drain")
            .about("Move everything off a node; it stays in the cluster")
            .long_about(
                "Move everything off a node; it stays in the cluster. Waits until it is done. The \
                 cluster remembers it: interrupted, it goes on, and the same command waits again.",
            )
            .arg(name())
            .arg(
                Arg::new("undo")
                    .long("undo")
                    .action(ArgAction::SetTrue)
                    .help("Let it have its share again"),
            ),
    )
    .subcommand(
        Command::new("decommission")
            .about("Move everything off a node, and take it out of the cluster for good")
            .arg(name()),
    )
}

pub(super) async fn run(api: &Api, args: &ArgMatches) -> anyhow::Result<()> {
    match args.subcommand() {
        Some(("ls", _)) => views::nodes(api).await,
        Some(("drain", args)) => {
            let undo = args.get_flag("undo");
            let mut answer = drain(api, node(args), undo).await?;
            if !undo {
                wait(api, &answer).await?;
                answer["replicas"] = 0.into();
            }
            let what = if undo {
                "is in use again"
            } else {
                "is drained"
            };
            tell(api, &answer, what)
        }
        Some(("decommission", args)) => {
            let drained = drain(api, node(args), false).await?;
            wait(api, &drained).await?;
            let path = format!("/v1/nodes/{}/remove", drained["node"]);
            let answer = api.post(&path, &json!({})).await?;
            tell(api, &answer, "has left the cluster: stop it")
        }
        _ => bail!("unknown command"),
    }
}

fn node(args: &ArgMatches) -> &str {
    args.get_one::<String>("node").map_or("", String::as_str)
}

async fn drain(api: &Api, node: &str, undo: bool) -> anyhow::Result<Value> {
    let path = format!("/v1/nodes/{node}/drain");
    api.post(&path, &json!({ "undo": undo })).await
}

/// Waits until the node has no replica, and says how many are left.
async fn wait(api: &Api, drained: &Value) -> anyhow::Result<()> {
    let mut last = None;
    loop {
        let answer = api.get("/v1/nodes").await?;
        let nodes = answer["nodes"]
            .as_array()
            .context("the answer has no list")?;
        let found = nodes.iter().find(|node| node["node"] == drained["node"]);
        // One that is not in the list any more has left.
        let left = found.map_or(0, |node| node["replicas"].as_u64().unwrap_or(0));
        if left == 0 {
            return Ok(());
        }
        if last.replace(left) != Some(left) {
            eprintln!("node {}: {left} shards left", drained["node"]);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn tell(api: &Api, answer: &Value, what: &str) -> anyhow::Result<()> {
    if api.json {
        return views::json_lines(answer);
    }
    println!("node {} {what}", answer["node"]);
    Ok(())
}
