//! The end of it: what all nodes hold, beside what was said.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use folkmoot_client::GroupId;
use folkmoot_node::cli::log::open_offline;
use folkmoot_node::demo::cluster::Cluster;
use folkmoot_node::demo::replay::Replay;
use folkmoot_node::demo::verify::{self, Witness, agree_on, read_proven, write_lines};
use folkmoot_node::entry_json::EntryLine;

use super::field::Field;
use super::ledger::{Lane, Ledger, Outcome};
use super::listeners::Listeners;

/// Once nothing is broken any more, all nodes hold the same within this time.
const AGREE: Duration = Duration::from_secs(90);
const LISTED: usize = 20;

/// While all run: do they come to hold the same, and has everybody read it?
pub async fn online(
    cluster: &Cluster,
    replays: &[std::sync::Arc<Replay>],
    groups: &[GroupId],
    listeners: &Listeners,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for replay in replays {
        for group in &replay.groups {
            // What was refused is told of where it was.
            let entries = group
                .entries()
                .saturating_sub(replay.refused.lock().len() as u64);
            if let Err(error) = agree_on(cluster, group.id, entries, AGREE).await {
                wrong.push(format!("{}: {error:#}", group.name));
            }
        }
    }
    for group in groups {
        match agree_on(cluster, *group, 1, AGREE).await {
            Ok(seq) => wrong.extend(read_up_to(listeners, *group, seq).await),
            Err(error) => wrong.push(format!("the publishers' {group}: {error:#}")),
        }
    }
    wrong
}

/// Those who have not read all of a group even after a while.
async fn read_up_to(listeners: &Listeners, group: GroupId, seq: u64) -> Vec<String> {
    let end = tokio::time::Instant::now() + AGREE;
    loop {
        let behind = listeners.behind(group, seq);
        if behind.is_empty() || tokio::time::Instant::now() > end {
            return behind;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// While none runs: what each folder holds.
///
/// # Errors
/// When a folder cannot be read.
pub fn offline(
    field: &Field,
    replays: &[std::sync::Arc<Replay>],
    groups: &[GroupId],
    ledger: &Ledger,
    cluster: &str,
    export: &Path,
) -> anyhow::Result<Vec<String>> {
    let folders: Vec<_> = (field.machines.iter())
        .map(|machine| (machine.name(), machine.disk.data()))
        .collect();
    let witnesses: Vec<Witness<'_>> = (folders.iter())
        .map(|(name, folder)| Witness { name, folder })
        .collect();
    let mut wrong = Vec::new();
    for replay in replays {
        wrong.extend(verify::offline(replay, &witnesses, Some(export), false)?.problems);
    }
    let id = hex::decode(cluster).context("the cluster's id")?;
    let id = <[u8; 16]>::try_from(id.as_slice()).context("the cluster's id")?;
    for (number, group) in groups.iter().enumerate() {
        let mut first: Option<(String, String)> = None;
        for (name, folder) in &folders {
            let store = open_offline(folder)?;
            let held = match read_proven(&store, &id, group) {
                Ok(held) => held,
                Err(error) => {
                    wrong.push(format!("{group} on {name}: {error:#}"));
                    continue;
                }
            };
            let name_of_group = format!("publishers-{}", number + 1);
            write_lines(&export.join(name), &name_of_group, &held.lines)?;
            match &first {
                None => {
                    wrong.extend(of_ledger(ledger, number, &held.lines));
                    first = Some(((*name).to_owned(), held.chain));
                }
                Some((other, chain)) if *chain != held.chain => {
                    wrong.push(format!("{group} is another one on {name} than on {other}"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(wrong)
}

/// What was acknowledged is there once, where it was said to be; what was
/// refused is not there; nothing is there twice; each publisher's order holds.
fn of_ledger(ledger: &Ledger, group: usize, lines: &[EntryLine]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut found: HashMap<&str, Vec<u64>> = HashMap::new();
    for line in lines.iter().filter(|line| line.kind == "message") {
        found.entry(&line.body).or_default().push(line.seq);
    }
    let mut last: BTreeMap<Lane, u64> = BTreeMap::new();
    let messages = ledger.messages();
    for message in messages.iter().filter(|m| m.lane.group == group) {
        let seqs = found.remove(message.text.as_str()).unwrap_or_default();
        let said = &message.text;
        match (&message.outcome, seqs.as_slice()) {
            (_, [_, _, ..]) => wrong.push(format!("{said} is there twice: {seqs:?}")),
            (Outcome::Acknowledged { seq, .. }, [one]) if seq == one => {}
            (Outcome::Acknowledged { seq, .. }, _) => {
                wrong.push(format!("{said}: acknowledged as {seq}, found at {seqs:?}"));
            }
            (Outcome::Refused(why), [one]) => {
                wrong.push(format!("{said}: refused ({why}), found at {one}"));
            }
            (Outcome::Open, _) => wrong.push(format!("{said} was never settled")),
            (Outcome::Refused(_) | Outcome::Unknown(_), _) => {}
        }
        if let [one] = seqs.as_slice() {
            let before = last.insert(message.lane, *one);
            if before.is_some_and(|before| before > *one) {
                let before = before.unwrap_or_default();
                wrong.push(format!(
                    "{said}, at {one}, overtook an earlier one of that publisher, at {before}"
                ));
            }
        }
    }
    wrong.extend(found.keys().map(|text| format!("nobody said {text:?}")));
    if wrong.len() > LISTED {
        let more = wrong.len() - LISTED;
        wrong.truncate(LISTED);
        wrong.push(format!("and {more} more"));
    }
    wrong
}

#[cfg(test)]
mod tests;
