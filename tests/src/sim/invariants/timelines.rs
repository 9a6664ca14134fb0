//! A client sees no gap, no double and no inversion: across reconnects, moves
//! between edges and crashes of its own device. What it has seen is the log.

use std::collections::BTreeMap;

use folkmoot_client::Entry;
use folkmoot_wire::entry::Chain;

use super::End;

/// What one person read of one group.
#[derive(Debug, Default)]
pub struct Reading {
    /// The furthest seq.
    pub last: u64,
    /// The last one of the stream under way.
    stream: u64,
    /// The person left a group that shows newcomers nothing of before: what
    /// is missed until the return is no gap.
    away: bool,
    missed: u64,
    chains: BTreeMap<u64, Chain>,
}

impl Reading {
    /// The person left, and will see nothing of what is said meanwhile.
    pub fn left(&mut self) {
        self.away = true;
    }

    /// Whether the person has ever come back so.
    #[must_use]
    pub fn may_begin_anew(&self) -> bool {
        self.away || self.missed > 0
    }
}

/// Takes the next entry in. `fresh`: it is the first of a stream. A stream
/// may begin before the furthest entry (of the entries that an application
/// was given, those are given again that it had not asked to go on from), and
/// not behind the one that follows it.
///
/// # Errors
/// When it is not what has to come.
pub fn follows(reading: &mut Reading, entry: &Entry, fresh: bool) -> Result<(), String> {
    let seq = entry.seq();
    let first_of_all = reading.last == 0;
    let expected = reading.stream + 1;
    reading.stream = seq;
    if let Some(before) = reading.chains.insert(seq, entry.chain)
        && before != entry.chain
    {
        return Err(format!("entry {seq} is another one than before"));
    }
    let furthest = reading.last;
    reading.last = reading.last.max(seq);
    if seq > furthest + 1 && reading.away && !first_of_all {
        reading.away = false;
        reading.missed += seq - furthest - 1;
        return Ok(());
    }
    if fresh {
        // Who may see from a seq on begins there.
        if !first_of_all && seq > furthest + 1 {
            return Err(format!("a stream begins at {seq}, {furthest} was read"));
        }
        return Ok(());
    }
    if seq != expected || !entry.follows {
        return Err(format!("entry {seq} comes where {expected} is to come"));
    }
    Ok(())
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
        let first = reading.chains.keys().next().copied().unwrap_or(0);
        let read = reading.chains.len() as u64 + reading.missed;
        // Somebody who left may have read nothing at all.
        let dense = read == 0 || reading.last + 1 - first == read;
        end.findings.check(dense, || {
            format!(
                "person {who} has gaps in {group}: {:?}",
                reading.chains.keys()
            )
        });
    }
}
