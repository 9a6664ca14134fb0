//! Receives the parts of a snapshot and keeps them on disk until they are
//! installed. One transfer at a time; a newer one takes the place of an
//! unfinished one.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Batch, Store, Table};
use folkmoot_wire::{NodeId, ShardId};

use crate::install::clear_stage;
use crate::pages;
use crate::wire::{PartHeader, WireRange};

enum State {
    Idle,
    Receiving {
        from: NodeId,
        transfer: u64,
        term: u64,
        next: u64,
        ranges: Vec<WireRange>,
    },
    /// The parts are complete and belong to a [`Staged`].
    Taken,
}

/// The place for parts of one shard.
pub(crate) struct Stage {
    shard: ShardId,
    store: Arc<dyn Store>,
    state: Mutex<State>,
}

/// A snapshot whose parts are all on disk. Its drop frees the place.
pub(crate) struct Staged {
    stage: Arc<Stage>,
    pub(crate) ranges: Vec<WireRange>,
    pub(crate) parts: u64,
}

impl Drop for Staged {
    fn drop(&mut self) {
        *self.stage.state() = State::Idle;
    }
}

impl Stage {
    pub(crate) fn new(shard: ShardId, store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            shard,
            store,
            state: Mutex::new(State::Idle),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one part. Returns the whole when it was the last one. A part
    /// that comes twice is taken once.
    pub(crate) fn take(
        self: &Arc<Self>,
        from: NodeId,
        header: &PartHeader,
        page: Bytes,
    ) -> io::Result<Option<Staged>> {
        let mut state = self.state();
        let sent_term = header.vote.leader_id.term;
        if header.number == 0 {
            match &*state {
                State::Taken => return Err(refuse("a snapshot is being installed")),
                State::Receiving { term, .. } if *term > sent_term => {
                    return Err(refuse("a newer leader sends a snapshot"));
                }
                _ => {}
            }
            let mut batch = Batch::new();
            pages::delete(&header.ranges, &mut Batch::new())?;
            clear_stage(self.shard, &mut batch);
            self.store.write(batch).map_err(io::Error::other)?;
            *state = State::Receiving {
                from,
                transfer: header.transfer,
                term: sent_term,
                next: 0,
                ranges: header.ranges.clone(),
            };
        }
        let State::Receiving {
            from: sender,
            transfer,
            next,
            ranges,
            ..
        } = &mut *state
        else {
            return Err(refuse("no such transfer of a snapshot: begin anew"));
        };
        if (*sender, *transfer) != (from, header.transfer) || header.number > *next {
            return Err(refuse("not the next part of the snapshot: begin anew"));
        }
        if header.number < *next {
            return Ok(None);
        }
        pages::check(&page)?;
        let mut batch = Batch::new();
        let key = keys::key(self.shard, keys::Kind::Stage, header.number);
        batch.put(Table::Raft, key, page);
        self.store.write(batch).map_err(io::Error::other)?;
        *next += 1;
        if !header.last {
            return Ok(None);
        }
        let staged = Staged {
            stage: Arc::clone(self),
            ranges: std::mem::take(ranges),
            parts: *next,
        };
        *state = State::Taken;
        Ok(Some(staged))
    }
}

fn refuse(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, why)
}
