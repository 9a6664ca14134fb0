//! Receives a snapshot and keeps what comes on disk until it is installed. One
//! transfer at a time; a newer one takes the place of an unfinished one.
//!
//! It comes by manifest: first is said of what chunks it consists, then those
//! come that are not here. Nodes of earlier versions send all of it, in pages.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Batch, Store, Table};
use folkmoot_wire::{NodeId, ShardId};
use tokio::sync::Mutex;

use crate::codec::damaged;
use crate::compare::Compared;
use crate::install::clear_stage;
use crate::manifest::{Lacks, ManifestPart, Step};
use crate::overlay::Overlay;
use crate::pages;
use crate::port::{Inspector, Whose};
use crate::tally::{Tally, add};
use crate::types::SnapshotMeta;
use crate::wire::{PartHeader, WireRange};

/// What of a snapshot came.
pub(crate) enum Form {
    /// All of it, in so many pages.
    Pages { ranges: Vec<WireRange>, parts: u64 },
    /// What was not here.
    Manifest(Box<Compared>),
}

struct Receiving {
    /// Which one it is of all that began here.
    begun: u64,
    from: NodeId,
    transfer: u64,
    term: u64,
    /// Number of the message that is due.
    next: u64,
    form: Form,
}

/// The place for a snapshot of one shard.
pub(crate) struct Stage {
    shard: ShardId,
    store: Arc<dyn Store>,
    inspector: Arc<dyn Inspector>,
    pub(crate) tally: Arc<Tally>,
    /// A transfer of which nothing comes for so long is given up: it keeps a
    /// view of the store.
    patience: Duration,
    receiving: Mutex<Option<Receiving>>,
    /// Transfers that began.
    begun: AtomicU64,
    /// What is here belongs to a [`Staged`].
    taken: AtomicBool,
}

/// A snapshot that is all here. Its drop frees the place.
pub(crate) struct Staged {
    stage: Arc<Stage>,
    pub(crate) form: Form,
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.stage.taken.store(false, Ordering::Release);
    }
}

impl Staged {
    /// It was installed.
    pub(crate) fn is_installed(&self) {
        let tally = &self.stage.tally;
        add(&tally.installed, 1);
        let shard = self.stage.shard;
        match &self.form {
            Form::Manifest(compared) => {
                let (came, all) = (compared.came, compared.all);
                add(&tally.bytes_spared, all.bytes.saturating_sub(came.bytes));
                tracing::info!(
                    %shard, chunks = came.chunks, of_chunks = all.chunks,
                    bytes = came.bytes, of_bytes = all.bytes,
                    "a snapshot was installed: what differed here was replaced"
                );
            }
            Form::Pages { parts, .. } => {
                tracing::info!(%shard, parts, "a snapshot was installed, all of it");
            }
        }
    }
}

impl Stage {
    pub(crate) fn new(
        shard: ShardId,
        store: Arc<dyn Store>,
        inspector: Arc<dyn Inspector>,
        tally: Arc<Tally>,
        patience: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            shard,
            store,
            inspector,
            tally,
            patience,
            receiving: Mutex::default(),
            begun: AtomicU64::new(0),
            taken: AtomicBool::new(false),
        })
    }

    /// Takes one page of a whole snapshot. Returns it when it was the last one.
    /// A page that comes twice is taken once.
    pub(crate) async fn page(
        self: &Arc<Self>,
        from: NodeId,
        header: &PartHeader,
        page: Bytes,
    ) -> io::Result<Option<Staged>> {
        let mut receiving = self.receiving.lock().await;
        if header.number == 0 {
            pages::delete(&header.ranges, &mut Batch::new())?;
            let form = Form::Pages {
                ranges: header.ranges.clone(),
                parts: 0,
            };
            let term = header.vote.leader_id.term;
            self.begin(&mut receiving, (from, term, header.transfer), form)?;
        }
        let now = current(&mut receiving, from, header.transfer)?;
        let Form::Pages { parts, .. } = &mut now.form else {
            return Err(refuse("it began with a manifest: begin anew"));
        };
        if header.number > now.next {
            return Err(refuse("not the next part of the snapshot: begin anew"));
        }
        if header.number < now.next {
            return Ok(None);
        }
        pages::check(&page)?;
        add(&self.tally.bytes_received, page.len() as u64);
        let mut batch = Batch::new();
        let key = keys::key(self.shard, keys::Kind::Stage, header.number);
        batch.put(Table::Raft, key, page);
        self.store.write(batch).map_err(io::Error::other)?;
        (*parts, now.next) = (*parts + 1, now.next + 1);
        Ok(header.last.then(|| self.staged(&mut receiving)).flatten())
    }

    /// Takes a part of a manifest, and says what of it is not here.
    pub(crate) async fn manifest(
        self: &Arc<Self>,
        from: NodeId,
        part: ManifestPart,
    ) -> io::Result<Lacks> {
        let (mut receiving, step) = (self.receiving.lock().await, part.step);
        if let Some(begin) = part.begin.filter(|_| step.number == 0) {
            let (shard, last) = (self.shard, begin.meta.last_log_id);
            let compared = Compared::begin(shard, &*self.store, begin)?;
            let form = Form::Manifest(Box::new(compared));
            let term = step.vote.leader_id.term;
            self.begin(&mut receiving, (from, term, step.transfer), form)?;
            let upto = last.map_or(0, |last| last.index);
            tracing::info!(%shard, %from, upto, "a snapshot comes: the log reaches not as far back");
        }
        let (next, compared) = due(&mut receiving, from, &step)?;
        let lacks = compared.part(part.chunks).await?;
        *next += 1;
        Ok(lacks)
    }

    /// Takes chunks that were not here.
    pub(crate) async fn chunks(
        &self,
        from: NodeId,
        step: &Step,
        chunks: Vec<(u32, Bytes)>,
    ) -> io::Result<()> {
        let mut receiving = self.receiving.lock().await;
        let (next, compared) = due(&mut receiving, from, step)?;
        let before = compared.came.bytes;
        let taken = compared.take(self.shard, &*self.store, chunks);
        if let Err(error) = taken {
            self.give_up(&mut receiving, &error)?;
            return Err(error);
        }
        add(&self.tally.bytes_received, compared.came.bytes - before);
        *next += 1;
        Ok(())
    }

    /// Everything was sent. What came is looked at, as what it would be
    /// together with what was here, and is given out if it holds.
    pub(crate) async fn whole(
        self: &Arc<Self>,
        from: NodeId,
        step: &Step,
    ) -> io::Result<(SnapshotMeta, Staged)> {
        let mut receiving = self.receiving.lock().await;
        let (_, compared) = due(&mut receiving, from, step)?;
        compared.check_whole()?;
        let meta = compared.meta.clone();
        if let Err(error) = self.inspect(compared).await {
            self.give_up(&mut receiving, &error)?;
            return Err(error);
        }
        let staged = self.staged(&mut receiving);
        let staged = staged.ok_or_else(|| refuse("no such transfer of a snapshot"))?;
        Ok((meta, staged))
    }

    async fn inspect(&self, compared: &Compared) -> io::Result<()> {
        let (view, store) = (Arc::clone(&compared.view), Arc::clone(&self.store));
        let state = Overlay::new(self.shard, view, store, Arc::clone(&compared.fetched));
        for range in compared.fetched.ranges() {
            let sound = self.inspector.inspect(&state, &range, Whose::Sent);
            sound.map_err(|unsound| damaged(unsound.to_string()))?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// What came is not to be installed.
    fn give_up(&self, receiving: &mut Option<Receiving>, error: &io::Error) -> io::Result<()> {
        *receiving = None;
        if error.kind() == io::ErrorKind::InvalidData {
            add(&self.tally.refused, 1);
            tracing::error!(
                shard = %self.shard, %error,
                "a snapshot does not hold and is not installed: a disk or memory changed it, of its sender or on the way. It is tried again"
            );
        }
        self.clear()
    }

    fn clear(&self) -> io::Result<()> {
        let mut batch = Batch::new();
        clear_stage(self.shard, &mut batch);
        self.store.write(batch).map_err(io::Error::other)
    }

    fn begin(
        self: &Arc<Self>,
        receiving: &mut Option<Receiving>,
        (from, term, transfer): (NodeId, u64, u64),
        form: Form,
    ) -> io::Result<()> {
        if self.taken.load(Ordering::Acquire) {
            return Err(refuse("a snapshot is being installed"));
        }
        if receiving.as_ref().is_some_and(|now| now.term > term) {
            return Err(refuse("a newer leader sends a snapshot"));
        }
        self.clear()?;
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        *receiving = Some(Receiving {
            begun,
            from,
            transfer,
            term,
            next: 0,
            form,
        });
        tokio::spawn(forget_idle(Arc::downgrade(self), begun, self.patience));
        Ok(())
    }

    fn staged(self: &Arc<Self>, receiving: &mut Option<Receiving>) -> Option<Staged> {
        let form = receiving.take()?.form;
        self.taken.store(true, Ordering::Release);
        Some(Staged {
            stage: Arc::clone(self),
            form,
        })
    }
}

/// Forgets a transfer of which nothing comes any more. What of it is on disk
/// goes before the next one begins.
async fn forget_idle(stage: Weak<Stage>, begun: u64, patience: Duration) {
    let mut heard = 0;
    loop {
        tokio::time::sleep(patience).await;
        let Some(stage) = stage.upgrade() else {
            return;
        };
        let mut receiving = stage.receiving.lock().await;
        match &*receiving {
            Some(now) if now.begun == begun && now.next > heard => heard = now.next,
            Some(now) if now.begun == begun => {
                *receiving = None;
                return;
            }
            _ => return,
        }
    }
}

fn current(
    receiving: &mut Option<Receiving>,
    from: NodeId,
    transfer: u64,
) -> io::Result<&mut Receiving> {
    receiving
        .as_mut()
        .filter(|now| (now.from, now.transfer) == (from, transfer))
        .ok_or_else(|| refuse("no such transfer of a snapshot: begin anew"))
}

fn due<'a>(
    receiving: &'a mut Option<Receiving>,
    from: NodeId,
    step: &Step,
) -> io::Result<(&'a mut u64, &'a mut Compared)> {
    let now = current(receiving, from, step.transfer)?;
    if now.next != step.number {
        return Err(refuse("not the next message of the snapshot: begin anew"));
    }
    match &mut now.form {
        Form::Manifest(compared) => Ok((&mut now.next, compared)),
        Form::Pages { .. } => Err(refuse("it began without a manifest: begin anew")),
    }
}

fn refuse(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, why)
}
