//! `node verify` and `node repair`: a stopped node's folder.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use folkmoot_replication::placement::Placement;
use folkmoot_storage::{RocksOptions, RocksStore, Store, StoreError};
use folkmoot_wire::{NodeId, ShardId};
use serde_json::{Value, json};

use super::table::{self, Column};
use super::views::json_lines;
use crate::boot::{Folder, Identity};
use crate::cluster::meta::MetaHost;
use crate::offline::inspect::{Found, Inspected};
use crate::offline::repair::{Places, Repair, losses, losses_of_all, release, replace_all, trust};

const FOUND: &[Column] = &[
    ("shard", "shard"),
    ("region", "region"),
    ("votes", "votes"),
    ("groups", "groups"),
    ("entries", "entries"),
    ("rows", "rows"),
    ("log of consensus", "raft_entries"),
    ("wrong", "wrong"),
];

fn data() -> Arg {
    Arg::new("data")
        .long("data")
        .value_name("DIR")
        .required(true)
        .help("The stopped node's data folder")
}

pub(super) fn commands(node: Command) -> Command {
    node.subcommand(
        Command::new("verify")
            .about("Read all of a stopped node's folder and say what is wrong with it")
            .long_about(
                "Read all of a stopped node's folder: checksums, each group's chain and rows, each \
                 replica's log. Nothing is changed. Fails when something is wrong, and says what \
                 repairs it.",
            )
            .arg(data()),
    )
    .subcommand(
        Command::new("repair")
            .about("Set the damaged parts of a stopped node's folder aside, to be fetched anew")
            .long_about(
                "Set the damaged parts of a stopped node's folder aside: a new store is made of \
                 what is whole, the old one stays beside it. The next start fetches what is \
                 missing from the other nodes. Needs as much room again as the store takes.",
            )
            .arg(data())
            .arg(
                Arg::new("accept_loss")
                    .long("accept-loss")
                    .action(ArgAction::SetTrue)
                    .help("Also what no other node has, and is lost then; and have a folder that is older than what the node had vote as it is"),
            ),
    )
}

/// A stopped node's folder.
struct Stopped {
    folder: Folder,
    identity: Identity,
    data: PathBuf,
}

impl Stopped {
    fn of(args: &ArgMatches) -> anyhow::Result<Self> {
        let data = PathBuf::from(args.get_one::<String>("data").context("--data")?);
        let folder = Folder::new(&data);
        if !folder.exists() {
            bail!("{} holds no node", data.display());
        }
        let identity = folder.identity()?;
        Ok(Self {
            folder,
            identity,
            data,
        })
    }

    /// The store; the inner error is one that a repair is for.
    fn open(&self) -> anyhow::Result<Result<RocksStore, String>> {
        match RocksStore::open_read_only(self.folder.store()) {
            Ok(store) => Ok(Ok(store)),
            Err(StoreError::Corrupt { detail } | StoreError::Io { detail, .. }) => Ok(Err(detail)),
            Err(error) => Err(error).with_context(|| self.data.display().to_string()),
        }
    }

    /// Where the cluster's shards are, as this node knew it last.
    fn placement(&self, store: &RocksStore) -> anyhow::Result<Placement> {
        let meta = match MetaHost::stored(store) {
            Ok(Some(meta)) => meta,
            Ok(None) | Err(_) => self.folder.first_meta()?.unwrap_or_default(),
        };
        Ok(Placement::new(meta.into()))
    }

    fn inspect(&self, store: &RocksStore, placement: &Placement) -> anyhow::Result<Vec<Found>> {
        let inspected = Inspected {
            store,
            me: NodeId(self.identity.node),
            cluster: self.identity.cluster_bytes()?,
            placement,
        };
        let mut done = 0;
        let found = inspected.all(&mut |found, of| {
            done += 1;
            progress(&format!(
                "shard {}, {done} of {of}: {} groups, {} entries",
                found.shard, found.groups, found.entries
            ));
        });
        end_progress();
        Ok(found)
    }

    /// Of a folder without damage: lets the node start that was stopped for
    /// another process, and, where that is accepted, has an older folder vote
    /// without the word of the others.
    fn settle(&self, json: bool, accept: bool, placement: &Placement) -> anyhow::Result<()> {
        let store = RocksStore::open(self.folder.store(), &RocksOptions::default())?;
        let was_replaced = release(&store)?;
        let was_older = accept && trust(&store, placement)?;
        store.close()?;
        let what = match (was_older, was_replaced) {
            (true, _) => "the node votes with what its folder has, whatever it had before",
            (false, true) => "nothing is damaged, and the node may start again",
            (false, false) => "nothing is damaged, nothing was changed",
        };
        tell(json, what, &[], None)
    }

    fn repair_with(&self) -> String {
        format!("folkmoot node repair --data {}", self.data.display())
    }
}

/// One line that is written over, for people who wait.
fn progress(what: &str) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let _ = write!(out, "\r\x1b[K{what}");
        let _ = out.flush();
    }
}

fn end_progress() {
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
}

/// Runs `verify` or `repair`; `None`: it is another command.
pub(super) fn run(json: bool, args: &ArgMatches) -> Option<anyhow::Result<()>> {
    match args.subcommand() {
        Some(("verify", args)) => Some(verify(json, args)),
        Some(("repair", args)) => Some(repair(json, args)),
        _ => None,
    }
}

fn verify(json: bool, args: &ArgMatches) -> anyhow::Result<()> {
    let stopped = Stopped::of(args)?;
    let store = match stopped.open()? {
        Ok(store) => store,
        Err(why) => {
            if json {
                json_lines(
                    &json!({ "opens": false, "why": why, "repair": stopped.repair_with() }),
                )?;
            }
            bail!(
                "the store cannot be opened ({why}): `{}` sets it aside",
                stopped.repair_with()
            );
        }
    };
    let found = stopped.inspect(&store, &stopped.placement(&store)?)?;
    let wrong: Vec<&Found> = found.iter().filter(|found| found.wrong > 0).collect();
    if json {
        let repair = (!wrong.is_empty()).then(|| stopped.repair_with());
        json_lines(&json!({ "opens": true, "shards": found, "repair": repair }))?;
    } else {
        let rows: Vec<Value> = found.iter().map(|found| json!(found)).collect();
        table::print(FOUND, &rows);
        for found in &wrong {
            for problem in &found.problems {
                println!("shard {}: {problem}", found.shard);
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let shards: Vec<String> = wrong.iter().map(|found| found.shard.to_string()).collect();
    bail!(
        "shard {} of this folder is damaged: `{}` sets the damaged part aside",
        shards.join(", "),
        stopped.repair_with()
    )
}

fn repair(json: bool, args: &ArgMatches) -> anyhow::Result<()> {
    let stopped = Stopped::of(args)?;
    let accept = args.get_flag("accept_loss");
    let places = Places::of(&stopped.folder)?;
    let mut shards = Vec::new();
    match stopped.open()? {
        Err(why) => {
            let first = stopped.folder.first_meta()?;
            refuse(&losses_of_all(&stopped.identity, first.as_ref()), accept)?;
            refuse_anew(stopped.identity.founder)?;
            eprintln!("the store cannot be opened ({why}): all of it is set aside");
            replace_all(&places)?;
        }
        Ok(store) => {
            let placement = stopped.placement(&store)?;
            let found = stopped.inspect(&store, &placement)?;
            let damaged: BTreeSet<ShardId> = found
                .iter()
                .filter(|found| found.wrong > 0)
                .map(|found| ShardId(found.shard))
                .collect();
            if damaged.is_empty() {
                drop(store);
                return stopped.settle(json, accept, &placement);
            }
            refuse(&losses(&found), accept)?;
            let meta = found
                .iter()
                .find(|found| ShardId(found.shard) == ShardId::META);
            refuse_alone(meta.is_some_and(|meta| meta.wrong > 0 && meta.alone))?;
            shards = damaged.iter().map(|shard| shard.0).collect();
            let repair = Repair {
                old: &store,
                me: NodeId(stopped.identity.node),
                placement: &placement,
                damaged: &damaged,
            };
            repair.run(&places, &mut |n| progress(&format!("{n} records copied")))?;
            end_progress();
        }
    }
    let aside = places.aside.display().to_string();
    tell(
        json,
        "start the node: it fetches from the others what was set aside, and votes on it when it has caught up",
        &shards,
        Some(aside),
    )
}

fn refuse(losses: &[String], accept: bool) -> anyhow::Result<()> {
    if losses.is_empty() || accept {
        return Ok(());
    }
    bail!(
        "this would be lost for good: {}. Put a backup of the folder back if there is one, or repeat the command with --accept-loss",
        losses.join("; ")
    )
}

/// A cluster without its meta shard cannot be told where anything is.
fn refuse_alone(meta_is_lost: bool) -> anyhow::Result<()> {
    if meta_is_lost {
        bail!(
            "the meta shard of the cluster lives in this folder only and cannot be made anew: put a backup of the folder back. The other nodes go on with what they know"
        );
    }
    Ok(())
}

/// With an empty store the founder would make the cluster a second time.
fn refuse_anew(is_founder: bool) -> anyhow::Result<()> {
    if is_founder {
        bail!(
            "this node made the cluster, and with an empty store it would make it a second time: put a backup of the folder back. The other nodes go on with what they know"
        );
    }
    Ok(())
}

fn tell(json: bool, what: &str, shards: &[u32], aside: Option<String>) -> anyhow::Result<()> {
    if json {
        return json_lines(&json!({ "done": what, "shards": shards, "aside": aside }));
    }
    if let Some(aside) = aside {
        println!("the old store is in {aside}; remove it when all is well");
    }
    println!("{what}");
    Ok(())
}
