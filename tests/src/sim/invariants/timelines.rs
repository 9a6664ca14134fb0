//! A client sees no gap, no double and no inversion: across reconnects, moves
//! between edges and crashes of its own device. What it has seen is the log.
//!
//! Whoever came back to a group that shows newcomers nothing of before misses
//! what was said meanwhile. Which gaps are such ones is read from the log at
//! the end: they end with an entry by which the reader joined.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use folkmoot_client::{Entry, UserId};
use folkmoot_wire::entry::Chain;
use folkmoot_wire::proto::{EntryHeader, Kind};

use super::End;
use super::joins::Asked;
use super::members::subject;

/// What one person read of one group.
#[derive(Debug, Default)]
pub struct Reading {
    /// The furthest seq.
    pub last: u64,
    /// The last one of the stream under way.
    stream: u64,
    /// The person left, at some time, a group that shows newcomers nothing of
    /// before.
    left: bool,
    /// Where reading did not go on with the next seq.
    jumps: Vec<u64>,
    chains: BTreeMap<u64, Chain>,
}

impl Reading {
    /// The person leaves, and will see nothing of what is said meanwhile.
    pub fn left(&mut self) {
        self.left = true;
    }

    /// Whether the place that the person read to may be out of sight.
    #[must_use]
    pub fn may_begin_anew(&self) -> bool {
        self.left
    }
}

/// Takes the next entry in. `fresh`: it is the first of a stream. A stream
/// may begin before the furthest entry (of the entries that an application
/// was given, those are given again that it had not asked to go on from).
///
/// # Errors
/// When it is not what has to come.
pub fn follows(reading: &mut Reading, entry: &Entry, fresh: bool) -> Result<(), String> {
    let seq = entry.seq();
    let expected = match fresh {
        true => reading.last + 1,
        false => reading.stream + 1,
    };
    reading.stream = seq;
    reading.last = reading.last.max(seq);
    if let Some(before) = reading.chains.insert(seq, entry.chain)
        && before != entry.chain
    {
        return Err(format!("entry {seq} is another one than before"));
    }
    if fresh {
        if seq > expected {
            reading.jumps.push(seq);
        }
        return Ok(());
    }
    if seq > expected && !entry.follows {
        reading.jumps.push(seq);
        return Ok(());
    }
    if seq != expected || !entry.follows {
        return Err(format!("entry {seq} comes where {expected} is to come"));
    }
    Ok(())
}

/// Whether somebody may begin to read at an entry: the first one, or that of
/// a return to a group that shows nothing of before.
fn begins(log: &[EntryHeader], hides: bool, user: Option<&UserId>, seq: u64) -> bool {
    let header = log.get(seq as usize - 1);
    let joins = |header: &EntryHeader| {
        header.kind() == Kind::Join && user.is_some() && subject(header).as_ref() == user
    };
    seq == 1 || hides && header.is_some_and(joins)
}

pub(super) fn check(end: &End<'_>) {
    let pages = end.book.pages();
    for ((who, group), reading) in &pages.readings {
        let Some(log) = end.logs.get(group) else {
            end.findings
                .add(format!("person {who} read {group}, which nobody has"));
            continue;
        };
        for (seq, chain) in &reading.chains {
            let home = log.entries.get(*seq as usize - 1);
            let same = home.is_some_and(|entry| entry.chain[..] == chain[..]);
            end.findings.check(same, || {
                format!("person {who} read an entry {seq} of {group} that its home has not")
            });
        }
        let made = end.groups.iter().find(|made| made.id == *group);
        let hides = made.is_some_and(|made| made.plan.history_from_join);
        let user = pages.users.get(who);
        let asked = Asked::of(end, &pages, group);
        // Where no entry tells of it, that may be anywhere.
        let quietly = hides && user.is_some_and(|user| asked.may_have_come(user));
        let holes = reading.chains.keys().copied();
        let holes = holes.filter(|seq| !reading.chains.contains_key(&(seq - 1)));
        for seq in holes.chain(reading.jumps.iter().copied()) {
            end.findings
                .check(quietly || begins(&log.headers, hides, user, seq), || {
                    let read = reading.chains.keys();
                    format!("person {who} did not see what is before {seq} of {group}: {read:?}")
                });
        }
    }
}
