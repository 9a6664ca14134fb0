//! The ports: what the rest of the system asks of consensus, and what
//! consensus asks of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_storage::{Batch, Read, Table};
use folkmoot_wire::{NodeId, ShardId, proto};
use tokio::sync::watch;

/// Where in the order a payload stands. The same on every replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Index in the shard's Raft log.
    pub index: u64,
    /// Term of the leader that proposed it.
    pub term: u64,
    /// The leader that proposed it.
    pub leader: NodeId,
}

/// What [`Machine::room`] waits for.
pub type Room = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Keys `[from, to)` of one table.
pub type Range = (Table, Bytes, Bytes);

/// Why a payload could not be applied. The shard stops on it: a replica that
/// skipped a payload would differ from the others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the state machine stopped: {0}")]
pub struct MachineError(pub String);

impl MachineError {
    /// An error with the text of `cause`.
    pub fn new(cause: impl ToString) -> Self {
        Self(cause.to_string())
    }
}

/// Why a state is not to be taken or given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsound(pub String);

/// Whose state is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This replica's, before a part of it is given to another.
    Own,
    /// Another one's that is about to take the place of this one's.
    Sent,
}

/// Looks at a shard's state where it goes from one replica to another: what
/// proves itself has to, before anything is changed by it.
pub trait Inspector: Send + Sync {
    /// Whether what lies in `part` of `state` follows from each other and from
    /// what lies beside it. The rest of `state` may be read, and is looked at
    /// in other calls as far as it was sent.
    ///
    /// # Errors
    /// With what does not hold, where. The snapshot is not sent or installed
    /// then, and is tried again.
    fn inspect(&self, state: &dyn Read, part: &Range, whose: Whose) -> Result<(), Unsound>;
}

/// For a state in which nothing proves itself.
struct Trusting;

impl Inspector for Trusting {
    fn inspect(&self, _: &dyn Read, _: &Range, _: Whose) -> Result<(), Unsound> {
        Ok(())
    }
}

/// The state that the log builds. Its calls come from one task, in log order.
pub trait Machine: Send + 'static {
    /// Applies one committed payload. Effects go into `batch`, which is
    /// written atomically with the applied position; until
    /// [`applied`](Self::applied) the effects of earlier payloads may be in
    /// `batch` only and not yet be seen by reads of the store. Returns the
    /// outcome for the proposer.
    ///
    /// Must depend on nothing but the payloads so far: no clock, no
    /// randomness. After a crash the last payloads are applied again, on the
    /// state before them.
    ///
    /// # Errors
    /// Only for what makes going on impossible; a refused command is an
    /// outcome.
    fn apply(
        &mut self,
        at: Position,
        payload: &Bytes,
        batch: &mut Batch,
    ) -> Result<Bytes, MachineError>;

    /// The shard that the last payload split off from this one: its group
    /// begins there, with the voters that this one has there and with what the
    /// payload put into the batch for it. Once that is written its replica can
    /// be started as any that was here before.
    fn take_child(&mut self) -> Option<ShardId> {
        None
    }

    /// The batch with everything applied so far was written and is visible:
    /// publish to followers. Does not block: [`room`](Self::room) was awaited.
    fn applied(&mut self);

    /// Ready when whoever [`applied`](Self::applied) publishes to can take
    /// more. Until then nothing further is written: a replica is not faster
    /// than its feed.
    fn room(&self) -> Room {
        Box::pin(std::future::ready(()))
    }

    /// The key ranges that make up this shard's state, for snapshots.
    fn ranges(&self) -> Vec<Range>;

    /// What looks at states of this kind on their way.
    fn inspector(&self) -> Arc<dyn Inspector> {
        Arc::new(Trusting)
    }

    /// The ranges are about to be replaced by a snapshot, part by part: until
    /// [`restored`](Self::restored) they are neither what was nor what will be.
    fn replacing(&mut self) {}

    /// The ranges were replaced by a snapshot: reload caches.
    ///
    /// # Errors
    /// When the new state cannot be read.
    fn restored(&mut self) -> Result<(), MachineError>;
}

/// Why a message was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is no way to the node now; worth a pause before the next try.
    #[error("node {0} cannot be reached")]
    Unreachable(NodeId),
    /// No answer in time. Whether the message arrived is not known.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection broke. Whether the message arrived is not known.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// What a replica was heard to have on disk: a vote in a term, and in that term
/// all entries up to an index. A replica never goes back behind it, unless its
/// disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mark {
    /// The term.
    pub term: u64,
    /// Index of the entry; 0: only the vote.
    pub index: u64,
}

/// How replicas reach each other.
#[async_trait]
pub trait RaftLink: Send + Sync {
    /// Node `of` said that it has this of the shard on disk. Called often; must
    /// not block.
    fn saw(&self, of: NodeId, shard: ShardId, mark: Mark) {
        let _ = (of, shard, mark);
    }

    /// Sends `message` to the [`Sequencer::handle`] of the same shard on node
    /// `to` and returns its answer.
    async fn call(
        &self,
        to: NodeId,
        message: proto::RaftMessage,
        deadline: Duration,
    ) -> Result<proto::RaftMessage, LinkError>;
}

/// What a replica knows of its shard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The shard.
    pub shard: ShardId,
    /// The leader, where one is known.
    pub leader: Option<NodeId>,
    /// The current term.
    pub term: u64,
    /// Whether this replica leads, and heard from a quorum lately.
    pub is_leader: bool,
    /// Index of the last log entry; 0 when there is none.
    pub last_log: u64,
    /// Index of the last applied entry; 0 when there is none.
    pub last_applied: u64,
    /// The voters, by number.
    pub voters: Vec<NodeId>,
}

/// A payload was committed and applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Its index in the log.
    pub index: u64,
    /// The term it was proposed in.
    pub term: u64,
    /// What the machine returned.
    pub outcome: Bytes,
}

/// Why a proposal was not answered with its outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This replica does not lead, or was elected a moment ago and has not
    /// heard from a quorum yet, or lost the lead meanwhile: in that case the
    /// payload may still be committed by the next leader. Retry there;
    /// payloads have to bear being proposed twice.
    #[error("this replica does not lead the shard in term {term}: try {leader:?}")]
    NotLeader {
        /// The leader, where one is known.
        leader: Option<NodeId>,
        /// The term this was learned in.
        term: u64,
    },
    /// Too many proposals wait; this one was not taken. Retry later.
    #[error("too many proposals wait: retry later")]
    Busy,
    /// The replica was shut down. The payload may still be committed.
    #[error("the replica was shut down")]
    Stopped,
    /// The replica stopped after a fault of its store or its machine, and
    /// answers nothing more. The payload may still be committed by others.
    #[error("the replica stopped after a fault: {0}")]
    Failed(String),
    /// This can never be done; it was not taken.
    #[error("refused: {0}")]
    Refused(String),
}

/// One replica of one shard.
#[async_trait]
pub trait Sequencer: Send + Sync {
    /// Puts a payload in order and waits until it is durable on a quorum and
    /// applied here. Many callers at once share appends and fsyncs. Dropping
    /// the future does not withdraw the payload. Has no deadline of its own:
    /// without a quorum it waits until leadership changes.
    async fn propose(&self, payload: Bytes) -> Result<Proposed, ProposeError>;

    /// What this replica knows now.
    fn status(&self) -> Status;

    /// The status whenever it changes.
    fn watch(&self) -> watch::Receiver<Status>;

    /// Answers a message of another replica, which came from node `from`.
    async fn handle(&self, from: NodeId, message: proto::RaftMessage) -> proto::RaftMessage;

    /// Returns when everything that was committed before the call is applied
    /// here, with the applied index. Leader only; costs a round trip to a
    /// quorum.
    async fn linearizable(&self) -> Result<u64, ProposeError>;

    /// Hands leadership to voter `to` and waits until this replica follows.
    /// `Busy`: it still leads after two election timeouts.
    async fn transfer(&self, to: NodeId) -> Result<(), ProposeError>;

    /// Stops the replica: it applies nothing more. What was acknowledged stays.
    async fn shutdown(&self);
}
