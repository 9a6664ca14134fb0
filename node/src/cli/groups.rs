//! `group`: the groups of the cluster, and where they are at home.

use std::time::Duration;

use anyhow::bail;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::Api;
use super::table::{self, Column};
use super::views::{json_lines, list, text};

const GROUPS: &[Column] = &[
    ("group", "group"),
    ("name", "name"),
    ("home", "home"),
    ("members", "members"),
    ("seq", "seq"),
    ("messages", "count"),
];

const GROUP: &[Column] = &[
    ("group", "group"),
    ("name", "name"),
    ("home", "home"),
    ("shard", "shard"),
    ("members", "members"),
    ("at most", "member_cap"),
    ("open", "open"),
    ("dissolved", "dissolved"),
    ("seq", "seq"),
    ("messages", "count"),
    ("chain", "chain"),
    ("rows", "rows"),
    ("digest of rows", "rows_digest"),
];

const COPY: &[Column] = &[
    ("group", "group"),
    ("copy of node", "node"),
    ("members", "members_listed"),
    ("seq", "seq"),
    ("messages", "count"),
    ("chain", "chain"),
    ("rows", "rows"),
    ("digest of rows", "rows_digest"),
    ("of members", "digest_of_members"),
    ("of cursors", "digest_of_cursors"),
    ("of the profile", "digest_of_profile"),
];

const LOOK: Duration = Duration::from_millis(300);
/// Looks in a row that bring nothing. More: the command ends.
const UNHEARD: u32 = 100;

pub(super) fn command() -> Command {
    Command::new("group")
        .about("Groups")
        .subcommand_required(true)
        .subcommand(Command::new("ls").about("List the groups the asked node holds"))
        .subcommand(
            Command::new("show")
                .about("Show one group")
                .arg(Arg::new("group").required(true))
                .arg(
                    Arg::new("at")
                        .long("at")
                        .value_name("NODE")
                        .default_value("")
                        .help("Number or name of a node: the copy that this node holds"),
                ),
        )
        .subcommand(
            Command::new("create")
                .about("Make a group")
                .arg(Arg::new("name").required(true))
                .arg(
                    Arg::new("region")
                        .long("region")
                        .default_value("")
                        .help("Home region [default: the node's]"),
                )
                .arg(
                    Arg::new("owner")
                        .long("owner")
                        .default_value("")
                        .help("Subject of the owner [default: an operator]"),
                )
                .arg(
                    Arg::new("nick")
                        .long("nick")
                        .default_value("")
                        .help("The owner's nick in the group"),
                )
                .arg(
                    Arg::new("closed")
                        .long("closed")
                        .action(ArgAction::SetTrue)
                        .help("Members are added by admins only"),
                ),
        )
        .subcommand(
            Command::new("rehome")
                .about("Move a group's home to another region")
                .long_about(
                    "Move a group's home to another region: from then on it is sequenced there. \
                     People go on talking; for a moment at the end, what they say waits. Waits \
                     until it is done. Interrupted, it goes on, and the same command waits again.",
                )
                .arg(Arg::new("group").required(true))
                .arg(Arg::new("region").required(true).help("Name of the region")),
        )
}

pub(super) async fn run(api: &Api, args: &ArgMatches) -> anyhow::Result<()> {
    match args.subcommand() {
        Some(("ls", _)) => list(api, "/v1/groups", "groups", GROUPS).await,
        Some(("show", args)) => {
            let group = text(args, "group");
            let at = text(args, "at");
            let answer = api.get(&format!("/v1/groups/{group}?node={at}")).await?;
            if api.json {
                return json_lines(&answer);
            }
            table::print_one(if at.is_empty() { GROUP } else { COPY }, &answer);
            Ok(())
        }
        Some(("create", args)) => {
            let body = json!({
                "name": text(args, "name"),
                "region": text(args, "region"),
                "owner": text(args, "owner"),
                "nick": text(args, "nick"),
                "open": !args.get_flag("closed"),
            });
            let answer = api.post("/v1/groups", &body).await?;
            if api.json {
                return json_lines(&answer);
            }
            println!("{}", answer["group"].as_str().unwrap_or_default());
            Ok(())
        }
        Some(("rehome", args)) => rehome(api, text(args, "group"), text(args, "region")).await,
        _ => bail!("unknown command"),
    }
}

async fn rehome(api: &Api, group: &str, region: &str) -> anyhow::Result<()> {
    let path = format!("/v1/groups/{group}/home");
    // Asked for again it is done, and no error.
    let now = api.get(&path).await?;
    if now["home"] == region && now["state"] == "here" {
        if api.json {
            return json_lines(&now);
        }
        println!("group {group} is at home in {region} already");
        return Ok(());
    }
    let begun = api.post(&path, &json!({ "region": region })).await?;
    let (mut last, mut unheard) = (String::new(), 0);
    loop {
        let now = match api.get(&path).await {
            Ok(now) => now,
            // While it changes hands nobody may know for a moment.
            Err(error) if unheard < UNHEARD => {
                unheard += 1;
                eprintln!("{error}; looking again");
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(error) => return Err(error.context("the move goes on all the same")),
        };
        unheard = 0;
        let state = now["state"].as_str().unwrap_or_default();
        if now["shard"] == begun["to_shard"] {
            return moved(api, &begun);
        }
        let ended = state == "here" && now["shard"] == begun["from_shard"];
        if ended && now["epoch"].as_u64() >= begun["epoch"].as_u64() {
            bail!(
                "the group stays in {}: the move was given up, and the log of the node that leads shard {} says why",
                begun["from"].as_str().unwrap_or_default(),
                begun["from_shard"],
            );
        }
        if last != state {
            eprintln!("group {group}: {state}");
            last = state.to_owned();
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn moved(api: &Api, begun: &Value) -> anyhow::Result<()> {
    if api.json {
        return json_lines(begun);
    }
    let word = |what: &str| begun[what].as_str().unwrap_or_default().to_owned();
    println!(
        "group {} is at home in {} (before: {})",
        word("group"),
        word("to"),
        word("from")
    );
    Ok(())
}
