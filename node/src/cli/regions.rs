//! `region ls` and `region goal`.

use anyhow::bail;
use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use super::table::Column;
use super::{Api, views};

const REGIONS: &[Column] = &[
    ("region", "region"),
    ("nodes", "nodes"),
    ("shards", "shards"),
    ("survival goal", "survival_goal"),
    ("survives", "survives"),
    ("shards made", "made"),
];

pub(super) fn commands(region: Command) -> Command {
    region.subcommand(
        Command::new("goal")
            .about("Set what a region's shards are to survive")
            .long_about(
                "Set what a region's shards are to survive. `node`: their voters stand in the \
                 region, commits take no round trip to another one. `region`: they stand in three \
                 regions, each commit takes a round trip to the nearer of the others. `topology`: \
                 `node` where the region has three nodes, else `region` once the cluster has three \
                 regions. Voters move one shard after the other; `region ls` says what is survived.",
            )
            .arg(Arg::new("region").required(true).help("Its name"))
            .arg(
                Arg::new("goal")
                    .required(true)
                    .value_parser(["topology", "node", "region"])
                    .help("What is to be survived"),
            )
            .arg(
                Arg::new("voters")
                    .long("voters")
                    .value_parser(["1", "3"])
                    .help("Voters of each shard in the region; default: 3 where it has three nodes"),
            ),
    )
}

pub(super) async fn run(api: &Api, args: &ArgMatches) -> anyhow::Result<()> {
    match args.subcommand() {
        Some(("ls", _)) => views::list(api, "/v1/regions", "regions", REGIONS).await,
        Some(("goal", args)) => set_goal(api, args).await,
        _ => bail!("unknown command"),
    }
}

async fn set_goal(api: &Api, args: &ArgMatches) -> anyhow::Result<()> {
    let (region, goal) = (views::text(args, "region"), views::text(args, "goal"));
    let voters: u32 = match args.get_one::<String>("voters") {
        Some(voters) => voters.parse()?,
        None => 0,
    };
    let body = json!({ "survival_goal": goal, "voters": voters });
    let answer = api
        .post(&format!("/v1/regions/{region}/goal"), &body)
        .await?;
    if api.json {
        return views::json_lines(&answer);
    }
    println!(
        "region {region} has the survival goal {goal}; now its shards survive: {}",
        answer["survives"].as_str().unwrap_or("not known here yet")
    );
    Ok(())
}
