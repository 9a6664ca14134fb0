//! How many proposals a second one voter on disk takes: 256-byte payloads
//! from 16 tasks, each with a window of proposals under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use folkmoot_consensus::{
    LinkError, Machine, MachineError, Position, RaftLink, RaftOptions, RaftShard, Range, Sequencer,
};
use folkmoot_storage::{
    Batch, CommitOptions, RocksOptions, RocksStore, Store, Table, ThreadCommit, keys,
};
use folkmoot_wire::{NodeId, ShardId, proto};
use tokio::task::JoinSet;

const SHARD: ShardId = ShardId(1);
const TASKS: usize = 16;
const PAYLOAD: usize = 256;

/// Keeps every payload, as a log would.
struct Keep(u64);

impl Machine for Keep {
    fn apply(
        &mut self,
        _: Position,
        payload: &Bytes,
        batch: &mut Batch,
    ) -> Result<Bytes, MachineError> {
        self.0 += 1;
        let key = keys::outbox::key(SHARD, self.0);
        batch.put(Table::Outbox, key, Bytes::copy_from_slice(payload));
        Ok(Bytes::new())
    }
    fn applied(&mut self) {}
    fn ranges(&self) -> Vec<Range> {
        let (from, to) = keys::outbox::shard_range(SHARD);
        vec![(Table::Outbox, from, to)]
    }
    fn restored(&mut self) -> Result<(), MachineError> {
        Ok(())
    }
}

struct NoLink;

#[async_trait::async_trait]
impl RaftLink for NoLink {
    async fn call(
        &self,
        to: NodeId,
        _: proto::RaftMessage,
        _: Duration,
    ) -> Result<proto::RaftMessage, LinkError> {
        Err(LinkError::Unreachable(to))
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn measure(window: usize, time: Duration) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let store: Arc<dyn Store> =
        Arc::new(RocksStore::open(folder.path(), &RocksOptions::default())?);
    let commit = Arc::new(ThreadCommit::start(
        Arc::clone(&store),
        CommitOptions::default(),
    )?);
    let options = RaftOptions {
        max_inflight: TASKS * window,
        ..RaftOptions::default()
    };
    let shard = RaftShard::start(
        SHARD,
        NodeId(1),
        &[NodeId(1)],
        Arc::clone(&store),
        Arc::clone(&commit) as _,
        Box::new(Keep(0)),
        Arc::new(NoLink),
        options,
    )
    .await?;
    shard.watch().wait_for(|status| status.is_leader).await?;

    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS * window {
        let shard = Arc::clone(&shard);
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < time {
                let sent = Instant::now();
                shard.propose(Bytes::from(vec![7; PAYLOAD])).await?;
                latencies.push(sent.elapsed());
            }
            Ok::<_, Error>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let rate = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    println!(
        "{TASKS} tasks, window {window}: {rate:.0} proposals/s, latency p50 {:?}, p99 {:?}",
        at(0.50),
        at(0.99)
    );
    shard.shutdown().await;
    drop(shard);
    commit.stop();
    store.close()?;
    Ok(())
}

/// Flags of `folkmoot-bench propose`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long each window is measured
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    for window in [1, 256] {
        let time = Duration::from_secs(options.seconds);
        let measured = runtime.block_on(measure(window, time));
        measured.map_err(|error| anyhow::anyhow!(error))?;
    }
    Ok(())
}
