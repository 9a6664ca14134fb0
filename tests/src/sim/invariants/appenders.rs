//! At most one node appends in an epoch: in one term of a shard all commands
//! are of one proposer, and one place of a Raft log in one term is one entry,
//! on whatever disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use folkmoot_client::NodeId;
use folkmoot_consensus::entry_author;
use folkmoot_storage::keys::raft::{self, Kind};
use folkmoot_storage::{Batch, Op, Table};
use folkmoot_wire::ShardId;
use parking_lot::Mutex;

use crate::sim::book::Book;
use crate::sim::findings::Findings;
use crate::sim::sometimes::{Sometimes, State};

#[derive(Default)]
struct Seen {
    proposers: BTreeMap<(ShardId, u64), NodeId>,
    /// Hashes of entries, by shard, index and term.
    entries: BTreeMap<(ShardId, u64, u64), blake3::Hash>,
    /// The last term in which a machine wrote to a place.
    terms: BTreeMap<(usize, ShardId, u64), u64>,
}

/// Looks at all Raft logs at once.
pub struct Appenders {
    findings: Findings,
    sometimes: Sometimes,
    book: Arc<Book>,
    seen: Mutex<Seen>,
}

impl Appenders {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new(findings: Findings, sometimes: Sometimes, book: Arc<Book>) -> Self {
        Self {
            findings,
            sometimes,
            book,
            seen: Mutex::default(),
        }
    }

    /// Looks at a batch that is written.
    pub fn look(&self, machine: usize, batch: &Batch) {
        for op in batch {
            if let Op::Put { table, key, value } = op
                && *table == Table::Raft
                && let Ok(at) = raft::parse(key)
            {
                match at.kind {
                    Kind::Entry => self.entry(machine, at.shard, at.index, value),
                    Kind::Installing => self.sometimes.saw(State::Snapshot),
                    _ => {}
                }
            }
        }
    }

    fn entry(&self, machine: usize, shard: ShardId, index: u64, value: &[u8]) {
        let Some((term, proposer)) = entry_author(value) else {
            let finding = format!("machine {machine}: entry {index} of {shard} is not one");
            return self.findings.add(finding);
        };
        let mut seen = self.seen.lock();
        if let Some(before) = seen.terms.insert((machine, shard, index), term)
            && before < term
        {
            self.sometimes.saw(State::Replaced);
        }
        let hash = blake3::hash(value);
        let first = *seen.entries.entry((shard, index, term)).or_insert(hash);
        self.findings.check(first == hash, || {
            format!("entry {index} of {shard} in term {term} is two entries, at machine {machine}")
        });
        let Some(proposer) = proposer else {
            return;
        };
        let new = !seen.proposers.contains_key(&(shard, term));
        let known = *seen.proposers.entry((shard, term)).or_insert(proposer);
        self.findings.check(known == proposer, || {
            format!("{known} and {proposer} append to {shard} in term {term}")
        });
        if new && term > 1 && self.book.under_way() {
            self.sometimes.saw(State::LedAnew);
        }
    }
}
