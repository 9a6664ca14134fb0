//! What this node remembers of others: the highest number of a start that it
//! heard of each, and what each was heard to have on disk of each shard. With
//! it a node whose folder was put back to an older state is found out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_consensus::Mark;
use folkmoot_storage::keys::node as keys;
use folkmoot_storage::{Batch, Commit, Direction, Read, Store, StoreError, Table};
use folkmoot_wire::{NodeId, ShardId, limits, proto};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Records read at once.
const PAGE: usize = 1_024;

#[derive(Default)]
struct Known {
    starts: BTreeMap<NodeId, u64>,
    marks: BTreeMap<(ShardId, NodeId), Mark>,
    /// Not written down yet.
    new: BTreeSet<(ShardId, NodeId)>,
}

/// The memory of others.
pub struct Witness {
    store: Arc<dyn Store>,
    commit: Arc<dyn Commit>,
    known: Mutex<Known>,
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

fn read_mark(value: &[u8]) -> Option<Mark> {
    let (term, index) = value.split_at_checked(8)?;
    Some(Mark {
        term: number(term)?,
        index: number(index)?,
    })
}

fn scan_all(
    read: &dyn Read,
    (mut from, to): (Bytes, Bytes),
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    loop {
        let pairs = read.scan(Table::Node, &from, &to, PAGE, Direction::Forward)?;
        let Some((last, _)) = pairs.last() else {
            return Ok(());
        };
        from = folkmoot_storage::keys::successor(last);
        for (key, value) in &pairs {
            each(key, value)?;
        }
    }
}

impl Witness {
    /// With what was written down before.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(store: Arc<dyn Store>, commit: Arc<dyn Commit>) -> Result<Self, StoreError> {
        let mut known = Known::default();
        scan_all(&*store, keys::starts(), |key, value| {
            let start = number(value).unwrap_or(0);
            known.starts.insert(keys::parse_start(key)?, start);
            Ok(())
        })?;
        scan_all(&*store, keys::marks(), |key, value| {
            let mark = read_mark(value).unwrap_or_default();
            known.marks.insert(keys::parse_mark(key)?, mark);
            Ok(())
        })?;
        Ok(Self {
            store,
            commit,
            known: Mutex::new(known),
        })
    }

    /// A node said that it has this on disk.
    pub fn saw(&self, of: NodeId, shard: ShardId, mark: Mark) {
        let mut known = self.known.lock();
        let last = known.marks.entry((shard, of)).or_default();
        if mark > *last {
            *last = mark;
            known.new.insert((shard, of));
        }
    }

    /// A node is there with this number of its start, and knows of the one
    /// `before`. Gives the highest one known so far. A higher one is on disk
    /// when this returns, unless the node does not know of all before: it has
    /// to hear that first, and the answer may be lost.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn started(&self, node: NodeId, start: u64, before: u64) -> Result<u64, StoreError> {
        let known = self.known.lock().starts.get(&node).copied().unwrap_or(0);
        if start <= known || before < known {
            return Ok(known);
        }
        let mut batch = Batch::new();
        let value = Bytes::copy_from_slice(&start.to_be_bytes());
        batch.put(Table::Node, keys::start_of(node), value);
        let (done, written) = oneshot::channel();
        self.commit.submit(
            batch,
            Box::new(move |result| {
                // Who asked may have gone.
                let _ = done.send(result);
            }),
        );
        written.await.unwrap_or(Err(StoreError::Closed))?;
        let mut all = self.known.lock();
        let last = all.starts.entry(node).or_default();
        *last = start.max(*last);
        Ok(known)
    }

    /// What a node was heard to have, of every shard.
    #[must_use]
    pub fn marks_of(&self, node: NodeId) -> Vec<proto::Mark> {
        let known = self.known.lock();
        let marks = known.marks.iter().filter(|((_, of), _)| *of == node);
        marks
            .map(|((shard, _), mark)| proto::Mark {
                shard: shard.0,
                term: mark.term,
                index: mark.index,
            })
            .collect()
    }

    /// Writes down what is new, until the node stops. What a crash forgets is
    /// at most as old as the pause; an older folder is older than that.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(limits::MARKS_EVERY) => {}
            }
            if let Err(error) = self.write_down() {
                tracing::error!(%error, "what other nodes have cannot be written down");
                return;
            }
        }
    }

    fn write_down(&self) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        {
            let mut known = self.known.lock();
            for (shard, node) in std::mem::take(&mut known.new) {
                let mark = known.marks.get(&(shard, node)).copied().unwrap_or_default();
                let value = [mark.term.to_be_bytes(), mark.index.to_be_bytes()].concat();
                batch.put(Table::Node, keys::mark(shard, node), value);
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        // The next commit's sync makes it durable.
        self.store.write(batch)
    }
}

#[cfg(test)]
mod tests;
