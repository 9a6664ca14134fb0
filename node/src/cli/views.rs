//! Commands that show what a node answers.

use anyhow::{Context, bail};
use clap::ArgMatches;
use serde_json::{Value, json};

use super::Api;
use super::table::{self, Column};

const STATUS: &[Column] = &[
    ("cluster", "cluster"),
    ("kind", "kind"),
    ("node", "node"),
    ("name", "name"),
    ("region", "region"),
    ("version", "version"),
    ("listens on", "listen"),
    ("nodes", "nodes"),
    ("regions", "regions"),
    ("shards", "shards"),
    ("of them voted on", "shards_voted"),
    ("of them led", "shards_led"),
    ("sessions", "sessions"),
    ("clock off by (ms)", "clock_off_ms"),
    ("changes of leaders seen", "leader_changes"),
    ("messages waiting for their home", "tentative"),
    ("reached through a third region", "reached_through"),
    ("waits to vote", "waits_to_vote"),
    ("voters of the meta shard", "meta_voters"),
    ("not survived", "not_survived"),
];

const NODES: &[Column] = &[
    ("node", "node"),
    ("name", "name"),
    ("region", "region"),
    ("address", "address"),
    ("state", "state"),
    ("draining", "draining"),
    ("replicas", "replicas"),
    ("start", "incarnation"),
];

pub(super) fn json_lines(value: &Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

pub(super) async fn list(
    api: &Api,
    path: &str,
    key: &str,
    columns: &[Column],
) -> anyhow::Result<()> {
    let answer = api.get(path).await?;
    if api.json {
        return json_lines(&answer[key]);
    }
    let rows = answer[key].as_array().context("the answer has no list")?;
    table::print(columns, rows);
    Ok(())
}

pub(super) async fn status(api: &Api) -> anyhow::Result<()> {
    let answer = api.get("/v1/status").await?;
    if api.json {
        return json_lines(&answer);
    }
    table::print_one(STATUS, &answer);
    Ok(())
}

pub(super) async fn nodes(api: &Api) -> anyhow::Result<()> {
    list(api, "/v1/nodes", "nodes", NODES).await
}

pub(super) async fn token(api: &Api, args: &ArgMatches) -> anyhow::Result<()> {
    let Some(("create", args)) = args.subcommand() else {
        bail!("unknown command");
    };
    let seconds = args.get_one::<u64>("seconds");
    let body = json!({ "region": text(args, "region"), "seconds": seconds });
    let answer = api.post("/v1/tokens", &body).await?;
    if api.json {
        return json_lines(&answer);
    }
    println!("{}", answer["command"].as_str().unwrap_or_default());
    Ok(())
}

pub(super) fn text<'a>(args: &'a ArgMatches, name: &str) -> &'a str {
    args.get_one::<String>(name).map_or("", String::as_str)
}
