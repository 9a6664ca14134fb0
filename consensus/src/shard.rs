//! One replica of one shard.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_storage::{Commit, Store};
use folkmoot_wire::{NodeId, ShardId, proto};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{
    ClientWriteError, Fatal, ForwardToLeader, InitializeError, LinearizableReadError, RaftError,
};
use openraft::{Raft, ReadPolicy};
use tokio::sync::{Semaphore, watch};

use crate::applier::{Applier, Gate};
use crate::inbound::Inbound;
use crate::log::ShardLog;
use crate::network::Network;
use crate::report::{report, status_of};
use crate::stage::Stage;
use crate::tally::Tally;
use crate::types::{Command, Runtime, Types};
use crate::{
    ConsensusError, Machine, Promise, ProposeError, Proposed, RaftLink, RaftOptions, Sequencer,
    Snapshots, Status,
};

/// One replica of one shard, on openraft.
pub struct RaftShard {
    shard: ShardId,
    me: NodeId,
    pub(crate) raft: Raft<Types, Applier>,
    pub(crate) inbound: Inbound,
    tally: Arc<Tally>,
    status: watch::Receiver<Status>,
    failed: watch::Receiver<Option<String>>,
    stopped: AtomicBool,
    gate: Gate,
    waiting: Arc<Semaphore>,
    waiting_bytes: Arc<Semaphore>,
    max_payload: usize,
    election_max: Duration,
}

impl RaftShard {
    /// Starts a replica: founds the group with `voters` when the store has
    /// nothing of this shard, this node is among them and the options allow
    /// it; waits to be added by the group's leader when there is nothing and
    /// it is not; else goes on where the store ends.
    ///
    /// # Errors
    /// When the options contradict each other or the store cannot be read.
    #[allow(clippy::too_many_arguments)]
    pub async fn start(
        shard: ShardId,
        me: NodeId,
        voters: &[NodeId],
        store: Arc<dyn Store>,
        commit: Arc<dyn Commit>,
        machine: Box<dyn Machine>,
        link: Arc<dyn RaftLink>,
        options: RaftOptions,
    ) -> Result<Arc<Self>, ConsensusError> {
        let log = ShardLog::open(shard, Arc::clone(&store), Arc::clone(&commit), &options)?;
        let config = options.config(!log.lacks_retired())?;
        let (inspector, tally) = (machine.inspector(), Arc::new(Tally::default()));
        let stage = Stage::new(
            shard,
            Arc::clone(&store),
            Arc::clone(&inspector),
            Arc::clone(&tally),
            options.install_deadline,
        );
        let applier = Applier::open(
            shard,
            log.clone(),
            store,
            commit,
            machine,
            options.apply_bytes,
        )
        .await?;
        let pristine = log.is_pristine() && applier.is_pristine();
        let (kept, gate) = (log.clone(), applier.gate());
        let network = Network::new(
            shard,
            me,
            Arc::clone(&link),
            log.clone(),
            inspector,
            Arc::clone(&tally),
            &options,
        );
        // Every node and shard draws its own election timeouts, the same ones
        // in every run with the same seed.
        let seed = options.seed ^ (u64::from(me.0) << 32) ^ u64::from(shard.0);
        let raft = Runtime::scope(seed, Raft::new(me.0, config, network, log, applier))
            .await
            .map_err(|error| ConsensusError::Engine(error.to_string()))?;

        // The engine answers after it has loaded its state and told of it: from
        // here on the status is that of the store.
        let loaded = raft.with_raft_state(|_| ()).await;
        loaded.map_err(|error| ConsensusError::Engine(error.to_string()))?;

        let now = status_of(shard, &raft, options.election_max);
        let (status_tx, status) = watch::channel(now);
        let (failed_tx, failed) = watch::channel(None);
        tokio::spawn(report(
            shard,
            raft.clone(),
            kept.clone(),
            options.clone(),
            status_tx,
            failed_tx,
        ));
        let this = Arc::new(Self {
            shard,
            me,
            inbound: Inbound::new(
                shard,
                raft.clone(),
                stage,
                kept,
                link,
                options.snapshot_first,
            ),
            tally,
            raft,
            status,
            failed,
            stopped: AtomicBool::new(false),
            gate,
            waiting: Arc::new(Semaphore::new(options.max_inflight)),
            waiting_bytes: Arc::new(Semaphore::new(options.max_inflight_bytes)),
            max_payload: options.max_payload,
            election_max: options.election_max,
        });
        if pristine && options.bootstrap && voters.contains(&me) {
            this.found(voters).await?;
        } else if !pristine {
            this.stand_alone().await?;
        }
        Ok(this)
    }

    async fn found(&self, voters: &[NodeId]) -> Result<(), ConsensusError> {
        let voters: BTreeSet<u32> = voters.iter().map(|node| node.0).collect();
        match self.raft.initialize(voters).await {
            // Another voter was faster, and its first message is here already.
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(ConsensusError::Engine(error.to_string())),
        }
    }

    /// A single voter has nobody to wait for: it leads again at once.
    async fn stand_alone(&self) -> Result<(), ConsensusError> {
        let metrics = self.raft.metrics();
        let alone = {
            let metrics = metrics.borrow_watched();
            let mut voters = metrics.membership_config.voter_ids();
            voters.next() == Some(self.me.0) && voters.next().is_none()
        };
        // It may be the voters of long ago, from a log that is still coming.
        let alone = alone && !self.inbound.log.lacks_retired();
        if alone {
            let elect = self.raft.trigger().elect(false).await;
            elect.map_err(|error| ConsensusError::Engine(error.to_string()))?;
        }
        Ok(())
    }

    /// Stands for election now, unless there is a leader: it is known that the
    /// others have just begun too.
    ///
    /// # Errors
    /// As for [`Sequencer::propose`].
    pub async fn stand(&self) -> Result<(), ProposeError> {
        self.check_running()?;
        if self.inbound.log.lacks_retired() {
            return Ok(()); // it would win without what it promised
        }
        let asked = self.raft.trigger().elect(true).await;
        asked.map_err(|fatal| self.fatal(&fatal))
    }

    /// Set, with the cause, when the replica stopped after a fault.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    /// How long a leader that no quorum answers counts as leading, and the
    /// longest election timeout.
    pub fn lease(&self) -> Duration {
        self.election_max
    }

    /// What this replica must not go back behind, on disk or on its way there.
    pub fn promise(&self) -> Promise {
        let told = self.inbound.log.promise();
        // One of the two may be ahead: what is decided, or what is on disk.
        let term = self.raft.metrics().borrow_watched().current_term;
        Promise {
            term: term.max(told.term),
            ..told
        }
    }

    /// The last entry that was here once and is not here again yet. Until it
    /// is, this replica neither stands for election nor helps a shorter log.
    pub fn lacks(&self) -> Option<u64> {
        let log = &self.inbound.log;
        let lacks = log.lacks_retired();
        lacks.then(|| log.promise().last.index)
    }

    /// Snapshots sent and received here since the start.
    pub fn snapshots(&self) -> Snapshots {
        self.tally.read()
    }

    /// Appends of older terms that were refused here since the start.
    pub fn stale_appends(&self) -> u64 {
        self.inbound.stale()
    }

    pub(crate) fn check_running(&self) -> Result<(), ProposeError> {
        if let Some(cause) = self.failed.borrow().clone() {
            return Err(ProposeError::Failed(cause));
        }
        if self.stopped.load(Ordering::Acquire) {
            return Err(ProposeError::Stopped);
        }
        Ok(())
    }

    fn not_leader(&self, forward: &ForwardToLeader<Types>) -> ProposeError {
        let leader = forward
            .leader_id
            .map(NodeId)
            .filter(|node| *node != self.me);
        ProposeError::NotLeader {
            leader,
            term: self.status().term,
        }
    }

    pub(crate) fn fatal(&self, fatal: &Fatal<Types>) -> ProposeError {
        match fatal {
            Fatal::Stopped => match self.failed.borrow().clone() {
                Some(cause) => ProposeError::Failed(cause),
                None => ProposeError::Stopped,
            },
            fault => ProposeError::Failed(fault.to_string()),
        }
    }

    pub(crate) fn write_error(
        &self,
        error: RaftError<Types, ClientWriteError<Types>>,
    ) -> ProposeError {
        match error {
            RaftError::Fatal(fatal) => self.fatal(&fatal),
            RaftError::APIError(
                ClientWriteError::ForwardToLeader(forward)
                | ClientWriteError::LogEntryDiscarded(forward),
            ) => self.not_leader(&forward),
            RaftError::APIError(other) => ProposeError::Refused(other.to_string()),
        }
    }
}

#[async_trait]
impl Sequencer for RaftShard {
    async fn propose(&self, payload: Bytes) -> Result<Proposed, ProposeError> {
        self.check_running()?;
        if payload.len() > self.max_payload {
            return Err(ProposeError::Refused(format!(
                "a payload of {} bytes is larger than {}",
                payload.len(),
                self.max_payload
            )));
        }
        let busy = |_| ProposeError::Busy;
        let place = Arc::clone(&self.waiting)
            .try_acquire_owned()
            .map_err(busy)?;
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.waiting_bytes)
            .try_acquire_many_owned(bytes)
            .map_err(busy)?;
        let command = Command {
            proposer: self.me.0,
            data: payload,
        };
        let raft = self.raft.clone();
        // In a task of its own: a caller that gives up leaves its payload in
        // the log, where it takes its place until it is settled.
        let write = tokio::spawn(async move {
            let written = raft.client_write(command).await;
            drop((place, room));
            written
        });
        match write.await {
            Ok(Ok(written)) => Ok(Proposed {
                index: written.log_id.index,
                term: *written.log_id.leader_id,
                outcome: written.data.0,
            }),
            Ok(Err(error)) => Err(self.write_error(error)),
            Err(_) => Err(ProposeError::Stopped),
        }
    }

    fn status(&self) -> Status {
        status_of(self.shard, &self.raft, self.election_max)
    }

    fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    async fn handle(&self, from: NodeId, message: proto::RaftMessage) -> proto::RaftMessage {
        self.inbound.handle(from, message).await
    }

    async fn linearizable(&self) -> Result<u64, ProposeError> {
        self.check_running()?;
        match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(read) => Ok(read.log_id().index),
            Err(RaftError::Fatal(fatal)) => Err(self.fatal(&fatal)),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(self.not_leader(&forward))
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                Err(self.not_leader(&ForwardToLeader::empty()))
            }
        }
    }

    async fn transfer(&self, to: NodeId) -> Result<(), ProposeError> {
        self.check_running()?;
        let status = self.status();
        if !status.is_leader {
            return Err(ProposeError::NotLeader {
                leader: status.leader.filter(|node| *node != self.me),
                term: status.term,
            });
        }
        if to == self.me {
            return Ok(());
        }
        if !status.voters.contains(&to) {
            return Err(ProposeError::Refused(format!("node {to} is not a voter")));
        }
        let asked = self.raft.trigger().transfer_leader(to.0).await;
        asked.map_err(|fatal| self.fatal(&fatal))?;
        let mut watch = self.status.clone();
        let me = self.me;
        let handed_over = watch.wait_for(|now| {
            now.term > status.term && now.leader.is_some_and(|leader| leader != me)
        });
        match tokio::time::timeout(self.election_max * 2, handed_over).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ProposeError::Stopped),
            Err(_) => Err(ProposeError::Busy),
        }
    }

    async fn shutdown(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(shard = %self.shard, %error, "the replica did not end in order");
        }
        *self.gate.lock().await = true;
    }
}
