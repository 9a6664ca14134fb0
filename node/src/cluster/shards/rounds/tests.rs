use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_consensus::{ProposeError, Proposed, Status};
use folkmoot_storage::{MemStore, Store};
use folkmoot_wire::NodeId;
use folkmoot_wire::proto::{Append, Command, CommandBatch, Outcome, RaftMessage, command};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;

use super::super::queue::{Inlet, fair};
use super::*;
use crate::ports::Clock;

struct Noon;

impl Clock for Noon {
    fn wall_ms(&self) -> u64 {
        1_700_000_000_000
    }
}

/// A log that takes a payload when it is let.
struct Slow {
    let_in: Semaphore,
    /// Whose commands are in each payload.
    payloads: Mutex<Vec<Vec<u8>>>,
    index: AtomicU64,
}

#[async_trait]
impl Sequencer for Slow {
    async fn propose(&self, payload: Bytes) -> Result<Proposed, ProposeError> {
        let batch = CommandBatch::decode(payload).expect("a batch");
        let count = batch.commands.len();
        let sender = |command: Command| match command.op {
            Some(command::Op::Append(append)) => append.sender[0],
            _ => 0,
        };
        let senders = batch.commands.into_iter().map(sender).collect();
        self.payloads.lock().push(senders);
        self.let_in.acquire().await.expect("open").forget();
        let outcomes = vec![Outcome::default(); count];
        Ok(Proposed {
            index: self.index.fetch_add(1, Ordering::Relaxed),
            term: 1,
            outcome: Outcomes { outcomes }.encode_to_vec().into(),
        })
    }

    fn status(&self) -> Status {
        unreachable!("nobody asks")
    }

    fn watch(&self) -> watch::Receiver<Status> {
        unreachable!("nobody asks")
    }

    async fn handle(&self, _: NodeId, _: RaftMessage) -> RaftMessage {
        unreachable!("nobody asks")
    }

    async fn linearizable(&self) -> Result<u64, ProposeError> {
        Err(ProposeError::Stopped)
    }

    async fn transfer(&self, _: NodeId) -> Result<(), ProposeError> {
        Err(ProposeError::Stopped)
    }

    async fn shutdown(&self) {}
}

struct Shard {
    log: Arc<Slow>,
    queue: Inlet<Flow, Waiting>,
}

impl Shard {
    fn new() -> Self {
        let log = Arc::new(Slow {
            let_in: Semaphore::new(0),
            payloads: Mutex::default(),
            index: AtomicU64::new(1),
        });
        let store = Arc::new(MemStore::new()) as Arc<dyn Store>;
        let stamps = Arc::new(Stamps::open(Arc::new(Noon), store).expect("stamps"));
        stamps.begin();
        let (queue, waiting) = fair(QUEUE);
        let sequencer: Arc<dyn Sequencer> = log.clone();
        tokio::spawn(gather(ShardId(1), sequencer, stamps, waiting));
        Self { log, queue }
    }

    /// So many commands in one call.
    fn call(&self, sender: u8, commands: usize) -> (Vec<Waiting>, oneshot::Receiver<Answer>) {
        let append = Append {
            sender: vec![sender; 16].into(),
            ..Append::default()
        };
        let command = Command {
            op: Some(command::Op::Append(append)),
            ..Command::default()
        };
        let commands = Commands::new(vec![command; commands]);
        let (flow, size) = (commands.flow(), size_of(&commands));
        let (answer, answered) = oneshot::channel();
        let refused = self.queue.push(flow, size, Waiting { commands, answer });
        (refused, answered)
    }

    async fn settled(&self) -> usize {
        sleep(Duration::from_millis(1)).await;
        self.log.payloads.lock().len()
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_sends_without_end_keeps_nobody_waiting() {
    let shard = Shard::new();
    let mut greedy = Vec::new();
    // Until there is no more room, with all payloads under way that may be.
    loop {
        let (refused, answered) = shard.call(1, 256);
        if !refused.is_empty() {
            break;
        }
        greedy.push(answered);
        shard.settled().await;
    }
    let under_way = shard.settled().await;
    assert_eq!(under_way, IN_FLIGHT);
    let waiting = limits::SEQUENCER_QUEUE / 256;
    assert!(greedy.len() >= waiting, "{} calls", greedy.len());
    let (refused, modest) = shard.call(2, 1);
    assert_eq!(refused.len(), 1, "a call of whoever has most gives way");
    assert_eq!(refused[0].commands.count(), 256);
    shard.log.let_in.add_permits(1);
    assert_eq!(shard.settled().await, under_way + 1);
    assert!(shard.log.payloads.lock()[under_way].contains(&2));
    shard.log.let_in.add_permits(1_000);
    assert_eq!(modest.await.expect("an answer").expect("done").len(), 1);
    // All the others are done too, but for the one that gave way.
    drop(refused);
    let mut done = 0;
    for answered in greedy {
        done += answered
            .await
            .map_or(0, |answer| answer.expect("done").len());
    }
    let payloads = shard.log.payloads.lock();
    assert_eq!(done, payloads.iter().flatten().filter(|s| **s == 1).count());
    assert!(payloads.iter().all(|p| p.len() <= limits::BATCH_COMMANDS));
}

#[tokio::test(start_paused = true)]
async fn large_commands_take_more_of_a_turn() {
    let small = Commands::new(vec![Command::default(); 3]);
    assert_eq!(size_of(&small).cost, 3);
    let append = Append {
        body: vec![0; 16 * 1_024].into(),
        ..Append::default()
    };
    let command = Command {
        op: Some(command::Op::Append(append)),
        ..Command::default()
    };
    let large = Commands::new(vec![command]);
    assert_eq!(size_of(&large).cost, 16);
}
