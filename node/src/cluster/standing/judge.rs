//! Whether this node's folder is what it was when the node last spoke, judged
//! by what others say that they know of it. No I/O.
//!
//! Each start has a number that rises, and others keep the highest that they
//! heard; they also keep, of each shard, the highest mark of this node: a vote
//! in a term, and in that term the entries up to an index, which this node said
//! it has on disk. A folder that says less than that is older than what the
//! node had.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use folkmoot_consensus::{LastEntry, Mark, Promise};
use folkmoot_wire::proto::KnownOfYou;
use folkmoot_wire::{NodeId, ShardId, limits};

/// Why the folder is taken for older than what this node had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// A start that the folder knows nothing of.
    Start { by: NodeId },
    /// A vote, or an entry, that it lacks.
    Mark {
        by: NodeId,
        shard: ShardId,
        known: Mark,
        here: Mark,
    },
    /// Said by the folder itself: it was found out before, or repaired.
    Before,
}

impl fmt::Display for Older {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { by } => write!(
                f,
                "node {by} knows a later start of this node than the folder does"
            ),
            Self::Mark {
                by,
                shard,
                known,
                here,
            } => write!(
                f,
                "node {by} was told by this node that it has entry {} of term {} of shard {shard}, and the folder ends with entry {} of term {}",
                known.index, known.term, here.index, here.term
            ),
            Self::Before => f.write_str("this was found out at an earlier start, or by a repair"),
        }
    }
}

/// What an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The folder is older than what this node had.
    Older(Older),
    /// Another process has started under this node's number since.
    Replaced { by: NodeId },
}

/// What another voter promised.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    promise: Promise,
    voters: Vec<NodeId>,
    unsure: bool,
}

struct Answer {
    at: Duration,
    told: BTreeMap<ShardId, Told>,
}

/// The judge of one start.
pub struct Judge {
    me: NodeId,
    /// The last start that the folder knew of before this one.
    before: u64,
    start: u64,
    begun: Duration,
    answers: BTreeMap<NodeId, Answer>,
    /// Who knows this start.
    settled: BTreeSet<NodeId>,
    older: Option<(Older, Duration)>,
    /// What is agreed on was asked of another node since.
    placed: bool,
    remembered: BTreeSet<ShardId>,
}

impl Judge {
    /// Of a start at `now` of any clock that rises.
    #[must_use]
    pub fn new(me: NodeId, before: u64, start: u64, now: Duration) -> Self {
        Self {
            me,
            before,
            start,
            begun: now,
            answers: BTreeMap::new(),
            settled: BTreeSet::new(),
            older: None,
            placed: false,
            remembered: BTreeSet::new(),
        }
    }

    /// The number to ask with.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The last start that the folder knows of before that.
    #[must_use]
    pub fn before(&self) -> u64 {
        self.before
    }

    /// By what the folder is known to be older.
    #[must_use]
    pub fn older(&self) -> Option<Older> {
        self.older.map(|(why, _)| why)
    }

    /// Takes the folder for older. Gives whether that is new.
    pub fn doubt(&mut self, why: Older, now: Duration) -> bool {
        // A folder that was found out before may be put back once more; then
        // what was remembered since the first time is in doubt as well. Marks are
        // no sign of that: nobody has what they tell of.
        let again = |(known, _)| known == Older::Before && matches!(why, Older::Start { .. });
        let new = self.older.is_none_or(again);
        if new {
            self.older = Some((why, now));
            self.remembered.clear();
            self.placed = false;
        }
        new
    }

    /// Whether what is agreed on has to be asked of another node.
    #[must_use]
    pub fn lacks_place(&self) -> bool {
        self.older.is_some() && !self.placed
    }

    /// Another node said what is agreed on.
    pub fn placed(&mut self) {
        self.placed = true;
    }

    /// Whom this node waits for before it believes who votes: a folder that was
    /// put back may name it the only voter of what others vote on by now. An
    /// older one waits until another node has said what is agreed on; any other,
    /// and one that has remembered all, for the word of those who are asked, or
    /// for a while. Empty: it need not wait.
    #[must_use]
    pub fn waits_for_others(
        &self,
        shard: ShardId,
        others: &[NodeId],
        now: Duration,
    ) -> Vec<NodeId> {
        if self.older.is_some() && !self.remembered.contains(&shard) {
            return match self.placed {
                true => Vec::new(),
                false => others.to_vec(),
            };
        }
        if now >= self.begun + limits::ASK_ALL_FOR {
            return Vec::new();
        }
        let silent = |node: &&NodeId| !self.answers.contains_key(node);
        let asked = others.iter().take(limits::ASK_PEERS);
        asked.filter(silent).copied().collect()
    }

    /// The replica of a shard is bound by all that it may have forgotten.
    pub fn remembered(&mut self, shard: ShardId) {
        self.remembered.insert(shard);
    }

    /// A node that does not know the question knows nothing of this one.
    pub fn answered_nothing(&mut self, from: NodeId, now: Duration) {
        let told = BTreeMap::new();
        self.answers.insert(from, Answer { at: now, told });
    }

    /// Takes an answer. `here` is what this node has of a shard, read after the
    /// answer came.
    pub fn answered(
        &mut self,
        from: NodeId,
        now: Duration,
        known: &KnownOfYou,
        here: impl Fn(ShardId) -> Option<Mark>,
    ) -> Option<Finding> {
        let told = known.promises.iter().map(|promise| {
            let told = Told {
                promise: Promise {
                    term: promise.term,
                    last: LastEntry {
                        term: promise.last_term,
                        index: promise.last_index,
                    },
                },
                voters: promise.voters.iter().copied().map(NodeId).collect(),
                unsure: promise.unsure,
            };
            (ShardId(promise.shard), told)
        });
        let told = told.collect();
        let first = self
            .answers
            .insert(from, Answer { at: now, told })
            .is_none();
        if known.start <= self.before || known.start == self.start {
            self.settled.insert(from);
        } else {
            if known.start > self.start && self.settled.contains(&from) {
                return Some(Finding::Replaced { by: from });
            }
            // A clock that went back: the number rises all the same.
            self.before = known.start;
            self.start = self.start.max(known.start + 1);
            return Some(Finding::Older(Older::Start { by: from }));
        }
        // Later ones tell of what this start said.
        let marks = known.marks.iter().filter(|_| first);
        for mark in marks {
            let shard = ShardId(mark.shard);
            let known = Mark {
                term: mark.term,
                index: mark.index,
            };
            // What cannot be read says nothing; whoever needs it stops.
            let Some(here) = here(shard) else { continue };
            if known > here {
                let by = from;
                let why = Older::Mark {
                    by,
                    shard,
                    known,
                    here,
                };
                return Some(Finding::Older(why));
            }
        }
        None
    }

    /// Whom a shard waits for, of its voters: all of them at first, then as
    /// many as make a quorum with this node. Empty: its replica may begin.
    #[must_use]
    pub fn waits_for(&self, shard: ShardId, voters: &[NodeId], now: Duration) -> Vec<NodeId> {
        if self.remembered.contains(&shard) {
            return Vec::new();
        }
        let others: Vec<NodeId> = voters.iter().copied().filter(|n| *n != self.me).collect();
        if self.older.is_some() {
            return match self.recall(shard, voters) {
                Ok(_) if others.is_empty() => Vec::new(),
                Ok(_) => others,
                Err(missing) => missing,
            };
        }
        let missing: Vec<NodeId> = others
            .iter()
            .copied()
            .filter(|node| !self.answers.contains_key(node))
            .collect();
        let all = others.len() + 1;
        if all - missing.len() > all / 2 && now >= self.begun + limits::ASK_ALL_FOR {
            return Vec::new();
        }
        missing
    }

    /// What all other voters promised, as of now; or whose word is missing.
    /// Whom they name as a voter is one.
    ///
    /// # Errors
    /// Those who have not told yet, or are not sure themselves.
    pub fn recall(&self, shard: ShardId, voters: &[NodeId]) -> Result<Vec<Promise>, Vec<NodeId>> {
        let since = self.older.map_or(self.begun, |(_, since)| since);
        let since = since + limits::ASK_ANEW_AFTER;
        let mut todo: Vec<NodeId> = voters.to_vec();
        let mut seen = BTreeSet::from([self.me]);
        let (mut promises, mut missing) = (Vec::new(), Vec::new());
        while let Some(node) = todo.pop() {
            if !seen.insert(node) {
                continue;
            }
            let answer = self.answers.get(&node).filter(|answer| answer.at >= since);
            match answer.and_then(|answer| answer.told.get(&shard)) {
                Some(told) if !told.unsure => {
                    promises.push(told.promise);
                    todo.extend(&told.voters);
                }
                _ => missing.push(node),
            }
        }
        match missing.is_empty() {
            true => Ok(promises),
            false => {
                missing.sort_unstable();
                Err(missing)
            }
        }
    }
}

#[cfg(test)]
mod tests;
