//! Whether a log is what its script says it must be.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use folkmoot_wire::UserId;

use super::script::{Act, Script, Step};
use crate::entry_json::{EntryLine, kind_name};

/// Differences that are listed for one group. More are only counted.
const LISTED: usize = 10;

/// The script's users and the bridge, as the cluster knows them.
pub(super) struct Cast<'a> {
    pub(super) users: &'a [Option<UserId>],
    pub(super) bridge: UserId,
}

impl Cast<'_> {
    fn id(&self, user: Option<usize>) -> String {
        let id = match user {
            None => Some(self.bridge),
            Some(user) => self.users.get(user).copied().flatten(),
        };
        id.map(|id| id.to_string()).unwrap_or_default()
    }

    /// What of an entry follows from its step.
    fn expected(&self, step: &Step) -> Said {
        let mention = match &step.act {
            Act::Message { mention, .. } => *mention,
            _ => None,
        };
        Said {
            sender: self.id(step.user),
            kind: kind_name(step.kind()).to_owned(),
            nick: step.nick.clone(),
            body: step.body().to_owned(),
            mentions: mention
                .map(|user| self.id(Some(user)))
                .into_iter()
                .collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    sender: String,
    kind: String,
    nick: String,
    body: String,
    mentions: Vec<String>,
}

impl Said {
    fn of(line: &EntryLine) -> Self {
        Self {
            sender: line.sender.clone(),
            kind: line.kind.clone(),
            nick: line.nick.clone(),
            body: line.body.clone(),
            mentions: line.mentions.clone(),
        }
    }
}

/// What is wrong with `log`, which begins with the group's creation. In
/// order: it must have the script's entries in the script's order. Otherwise:
/// those of each user in the order of that user, and no others.
pub(super) fn differences(
    script: &Script,
    cast: &Cast<'_>,
    log: &[EntryLine],
    in_order: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let said = match log.split_first() {
        Some((first, rest)) if first.kind == "create" => rest,
        _ => {
            wrong.push("it does not begin with the group's creation".to_owned());
            log
        }
    };
    if in_order {
        let expected = script.entries().map(|step| cast.expected(step)).collect();
        let found = said.iter().map(|line| (line.seq, Said::of(line))).collect();
        lanes(String::new(), expected, found, &mut wrong);
    } else {
        by_sender(script, cast, said, &mut wrong);
    }
    if wrong.len() > LISTED {
        let more = wrong.len() - LISTED;
        wrong.truncate(LISTED);
        wrong.push(format!("and {more} more"));
    }
    wrong
}

type Lane = (Vec<Said>, Vec<(u64, Said)>);

fn by_sender(script: &Script, cast: &Cast<'_>, log: &[EntryLine], wrong: &mut Vec<String>) {
    let mut senders: BTreeMap<String, Lane> = BTreeMap::new();
    for step in script.entries() {
        let said = cast.expected(step);
        senders.entry(said.sender.clone()).or_default().0.push(said);
    }
    for line in log {
        let said = Said::of(line);
        senders
            .entry(said.sender.clone())
            .or_default()
            .1
            .push((line.seq, said));
    }
    for (sender, (expected, found)) in senders {
        lanes(format!("of {sender}: "), expected, found, wrong);
    }
}

fn lanes(whose: String, expected: Vec<Said>, found: Vec<(u64, Said)>, wrong: &mut Vec<String>) {
    if expected.len() != found.len() {
        wrong.push(format!(
            "{whose}{} entries where {} were due",
            found.len(),
            expected.len()
        ));
    }
    for (place, (due, (seq, said))) in expected.into_iter().zip(found).enumerate() {
        if due != said {
            wrong.push(format!(
                "{whose}entry {seq}, number {place}: {said:?} where {due:?} was due"
            ));
            // What follows is only shifted.
            return;
        }
    }
}
