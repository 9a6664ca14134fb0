//! The log and the vote of one shard on the store's Raft table.
//!
//! Every change goes through the group commit, in order; only appends and
//! votes wait for its fsync. Reads of entries that are still on their way are
//! answered from the [`Tail`].

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Batch, Commit, Direction, Store, StoreError, Table};
use folkmoot_wire::{ShardId, without};
use futures_util::{Stream, stream};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use tokio::sync::watch;

use crate::codec::{damaged, decode_entry, decode_record, encode_entry, encode_record};
use crate::durable::make_durable;
use crate::retired;
use crate::tail::{Found, Tail};
use crate::types::{Entry, LogId, Types, Vote};
use crate::{ConsensusError, Promise, RaftOptions};

/// Entries read from the store at once.
const SCAN: usize = 256;

/// The log of one shard. Clones are the same log.
#[derive(Clone)]
pub(crate) struct ShardLog(Arc<Inner>);

struct Inner {
    shard: ShardId,
    store: Arc<dyn Store>,
    commit: Arc<dyn Commit>,
    append_bytes: usize,
    tail: Mutex<Tail>,
    /// The last one that is on disk.
    vote: Mutex<Option<Vote>>,
    /// The last append that is durable, or why there will be no more.
    durable: watch::Sender<Result<u64, StoreError>>,
    /// What an earlier replica here held before it left the group.
    retired: Option<LogId>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here is left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn record<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    what: &str,
    key: &[u8],
) -> Result<Option<T>, ConsensusError> {
    store
        .get(Table::Raft, key)?
        .map(|bytes| decode_record(what, &bytes))
        .transpose()
        .map_err(|error| ConsensusError::Damaged(error.to_string()))
}

/// The last entry's log id, as the store has it.
pub(crate) fn last_stored(
    shard: ShardId,
    store: &dyn Store,
) -> Result<Option<LogId>, ConsensusError> {
    let (from, to) = keys::entries_from(shard, 0);
    let last = store.scan(Table::Raft, &from, &to, 1, Direction::Backward)?;
    let Some((key, value)) = last.into_iter().next() else {
        return Ok(None);
    };
    let index = keys::parse(&key)?.index;
    decode_entry(index, value)
        .map(|entry| Some(entry.log_id))
        .map_err(|error| ConsensusError::Damaged(error.to_string()))
}

impl ShardLog {
    /// Opens the log as the store has it.
    pub(crate) fn open(
        shard: ShardId,
        store: Arc<dyn Store>,
        commit: Arc<dyn Commit>,
        options: &RaftOptions,
    ) -> Result<Self, ConsensusError> {
        let vote = record(&*store, "the vote", &keys::vote(shard))?;
        let committed = record(&*store, "the commit mark", &keys::committed(shard))?;
        let purged: Option<LogId> = record(&*store, "the purge mark", &keys::purged(shard))?;
        let last = last_stored(shard, &*store)?;
        let retired = retired::read(shard, &*store)?;
        Ok(Self(Arc::new(Inner {
            shard,
            store,
            commit,
            append_bytes: options.append_bytes,
            tail: Mutex::new(Tail::new(options.tail_bytes, last, purged, committed)),
            vote: Mutex::new(vote),
            durable: watch::Sender::new(Ok(0)),
            retired,
        })))
    }

    /// Whether a log that ends so lacks what was here before this replica
    /// left the group.
    pub(crate) fn is_short(&self, last: Option<&LogId>) -> bool {
        last < self.0.retired.as_ref()
    }

    /// Whether this log itself does.
    pub(crate) fn lacks_retired(&self) -> bool {
        self.is_short(lock(&self.0.tail).last().as_ref())
    }

    /// Up to where the log is on disk, if the vote of `term` is: all before settled.
    pub(crate) fn held_in(&self, term: u64) -> u64 {
        let vote = *lock(&self.0.vote);
        let voted = vote.filter(|vote| vote.leader_id.term == term);
        voted.map_or(0, |_| lock(&self.0.tail).held())
    }

    /// The vote on disk, and the last entry that was here, on its way or there.
    pub(crate) fn promise(&self) -> Promise {
        let term = lock(&self.0.vote).map_or(0, |vote| vote.leader_id.term);
        Promise::new(term, lock(&self.0.tail).last().max(self.0.retired))
    }

    /// Whether this shard never had a vote or an entry here.
    pub(crate) fn is_pristine(&self) -> bool {
        lock(&self.0.vote).is_none() && self.is_empty()
    }

    /// Whether it never had an entry, or what came of one.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0.tail).last().is_none()
    }

    /// Index of the last entry that is purged; 0: none.
    pub(crate) fn purged(&self) -> u64 {
        lock(&self.0.tail).purged().map_or(0, |purged| purged.index)
    }

    /// Returns when the entry at `index` is durable.
    pub(crate) async fn durable(&self, index: u64) -> io::Result<()> {
        let Some(number) = lock(&self.0.tail).awaits(index) else {
            return Ok(());
        };
        let mut durable = self.0.durable.subscribe();
        let reached = durable
            .wait_for(|durable| durable.as_ref().map_or(true, |durable| *durable >= number))
            .await
            .map_err(io::Error::other)?;
        match &*reached {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::other(error.clone())),
        }
    }

    /// Entries of `[from, to)`: at least one if there is one, and no more
    /// than `max_bytes` of them if there are several.
    fn read(&self, from: u64, to: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let to = match lock(&self.0.tail).read(from, to, max_bytes) {
            Found::Nothing => return Ok(Vec::new()),
            Found::Entries(entries) => return Ok(entries),
            Found::InStore(to) => to,
        };
        let (first, end) = keys::entries(self.0.shard, from, to);
        let pairs = self
            .0
            .store
            .scan(Table::Raft, &first, &end, SCAN, Direction::Forward)
            .map_err(io::Error::other)?;
        let mut entries = Vec::with_capacity(pairs.len());
        let mut bytes = 0;
        for (key, value) in pairs {
            let index = keys::parse(&key).map_err(io::Error::other)?.index;
            if index != from + entries.len() as u64 {
                return Err(damaged(format!(
                    "the log of shard {} goes from {} to {index}",
                    self.0.shard,
                    from + entries.len() as u64,
                )));
            }
            bytes += value.len();
            if !entries.is_empty() && bytes > max_bytes {
                break;
            }
            entries.push(decode_entry(index, value)?);
        }
        Ok(entries)
    }

    fn read_all(&self, mut from: u64, to: u64) -> io::Result<Vec<Entry>> {
        from = from.max(lock(&self.0.tail).first());
        let mut entries = Vec::new();
        while from < to {
            let page = self.read(from, to, usize::MAX)?;
            if page.is_empty() {
                break;
            }
            from += page.len() as u64;
            entries.extend(page);
        }
        Ok(entries)
    }

    /// Submits a change whose durability nobody waits for. A failure stops
    /// the store, so the next append or vote reports it.
    fn submit(&self, batch: Batch) {
        let shard = self.0.shard;
        let done = move |result: Result<(), StoreError>| {
            if let Err(error) = result {
                tracing::error!(%shard, %error, "a change of the raft log was not written");
            }
        };
        self.0.commit.submit(batch, Box::new(done));
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(&from) => from,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&to) => to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<Types> for ShardLog {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<Entry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(&range);
        self.read_all(from, to)
    }

    async fn entries_stream<R>(
        &mut self,
        range: R,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        // Page by page: a follower that catches up must not hold all it has
        // to apply in memory.
        let (from, to) = bounds(&range);
        let state = (self.clone(), from, Vec::new().into_iter());
        stream::unfold(state, move |(log, mut next, mut page)| async move {
            if let Some(entry) = page.next() {
                return Some((Ok(entry), (log, next, page)));
            }
            if next >= to {
                return None;
            }
            match log.read(next, to, log.0.append_bytes) {
                Ok(entries) => {
                    next += entries.len() as u64;
                    page = entries.into_iter();
                    let entry = page.next()?;
                    Some((Ok(entry), (log, next, page)))
                }
                Err(error) => Some((Err(error), (log, to, Vec::new().into_iter()))),
            }
        })
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(*lock(&self.0.vote))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, self.0.append_bytes)
    }
}

impl RaftLogStorage<Types> for ShardLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let tail = lock(&self.0.tail);
        Ok(LogState {
            last_purged_log_id: tail.purged(),
            last_log_id: tail.last(),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        without!(VoteOnDisk => {
            *lock(&self.0.vote) = Some(*vote);
            return Ok(());
        });
        let mut batch = Batch::new();
        batch.put(Table::Raft, keys::vote(self.0.shard), encode_record(vote)?);
        make_durable(&*self.0.commit, batch).await?;
        *lock(&self.0.vote) = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        // Written with the next append: it is worth a replay, not an fsync.
        lock(&self.0.tail).set_committed(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(lock(&self.0.tail).committed())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let mut batch = Batch::new();
        for entry in &entries {
            let key = keys::entry(self.0.shard, entry.log_id.index);
            batch.put(Table::Raft, key, encode_entry(entry)?);
        }
        let last = entries.last().map_or(0, |entry| entry.log_id.index);
        let number = {
            let mut tail = lock(&self.0.tail);
            if let Some(committed) = tail.take_committed() {
                let key = keys::committed(self.0.shard);
                batch.put(Table::Raft, key, encode_record(&committed)?);
            }
            tail.append(entries)
        };
        let log = Arc::clone(&self.0);
        without!(FsyncBeforeAck => {
            self.0.durable.send_modify(|last| *last = Ok(number));
            callback.io_completed(Ok(()));
            let written = move |result: Result<(), StoreError>| {
                if result.is_ok() {
                    lock(&log.tail).stored(number);
                }
            };
            self.0.commit.submit(batch, Box::new(written));
            return Ok(());
        });
        self.0.commit.submit(
            batch,
            Box::new(move |result| {
                if result.is_ok() {
                    let mut tail = lock(&log.tail);
                    tail.stored(number);
                    tail.hold(last);
                }
                let durable = result.clone().map(|()| number);
                log.durable.send_modify(|last| *last = durable);
                callback.io_completed(result.map_err(io::Error::other));
            }),
        );
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let (from, to) = keys::entries_from(self.0.shard, last.map_or(0, |last| last.index + 1));
        lock(&self.0.tail).truncate(last);
        let mut batch = Batch::new();
        batch.delete_range(Table::Raft, from, to);
        self.submit(batch);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let first = lock(&self.0.tail).purge(upto);
        let (from, to) = keys::entries(self.0.shard, first, upto.index + 1);
        let mut batch = Batch::new();
        batch.delete_range(Table::Raft, from, to);
        batch.put(
            Table::Raft,
            keys::purged(self.0.shard),
            encode_record(&upto)?,
        );
        self.submit(batch);
        Ok(())
    }
}
