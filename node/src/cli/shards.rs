//! `shard`: the shards, and splitting one.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::views::{json_lines, list};
use super::{Api, table::Column};

const SHARDS: &[Column] = &[
    ("shard", "shard"),
    ("region", "region"),
    ("slots", "slots"),
    ("split", "split"),
    ("voters", "voters"),
    ("to be", "next"),
    ("joint", "joint"),
    ("learners", "learners"),
    ("leader", "leader"),
    ("term", "term"),
    ("applied", "applied"),
    ("slowest voter behind by", "behind"),
    ("watermark", "watermark"),
    ("upstream", "upstream"),
    ("followers", "followers"),
];

const LOOK: Duration = Duration::from_millis(200);
/// Looks that bring nothing. More: the command ends.
const UNHEARD: u32 = 150;

pub(super) fn commands(shard: Command) -> Command {
    shard.subcommand(
        Command::new("split")
            .about("Split a shard that has too much to do: a part of its slots gets a sequencer of its own")
            .long_about(
                "Split a shard that has too much to do: the slots from one on become a new shard, with \
                 a sequencer of its own, which begins on the same voters and is then spread as any \
                 other. Nothing is copied; its groups pause for about an election. Waits until it is \
                 done. A split is not undone.",
            )
            .arg(
                Arg::new("shard")
                    .required(true)
                    .value_parser(clap::value_parser!(u32))
                    .help("Number of the shard"),
            )
            .arg(
                Arg::new("at")
                    .long("at")
                    .value_name("SLOT")
                    .value_parser(clap::value_parser!(u16))
                    .help("First slot of the new shard [default: the middle]"),
            )
            .arg(
                Arg::new("no-wait")
                    .long("no-wait")
                    .action(ArgAction::SetTrue)
                    .help("Return once it is decided"),
            ),
    )
}

pub(super) async fn run(api: &Api, args: &ArgMatches) -> anyhow::Result<()> {
    match args.subcommand() {
        Some(("ls", _)) => list(api, "/v1/shards", "shards", SHARDS).await,
        Some(("split", args)) => split(api, args).await,
        _ => bail!("unknown command"),
    }
}

async fn split(api: &Api, args: &ArgMatches) -> anyhow::Result<()> {
    let shard = args.get_one::<u32>("shard").context("a shard")?;
    let body = json!({ "at": args.get_one::<u16>("at") });
    let answer = api
        .post(&format!("/v1/shards/{shard}/split"), &body)
        .await?;
    if !args.get_flag("no-wait") {
        wait(api, &answer["new_shard"]).await?;
    }
    if api.json {
        return json_lines(&answer);
    }
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    println!(
        "shard {shard} keeps slots {}, shard {} has {}",
        text("keeps"),
        answer["new_shard"],
        text("slots")
    );
    Ok(())
}

/// Waits until the new shard leads itself.
async fn wait(api: &Api, child: &Value) -> anyhow::Result<()> {
    for _ in 0..UNHEARD {
        let answer = api.get("/v1/shards").await?;
        let shards = answer["shards"]
            .as_array()
            .context("the answer has no list")?;
        let born = |shard: &&Value| shard["shard"] == *child && shard["unborn"] == false;
        if shards.iter().any(|shard| born(&shard)) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("the split is decided and waits for the shard's voters: see `folkmoot shard ls`")
}
