//! openraft's state machine on a [`Machine`]: committed payloads are applied
//! in bounded batches, each written with the position it leads to.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use folkmoot_storage::{Batch, Commit, Read, Store};
use folkmoot_wire::{NodeId, ShardId};
use futures_util::{Stream, TryStreamExt};
use openraft::alias::SnapshotOf;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};

use crate::born;
use crate::codec::damaged;
use crate::install::{self, Marker};
use crate::log::ShardLog;
use crate::pages::to_wire;
use crate::port::Range;
use crate::stage::{Form, Staged};
use crate::types::{LogId, Outcome, Payload, SnapshotMeta, StoredMembership, Types};
use crate::{ConsensusError, Machine, MachineError, Position};

/// What a snapshot is made of.
pub(crate) enum SnapshotData {
    /// This replica's state at one moment.
    View {
        view: Arc<dyn Read>,
        ranges: Vec<Range>,
    },
    /// Another replica's, on this disk.
    Staged(Staged),
    /// Nothing: it only tells how far the log may be purged.
    Mark,
}

/// Whether the replica may no longer write. Held while it does: who closes it
/// knows that nothing is written behind.
pub(crate) type Gate = Arc<tokio::sync::Mutex<bool>>;

fn closed() -> io::Error {
    io::Error::other("the replica has stopped")
}

pub(crate) type Snapshot = SnapshotOf<Types, SnapshotData>;

/// Applies a shard's log.
pub(crate) struct Applier {
    shard: ShardId,
    log: ShardLog,
    store: Arc<dyn Store>,
    commit: Arc<dyn Commit>,
    /// Used by one task; the lock makes it `Sync`, as openraft wants it.
    machine: Mutex<Box<dyn Machine>>,
    applied: SnapshotMeta,
    max_bytes: usize,
    gate: Gate,
}

/// Applied, and not yet written.
#[derive(Default)]
struct Unwritten {
    batch: Batch,
    applied: Option<LogId>,
    membership: Option<StoredMembership>,
    answers: Vec<(ApplyResponder<Types>, Bytes)>,
}

impl Applier {
    /// Opens the state as the store has it, after finishing an interrupted
    /// installation.
    pub(crate) async fn open(
        shard: ShardId,
        log: ShardLog,
        store: Arc<dyn Store>,
        commit: Arc<dyn Commit>,
        mut machine: Box<dyn Machine>,
        max_bytes: usize,
    ) -> Result<Self, ConsensusError> {
        let broken = |error: io::Error| ConsensusError::Damaged(error.to_string());
        if let Some(marker) = install::read_marker(shard, &*store).map_err(broken)? {
            tracing::info!(%shard, "finishing the installation of a snapshot");
            install::finish(shard, &marker, &*store)
                .await
                .map_err(broken)?;
            machine.restored()?;
        } else {
            let mut batch = Batch::new();
            install::clear_stage(shard, &mut batch);
            store.write(batch)?;
        }
        let applied = install::read_applied(shard, &*store).map_err(broken)?;
        Ok(Self {
            shard,
            log,
            store,
            commit,
            machine: Mutex::new(machine),
            applied: applied.unwrap_or_default(),
            max_bytes,
            gate: Gate::default(),
        })
    }

    pub(crate) fn gate(&self) -> Gate {
        Arc::clone(&self.gate)
    }

    /// Whether nothing was ever applied here.
    pub(crate) fn is_pristine(&self) -> bool {
        self.applied.last_log_id.is_none()
    }

    fn machine(&mut self) -> &mut dyn Machine {
        &mut **self
            .machine
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the machine. A panic stops the shard as an error does, instead
    /// of leaving its proposers waiting for ever.
    fn guarded<T>(
        &mut self,
        call: impl FnOnce(&mut dyn Machine) -> Result<T, MachineError>,
    ) -> io::Result<T> {
        let machine = self.machine();
        catch_unwind(AssertUnwindSafe(|| call(machine)))
            .unwrap_or_else(|_| Err(MachineError::new("it panicked")))
            .map_err(io::Error::other)
    }

    async fn write(&mut self, unwritten: &mut Unwritten) -> io::Result<()> {
        let Unwritten {
            mut batch,
            applied,
            membership,
            answers,
        } = std::mem::take(unwritten);
        let Some(last) = applied else {
            return Ok(());
        };
        // The engine applies what a quorum holds, also when this replica's own
        // append is still on its way. A crash must not keep effects and lose
        // their entries: the log could then end with others in their place.
        self.log.durable(last.index).await?;
        let room = self.machine().room();
        room.await;
        let gate = Arc::clone(&self.gate).lock_owned().await;
        if *gate {
            return Err(closed());
        }
        self.applied.last_log_id = applied;
        if let Some(membership) = membership {
            self.applied.last_membership = membership;
        }
        install::put_applied(self.shard, &self.applied, &mut batch)?;
        // Not synced: what is lost is applied again from the log.
        self.store.write(batch).map_err(io::Error::other)?;
        drop(gate);
        self.guarded(|machine| {
            machine.applied();
            Ok(())
        })?;
        for (responder, outcome) in answers {
            responder.send(Outcome(outcome));
        }
        Ok(())
    }

    /// What is to be done for a snapshot to be the state here.
    async fn marker(&mut self, meta: &SnapshotMeta, staged: &mut Staged) -> io::Result<Marker> {
        // What is here and not there has to go as well.
        let own = self.machine().ranges();
        let (ranges, parts) = match &mut staged.form {
            Form::Pages { ranges, parts } => {
                let all = ranges.iter().cloned().chain(to_wire(&own));
                (all.collect(), *parts)
            }
            Form::Manifest(compared) => {
                let (store, applied) = (Arc::clone(&self.store), self.applied.last_log_id);
                let page_bytes = self.max_bytes;
                compared
                    .put_back(self.shard, &*store, applied.as_ref(), page_bytes)
                    .await?;
                (to_wire(&compared.beside(own)), compared.staged)
            }
        };
        Ok(Marker {
            meta: meta.clone(),
            ranges,
            parts,
        })
    }

    fn view(&mut self) -> Option<(SnapshotMeta, SnapshotData)> {
        self.applied.last_log_id?;
        let view = self.store.snapshot();
        let ranges = self.machine().ranges();
        Some((self.applied.clone(), SnapshotData::View { view, ranges }))
    }
}

impl RaftStateMachine<Types> for Applier {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let applied = &self.applied;
        Ok((applied.last_log_id, applied.last_membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut unwritten = Unwritten::default();
        while let Some((entry, responder)) = entries.try_next().await? {
            let outcome = match entry.payload {
                Payload::Blank => Bytes::new(),
                Payload::Normal(command) => {
                    let at = Position {
                        index: entry.log_id.index,
                        term: *entry.log_id.leader_id,
                        leader: NodeId(command.proposer),
                    };
                    let batch = &mut unwritten.batch;
                    let outcome =
                        self.guarded(|machine| machine.apply(at, &command.data, batch))?;
                    if let Some(child) = self.machine().take_child() {
                        let now = unwritten.membership.as_ref();
                        let voters = now.unwrap_or(&self.applied.last_membership).clone();
                        born::begin(child, at.index, voters, &*self.store, batch)?;
                    }
                    outcome
                }
                Payload::Membership(membership) => {
                    let stored = StoredMembership::new(Some(entry.log_id), membership);
                    unwritten.membership = Some(stored);
                    Bytes::new()
                }
            };
            unwritten.applied = Some(entry.log_id);
            if let Some(responder) = responder {
                unwritten.answers.push((responder, outcome));
            }
            if unwritten.batch.len_bytes() >= self.max_bytes {
                self.write(&mut unwritten).await?;
            }
        }
        self.write(&mut unwritten).await
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder(self.applied.clone())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        let SnapshotData::Staged(mut staged) = snapshot else {
            return Err(damaged("only a received snapshot can be installed"));
        };
        let gate = Arc::clone(&self.gate).lock_owned().await;
        if *gate {
            return Err(closed());
        }
        let marker = self.marker(meta, &mut staged).await?;
        self.machine().replacing();
        install::begin(self.shard, &marker, &*self.commit).await?;
        install::finish(self.shard, &marker, &*self.store).await?;
        drop(gate);
        staged.is_installed();
        let room = self.machine().room();
        room.await;
        self.applied = marker.meta;
        self.guarded(|machine| machine.restored())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        Ok(self
            .view()
            .map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Marks how far the log may be purged: the state itself is on disk already,
/// and a snapshot to send is read when it is sent.
pub(crate) struct Builder(SnapshotMeta);

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        Ok(Snapshot {
            meta: self.0.clone(),
            snapshot: SnapshotData::Mark,
        })
    }
}
