//! What can be set of a replica, and its bounds.

use std::sync::Arc;
use std::time::Duration;

use folkmoot_storage::StoreError;
use openraft::{Config, SnapshotPolicy};

use crate::MachineError;

/// Why a replica did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsensusError {
    /// The options contradict each other.
    #[error("the options of the shard do not fit together: {0}")]
    Options(String),
    /// The store could not be read or written.
    #[error("the shard's log: {0}")]
    Store(#[from] StoreError),
    /// A record of the Raft table cannot be read.
    #[error("a record of the shard's log is damaged: {0}")]
    Damaged(String),
    /// The machine could not load a snapshot.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The engine refused its state.
    #[error("the consensus engine did not start: {0}")]
    Engine(String),
}

/// Timing and bounds of one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftOptions {
    /// A leader shows itself this often.
    pub heartbeat: Duration,
    /// A follower that hears nothing stands for election after the leader's
    /// lease, which is `election_max`, and a random time between this...
    pub election_min: Duration,
    /// ...and this.
    pub election_max: Duration,
    /// A call that carries entries or a part of a snapshot may take this long.
    pub call_deadline: Duration,
    /// Installing a received snapshot may take this long.
    pub install_deadline: Duration,
    /// Entries between two marks up to which the log may be purged.
    pub snapshot_every: u64,
    /// Applied entries kept in the log for followers that lag; further behind,
    /// they get a snapshot.
    pub keep_entries: u64,
    /// Largest payload, in bytes. Larger: `Refused`.
    pub max_payload: usize,
    /// Proposals that may wait at once. More: `Busy`.
    pub max_inflight: usize,
    /// Bytes of payloads that may wait at once. More: `Busy`.
    pub max_inflight_bytes: usize,
    /// Entries in one message to a follower.
    pub append_entries: u64,
    /// Bytes of entries in one message to a follower, unless one is larger.
    pub append_bytes: usize,
    /// Bytes of effects after which a batch of applied entries is written.
    pub apply_bytes: usize,
    /// Bytes of recent entries kept in memory.
    pub tail_bytes: usize,
    /// Bytes of one part of a snapshot.
    pub part_bytes: usize,
    /// Seed of the engine's randomness (election timeouts). Each node gives
    /// its own; a simulation gives the same for the same trace.
    pub seed: u64,
    /// Whether a replica without any state that is among the voters founds
    /// the group. False for a replica that joins a group which exists:
    /// founding it a second time would forge its history.
    pub bootstrap: bool,
    /// Whether a replica without any log refuses to begin with the first entry
    /// of the group's: what that log did before a split is another shard's now.
    pub snapshot_first: bool,
}

impl Default for RaftOptions {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(80),
            election_min: Duration::from_millis(200),
            election_max: Duration::from_millis(350),
            call_deadline: Duration::from_secs(5),
            install_deadline: Duration::from_secs(300),
            snapshot_every: 10_000,
            keep_entries: 50_000,
            max_payload: 2 * 1024 * 1024,
            max_inflight: 1_024,
            max_inflight_bytes: 32 * 1024 * 1024,
            append_entries: 512,
            append_bytes: 2 * 1024 * 1024,
            apply_bytes: 1024 * 1024,
            tail_bytes: 4 * 1024 * 1024,
            part_bytes: 1024 * 1024,
            seed: 0,
            bootstrap: true,
            snapshot_first: false,
        }
    }
}

impl RaftOptions {
    /// The same with another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same for voters in several regions. A heartbeat counts for the
    /// leader's lease if it is answered in three quarters of its interval, and a
    /// candidate has its shortest election timeout for a round of votes: both
    /// must be longer than a round trip half around the world and a sync.
    #[must_use]
    pub fn across_regions(mut self) -> Self {
        self.heartbeat = Duration::from_millis(500);
        self.election_min = Duration::from_millis(1_000);
        self.election_max = Duration::from_millis(1_800);
        self
    }

    /// `elect`: whether it may stand for election from the start.
    pub(crate) fn config(&self, elect: bool) -> Result<Arc<Config>, ConsensusError> {
        let wrong = |text: &str| Err(ConsensusError::Options(text.into()));
        if self.max_payload > self.max_inflight_bytes {
            return wrong("max_payload is larger than max_inflight_bytes");
        }
        if u32::try_from(self.max_inflight_bytes).is_err() {
            return wrong("max_inflight_bytes is larger than 4 GiB");
        }
        if self.max_inflight == 0 || self.apply_bytes == 0 || self.part_bytes == 0 {
            return wrong("max_inflight, apply_bytes and part_bytes must not be 0");
        }
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Config {
            cluster_name: "folkmoot".into(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            install_snapshot_timeout: millis(self.install_deadline),
            max_payload_entries: self.append_entries,
            // A new voter catches up from the log as far as the log reaches.
            replication_lag_threshold: self.snapshot_every.saturating_add(self.keep_entries),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            // Never by itself: `crate::purge` asks for it, and says why.
            max_in_snapshot_log_to_keep: u64::MAX,
            enable_elect: elect,
            enable_pre_vote: Some(true),
            // A restarted leader asks for a new term: an epoch is one run of
            // one leader.
            enable_leader_restore: Some(false),
            // A follower whose folder was put back begins anew where it ends;
            // that it helps nobody to forget is kept elsewhere (`promise`).
            allow_log_reversion: Some(true),
            ..Config::default()
        }
        .validate()
        .map(Arc::new)
        .map_err(|error| ConsensusError::Options(error.to_string()))
    }
}
