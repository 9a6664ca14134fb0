//! `log`: a group's log as a node serves it, or as a stopped node's folder
//! holds it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use folkmoot_storage::{Read, RocksStore, log};
use folkmoot_wire::{GroupId, limits};

use super::Api;
use crate::boot::Folder;
use crate::entry_json::EntryLine;

/// How often `--follow` asks.
const EVERY: Duration = Duration::from_millis(500);

pub(super) fn command() -> Command {
    Command::new("log")
        .about("Print a group's log: as a node serves it, or offline from a stopped node's folder")
        .arg(Arg::new("group").required(true))
        .arg(
            Arg::new("at")
                .long("at")
                .value_name("NODE")
                .default_value("")
                .help("Number or name of the node [default: the asked one]"),
        )
        .arg(
            Arg::new("after")
                .long("after")
                .value_name("SEQ")
                .value_parser(clap::value_parser!(u64))
                .default_value("0")
                .help("Only what comes after this seq"),
        )
        .arg(
            Arg::new("follow")
                .long("follow")
                .action(ArgAction::SetTrue)
                .help("Go on as the log grows"),
        )
        .arg(
            Arg::new("data")
                .long("data")
                .value_name("DIR")
                .conflicts_with_all(["at", "follow"])
                .help("Read a stopped node's folder; nothing is fetched from anywhere"),
        )
}

pub(super) async fn run(api: &Api, args: &ArgMatches) -> anyhow::Result<()> {
    let group: GroupId = args.get_one::<String>("group").context("group")?.parse()?;
    let mut after = *args.get_one::<u64>("after").unwrap_or(&0);
    if let Some(data) = args.get_one::<String>("data") {
        let store = open_offline(&PathBuf::from(data))?;
        return read_offline(&store, &group, after, &mut |line| print(api.json, &line));
    }
    let at = args.get_one::<String>("at").map_or("", String::as_str);
    let follow = args.get_flag("follow");
    loop {
        let path = format!(
            "/v1/groups/{group}/log?after={after}&limit={}&node={at}",
            limits::PAGE_ENTRIES
        );
        let answer = api.get(&path).await?;
        let lines: Vec<EntryLine> = serde_json::from_value(answer["entries"].clone())?;
        for line in &lines {
            print(api.json, line)?;
            after = line.seq;
        }
        let head = answer["head"].as_u64().unwrap_or(0);
        if after >= head || lines.is_empty() {
            if !follow {
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Opens the store of a stopped node's data folder, to read only.
///
/// # Errors
/// When there is none, or the node runs.
pub fn open_offline(data: &std::path::Path) -> anyhow::Result<RocksStore> {
    let folder = Folder::new(data);
    if !folder.exists() {
        bail!("{} holds no node", data.display());
    }
    RocksStore::open_read_only(folder.store()).with_context(|| data.display().to_string())
}

/// Reads a whole log out of a store.
///
/// # Errors
/// When the store does not hold it, or what `each` returns.
pub fn read_offline(
    store: &dyn Read,
    group: &GroupId,
    mut after: u64,
    each: &mut dyn FnMut(EntryLine) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let copies = log::copies_of(store, group)?.into_iter();
    // One that is left from before a move is behind.
    let (place, head) = copies
        .max_by_key(|(_, head)| head.seq)
        .with_context(|| format!("the folder holds nothing of {group}"))?;
    let seat = place.seat(store);
    while after < head.seq {
        let page = log::read_entries(
            &seat,
            group,
            after,
            head.seq + 1,
            limits::PAGE_ENTRIES as usize,
            limits::PAGE_BYTES,
        )?;
        let Some((last, _)) = page.last() else {
            bail!(
                "the folder's log of {group} ends at {after}, and its head is {}",
                head.seq
            );
        };
        after = *last;
        for (_, entry) in page {
            each(EntryLine::of(&entry).context("an entry whose header cannot be read")?)?;
        }
    }
    Ok(())
}

fn print(json: bool, line: &EntryLine) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(line)?);
        return Ok(());
    }
    let said = match line.kind.as_str() {
        "message" => format!("<{}> {}", line.nick, line.body),
        "action" => format!("* {} {}", line.nick, line.body),
        kind => format!("-- {kind} {} {}", line.nick, line.body),
    };
    println!("{:>8}  {}  {said}", line.seq, line.hlc);
    Ok(())
}
