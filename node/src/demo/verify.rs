//! Whether all regions hold the same: first asked of the running nodes, then
//! read from one folder of each region while nothing runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_storage::{Read, log};
use folkmoot_wire::entry::{Chain, genesis};
use folkmoot_wire::{GroupId, UserId, limits};
use prost::Message;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::compare::{Cast, differences};
use super::regions;
use super::replay::Replay;
use super::report::{GroupReport, HeadReport};
use crate::cli::log::open_offline;
use crate::entry_json::EntryLine;

const EVERY: Duration = Duration::from_millis(200);

/// Waits until all nodes show the same chain of every group.
///
/// # Errors
/// With the first difference, when they do not within `within`.
pub async fn agree(cluster: &Cluster, replay: &Replay, within: Duration) -> anyhow::Result<()> {
    for group in &replay.groups {
        let agreed = agree_on(cluster, group.id, group.entries(), within).await;
        agreed.with_context(|| group.name.clone())?;
    }
    Ok(())
}

/// Waits until all nodes show the same chain of a group of at least `entries`;
/// gives its seq.
///
/// # Errors
/// With a difference, when they do not within `within`.
pub async fn agree_on(
    cluster: &Cluster,
    group: GroupId,
    entries: u64,
    within: Duration,
) -> anyhow::Result<u64> {
    let deadline = Instant::now() + within;
    loop {
        match heads(cluster, group, entries).await {
            Ok(seq) => return Ok(seq),
            Err(difference) if Instant::now() > deadline => bail!(difference),
            Err(_) => sleep(EVERY).await,
        }
    }
}

/// The seq that all nodes agree on, or what keeps them from agreeing.
async fn heads(cluster: &Cluster, group: GroupId, entries: u64) -> Result<u64, String> {
    let mut first: Option<(u64, String)> = None;
    for member in &cluster.members {
        let name = &member.place.name;
        let head = match member.place.api.get(&format!("/v1/groups/{group}")).await {
            Ok(head) => head,
            Err(error) => return Err(format!("{name}: {error:#}")),
        };
        let seq = head["seq"].as_u64().unwrap_or(0);
        let chain = head["chain"].as_str().unwrap_or_default().to_owned();
        if seq < entries {
            return Err(format!("{name} has {seq} of {entries} entries"));
        }
        match &first {
            None => first = Some((seq, chain)),
            Some(other) if *other == (seq, chain.clone()) => {}
            Some((other, _)) => {
                return Err(format!(
                    "{name} has another chain at {seq} (elsewhere {other})"
                ));
            }
        }
    }
    Ok(first.map_or(0, |(seq, _)| seq))
}

/// A group's log, read and proven.
pub struct Held {
    pub lines: Vec<EntryLine>,
    pub chain: String,
    /// Encoded entries.
    pub bytes: u64,
}

/// Reads a log out of a store and checks that seqs are dense and the chain
/// follows from the cluster and the group.
pub fn read_proven(store: &dyn Read, cluster: &[u8; 16], group: &GroupId) -> anyhow::Result<Held> {
    let head = log::read_head(store, group)?.context("the folder holds nothing of it")?;
    let mut chain: Chain = genesis(cluster, group);
    let mut held = Held {
        lines: Vec::new(),
        chain: String::new(),
        bytes: 0,
    };
    let mut after = 0;
    while after < head.seq {
        let limit = limits::PAGE_ENTRIES as usize;
        let page = log::read_entries(store, group, after, 0, limit, limits::PAGE_BYTES)?;
        if page.is_empty() {
            bail!("its log ends at {after}, and its head is {}", head.seq);
        }
        for (seq, entry) in page {
            let (_, next) = entry.verify(&chain, after + 1)?;
            if seq != after + 1 {
                bail!("seq {seq} follows {after}");
            }
            chain = next;
            after = seq;
            held.bytes += entry.encoded_len() as u64;
            held.lines
                .push(EntryLine::of(&entry).context("an entry without a header")?);
        }
    }
    if after != head.seq || chain[..] != head.chain[..] {
        bail!(
            "its log ends at {after} with another chain than its head, {}",
            head.seq
        );
    }
    held.chain = hex::encode(chain);
    Ok(held)
}

/// What the folders hold, and what is wrong with it.
pub struct Verified {
    pub groups: Vec<GroupReport>,
    /// Encoded entries of all groups that were not replayed: the users' own,
    /// which every region follows in the demo.
    pub other_entry_bytes: u64,
    pub problems: Vec<String>,
}

/// A folder that is read, under the name that its logs are exported under.
pub struct Witness<'a> {
    /// Its region or its node.
    pub name: &'a str,
    /// A node's data.
    pub folder: &'a Path,
}

/// Reads these folders, writes each log as `export/<witness>/<group>.jsonl`,
/// and compares.
///
/// # Errors
/// When a folder cannot be read or a file not written. What is wrong with a
/// log is no error of this.
pub fn offline(
    replay: &Replay,
    witnesses: &[Witness<'_>],
    export: Option<&Path>,
    in_order: bool,
) -> anyhow::Result<Verified> {
    let cluster = &replay.cluster;
    let first = witnesses.first().context("nothing to read")?;
    let id = hex::decode(&cluster.id).context("the cluster's id")?;
    let id = <[u8; 16]>::try_from(id.as_slice()).context("the cluster's id")?;
    let mut problems = Vec::new();
    let mut groups: Vec<GroupReport> = replay
        .groups
        .iter()
        .map(|group| GroupReport {
            name: group.name.clone(),
            id: group.id.to_string(),
            home: regions::NAMES[group.home].to_owned(),
            lines: group.lines,
            unchanged: group.script.unchanged,
            kinds: BTreeMap::new(),
            heads: BTreeMap::new(),
            entry_bytes: 0,
        })
        .collect();
    for witness in witnesses {
        let name = witness.name;
        let folder = export.map(|export| export.join(name));
        let store = open_offline(witness.folder)?;
        for (group, report) in replay.groups.iter().zip(&mut groups) {
            let held = match read_proven(&store, &id, &group.id) {
                Ok(held) => held,
                Err(error) => {
                    problems.push(format!("{} in {name}: {error:#}", group.name));
                    continue;
                }
            };
            if let Some(folder) = &folder {
                write_lines(folder, &group.name, &held.lines)?;
            }
            let head = HeadReport {
                seq: held.lines.len() as u64,
                chain: held.chain.clone(),
            };
            // The first region's log is compared with the script, the others
            // with that one: equal chains are equal logs.
            match report.heads.values().next() {
                Some(first) if *first == head => {}
                Some(first) => problems.push(format!(
                    "{} in {name} ends at {} {}, elsewhere at {} {}",
                    group.name, head.seq, head.chain, first.seq, first.chain
                )),
                None => {
                    for line in &held.lines {
                        *report.kinds.entry(line.kind.clone()).or_default() += 1;
                    }
                    report.entry_bytes = held.bytes;
                    let users = group.users.lock();
                    let cast = Cast {
                        users: &users,
                        bridge: replay.bridge,
                    };
                    let guests = replay.guests.lock();
                    let guests: BTreeSet<String> = guests.iter().map(UserId::to_string).collect();
                    let mut lines = held.lines;
                    lines.retain(|line| !guests.contains(&line.sender));
                    let wrong = differences(&group.script, &cast, &lines, in_order);
                    problems.extend(
                        wrong
                            .into_iter()
                            .map(|w| format!("{} in {name}: {w}", group.name)),
                    );
                }
            }
            report.heads.insert(name.to_owned(), head);
        }
    }
    let replayed: BTreeSet<GroupId> = replay.groups.iter().map(|group| group.id).collect();
    let store = open_offline(first.folder)?;
    Ok(Verified {
        groups,
        other_entry_bytes: bytes_of_others(&store, &replayed)?,
        problems,
    })
}

/// Encoded entries of all groups but these.
fn bytes_of_others(store: &dyn Read, these: &BTreeSet<GroupId>) -> anyhow::Result<u64> {
    let page = limits::PAGE_ENTRIES as usize;
    let mut bytes = 0;
    let mut last = None;
    loop {
        let heads = log::read_heads(store, last.as_ref(), page)?;
        let Some((end, _)) = heads.last() else {
            return Ok(bytes);
        };
        last = Some(*end);
        let others = heads.iter().filter(|(at, _)| !these.contains(&at.group));
        for (place, head) in others {
            let (seat, group) = (place.seat(store), &place.group);
            let mut after = 0;
            while after < head.seq {
                let entries = log::read_entries(&seat, group, after, 0, page, limits::PAGE_BYTES)?;
                let Some((seq, _)) = entries.last() else {
                    break;
                };
                after = *seq;
                bytes += entries
                    .iter()
                    .map(|(_, entry)| entry.encoded_len() as u64)
                    .sum::<u64>();
            }
        }
    }
}

/// Writes a log as `folder/<group>.jsonl`.
///
/// # Errors
/// When it cannot be written.
pub fn write_lines(folder: &Path, group: &str, lines: &[EntryLine]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let path: PathBuf = folder.join(format!("{group}.jsonl"));
    let file = fs::File::create(&path).with_context(|| path.display().to_string())?;
    let mut out = BufWriter::new(file);
    for line in lines {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")?;
    }
    out.flush().with_context(|| path.display().to_string())
}
