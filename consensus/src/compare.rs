//! A snapshot that comes by manifest: what of it is here, and what came.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Batch, Read, Store, Table};
use folkmoot_wire::ShardId;

use crate::codec::damaged;
use crate::cut::{Chunk, Walk, sum};
use crate::install::read_applied;
use crate::manifest::{Begin, Cover, Lacks, WireChunk};
use crate::overlay::Fetched;
use crate::pages;
use crate::port::Range;
use crate::types::{LogId, SnapshotMeta};

/// Bytes and chunks, of a snapshot or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amount {
    pub(crate) chunks: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.chunks += 1;
        self.bytes += bytes;
    }
}

/// Compared with what is here, chunk by chunk.
///
/// This replica may go on to apply what it has while chunks come. So all are
/// compared with one view, which is kept: what of it was not to come is in it,
/// whatever becomes of the store ([`Compared::put_back`]).
pub(crate) struct Compared {
    pub(crate) meta: SnapshotMeta,
    pub(crate) view: Arc<dyn Read>,
    /// What was applied in the view.
    applied: Option<LogId>,
    ranges: Vec<Range>,
    cover: Cover,
    /// Of the last part of the manifest, and not here yet.
    lacking: BTreeMap<u32, Chunk>,
    pub(crate) fetched: Arc<Fetched>,
    /// What was here, joined where one chunk follows the other.
    kept: Vec<Range>,
    /// Chunks on disk.
    pub(crate) staged: u64,
    pub(crate) all: Amount,
    pub(crate) came: Amount,
}

impl Compared {
    pub(crate) fn begin(shard: ShardId, store: &dyn Store, begin: Begin) -> io::Result<Self> {
        pages::check_ranges(&begin.ranges)?;
        let view = store.snapshot();
        let applied = read_applied(shard, &*view)?;
        let ranges = begin.ranges.iter().cloned().map(pages::range_of);
        Ok(Self {
            meta: begin.meta,
            applied: applied.and_then(|applied| applied.last_log_id),
            view,
            ranges: ranges.collect::<io::Result<_>>()?,
            cover: Cover::new(begin.ranges)?,
            lacking: BTreeMap::new(),
            fetched: Arc::default(),
            kept: Vec::new(),
            staged: 0,
            all: Amount::default(),
            came: Amount::default(),
        })
    }

    /// Compares the chunks of one part of the manifest.
    pub(crate) async fn part(&mut self, chunks: Vec<WireChunk>) -> io::Result<Lacks> {
        if !self.lacking.is_empty() {
            return Err(damaged("chunks of the part before it have not come"));
        }
        let mut lacks = Lacks::new(chunks.len());
        for (number, chunk) in (0..).zip(chunks) {
            let chunk = self.cover.chunk(chunk)?;
            self.all.add(chunk.sum.bytes);
            if sum(&*self.view, &chunk.range)? == chunk.sum {
                self.keep(chunk.range);
            } else {
                lacks.set(number as usize);
                self.lacking.insert(number, chunk);
            }
            // Much may have to be read, and this thread has other tasks.
            tokio::task::yield_now().await;
        }
        Ok(lacks)
    }

    fn keep(&mut self, range: Range) {
        match self.kept.last_mut() {
            Some((table, _, to)) if *table == range.0 && *to == range.1 => *to = range.2,
            _ => self.kept.push(range),
        }
    }

    /// Puts chunks that came on disk, if they are what the manifest says.
    pub(crate) fn take(
        &mut self,
        shard: ShardId,
        store: &dyn Store,
        chunks: Vec<(u32, Bytes)>,
    ) -> io::Result<()> {
        let mut batch = Batch::new();
        for (number, page) in chunks {
            let chunk = self.lacking.remove(&number);
            let chunk = chunk.ok_or_else(|| damaged(format!("nobody lacks chunk {number}")))?;
            pages::check_chunk(&page, &chunk)?;
            let key = keys::key(shard, keys::Kind::Stage, self.staged);
            batch.put(Table::Raft, key, pages::to_stage(&chunk.range, &page)?);
            self.came.add(page.len() as u64);
            Arc::make_mut(&mut self.fetched).insert(chunk.range, self.staged);
            self.staged += 1;
        }
        store.write(batch).map_err(io::Error::other)
    }

    /// Whether everything is here.
    pub(crate) fn check_whole(&self) -> io::Result<()> {
        if self.lacking.is_empty() && self.cover.is_done() {
            return Ok(());
        }
        Err(damaged("the snapshot is to be installed and not all here"))
    }

    /// What of `own` ranges the snapshot does not speak of.
    pub(crate) fn beside(&self, own: Vec<Range>) -> Vec<Range> {
        pages::outside(own, &self.ranges)
    }

    /// Adds to what is on disk all that was here when it was compared and is
    /// another now: `applied` was applied since. Call it when nothing more can
    /// be.
    pub(crate) async fn put_back(
        &mut self,
        shard: ShardId,
        store: &dyn Store,
        applied: Option<&LogId>,
        page_bytes: usize,
    ) -> io::Result<()> {
        if self.applied.as_ref() == applied {
            return Ok(());
        }
        for range in std::mem::take(&mut self.kept) {
            let mut from = range.1.clone();
            while from < range.2 {
                let to = self.page_end((range.0, from.clone(), range.2.clone()), page_bytes)?;
                let piece = (range.0, from, to.clone());
                if sum(store, &piece)? != sum(&*self.view, &piece)? {
                    let page = pages::read(&*self.view, &piece)?;
                    let mut batch = Batch::new();
                    let key = keys::key(shard, keys::Kind::Stage, self.staged);
                    batch.put(Table::Raft, key, pages::to_stage(&piece, &page)?);
                    store.write(batch).map_err(io::Error::other)?;
                    self.staged += 1;
                }
                from = to;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Where about `bytes` of the view are full.
    fn page_end(&self, range: Range, bytes: usize) -> io::Result<Bytes> {
        let (mut walk, mut read) = (Walk::new(&*self.view, &range), 0);
        while let Some((key, value)) = walk.next()? {
            if read >= bytes {
                return Ok(key);
            }
            read += pages::pair_len(&key, &value);
        }
        Ok(range.2)
    }
}
