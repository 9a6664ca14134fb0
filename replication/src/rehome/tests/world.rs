//! Three shards over one store. Beside each stands a replica that writes what
//! it applied only now and then.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_storage::{Batch, MemStore, Read, Seat, Store, Table, keys, log};
use folkmoot_wire::proto::{
    Append, BeginMove, Command, CursorBatch, CursorChange, HomePhase, HomeState, Kind, OutboxAck,
    Outcome, SetApplyVersion, StoredHome, command, outcome,
};
use folkmoot_wire::{Code, Fault, GroupId, RegionId, ShardId, entry, version};
use prost::Message;

use crate::apply::{At as Position, HomeRecord, ShardApply, ShardConfig, home_records};
use crate::rehome::{At, Next, Rehoming, leftover};
use crate::testing::{
    CLUSTER, Got, START_MS, append, at, command, config, digest, dump, got, group, head, open_body,
    payload, rows_of, user,
};

/// Writes of a lazy replica that wait.
const LAZY: usize = 7;

struct Lazy {
    store: Arc<MemStore>,
    apply: ShardApply,
    waiting: Vec<Batch>,
}

impl Lazy {
    fn write(&mut self) {
        for batch in self.waiting.drain(..) {
            self.store.write(batch).expect("writes");
        }
        self.apply.settled();
    }
}

struct Shard {
    apply: ShardApply,
    index: u64,
    lazy: Lazy,
}

fn open(n: usize, store: &Arc<MemStore>) -> ShardApply {
    let config = ShardConfig {
        shard: ShardId(n as u32),
        region: RegionId(n as u16),
        ..config()
    };
    ShardApply::open(config, Arc::clone(store) as Arc<dyn Read>).expect("opens")
}

/// Shards 1 to 3, of the regions 1 to 3.
pub(super) struct World {
    pub(super) store: Arc<MemStore>,
    shards: Vec<Shard>,
    ms: u64,
    /// What drivers proposed, and to which shard.
    pub(super) proposed: Vec<(usize, Command)>,
    pub(super) group: GroupId,
}

impl World {
    /// An open group of user 1's in shard 1.
    pub(super) fn new() -> Self {
        let store = Arc::new(MemStore::new());
        let shard = |n: usize| {
            let lazy = Arc::new(MemStore::new());
            Shard {
                apply: open(n, &store),
                index: 0,
                lazy: Lazy {
                    apply: open(n, &lazy),
                    store: lazy,
                    waiting: Vec::new(),
                },
            }
        };
        let mut world = Self {
            shards: (1..=3).map(shard).collect(),
            store,
            ms: START_MS,
            proposed: Vec::new(),
            group: group(1),
        };
        for n in 1..=3 {
            let version = SetApplyVersion {
                version: version::APPLY_MOVES,
            };
            let raise = Command {
                group: Bytes::new(),
                op: Some(command::Op::SetApplyVersion(version)),
            };
            world.run(n, vec![raise]);
        }
        let create = Append {
            body: open_body().encode_to_vec().into(),
            ..append(user(1), Kind::Create, START_MS, 0)
        };
        assert_eq!(world.send(1, create), Got::Seq(1));
        world
    }

    /// One payload of shard `n`.
    pub(super) fn run(&mut self, n: usize, commands: Vec<Command>) -> Vec<Outcome> {
        let shard = &mut self.shards[n - 1];
        shard.index += 1;
        self.ms += 10;
        let bytes = payload(self.ms, commands);
        // Terms of shards have nothing to do with each other.
        let at = Position {
            term: 10 - n as u64,
            ..at(shard.index)
        };
        let mut batch = Batch::new();
        let (outcomes, _) = shard.apply.apply(at, &bytes, &mut batch).expect("applies");
        self.store.write(batch).expect("writes");
        shard.apply.settled();

        let (lazy, mut batch) = (&mut shard.lazy, Batch::new());
        let (again, _) = lazy.apply.apply(at, &bytes, &mut batch).expect("applies");
        assert_eq!(outcomes, again, "replicas answer alike");
        lazy.waiting.push(batch);
        if lazy.waiting.len() >= LAZY {
            lazy.write();
        }
        outcomes
    }

    fn send(&mut self, n: usize, append: Append) -> Got {
        got(&self.run(n, vec![command(self.group, append)])[0])
    }

    /// The message of this number, perhaps once more.
    pub(super) fn say(&mut self, n: usize, who: u8, number: u64) -> Got {
        self.send(n, append(user(who), Kind::Message, START_MS, number))
    }

    pub(super) fn join(&mut self, n: usize, who: u8, number: u64) -> Got {
        let join = Append {
            body: Bytes::new(),
            ..append(user(who), Kind::Join, START_MS, number)
        };
        self.send(n, join)
    }

    /// User 1 has read up to `seq`.
    pub(super) fn read(&mut self, n: usize, seq: u64) -> Outcome {
        let change = CursorChange {
            user: user(1).to_bytes(),
            seq,
        };
        let cursors = CursorBatch {
            changes: vec![change],
        };
        let command = self.of_group(command::Op::Cursors(cursors));
        self.run(n, vec![command]).remove(0)
    }

    fn of_group(&self, op: command::Op) -> Command {
        Command {
            group: self.group.to_bytes(),
            op: Some(op),
        }
    }

    pub(super) fn step(&mut self, n: usize, op: command::Op) -> Result<HomeState, Fault> {
        self.propose(n, self.of_group(op))
    }

    pub(super) fn begin(&mut self, n: usize, epoch: u64, to_shard: u32) -> Result<(), Fault> {
        let begin = command::Op::BeginMove(BeginMove { epoch, to_shard });
        self.step(n, begin).map(|_| ())
    }

    pub(super) fn propose(&mut self, n: usize, command: Command) -> Result<HomeState, Fault> {
        match self.run(n, vec![command]).remove(0).result {
            Some(outcome::Result::HomeState(state)) => Ok(state),
            Some(outcome::Result::Rejected(rejected)) => Err(Fault::new(
                Code::from_u32(rejected.code).expect("a code"),
                rejected.detail,
            )),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn record(&self, n: usize) -> Option<HomeRecord> {
        let records = home_records(&*self.store, ShardId(n as u32), None, 9);
        records.expect("reads").pop()
    }

    pub(super) fn home(&self, n: usize) -> StoredHome {
        let phase = match n {
            1 => HomePhase::Here,
            _ => HomePhase::Unknown,
        };
        let born = StoredHome {
            phase: phase as i32,
            ..StoredHome::default()
        };
        self.record(n).map_or(born, |record| record.home)
    }

    pub(super) fn phase(&self, n: usize) -> HomePhase {
        self.home(n).phase()
    }

    pub(super) fn seat(&self, n: usize) -> Seat {
        let store = Arc::clone(&self.store) as Arc<dyn Read>;
        Seat::new(store, RegionId(n as u16))
    }

    /// Someone to drive the move that shard `n` has a record of.
    pub(super) fn driver(&self, n: usize) -> Option<Rehoming> {
        let record = self.record(n)?;
        let under_way = matches!(self.phase(n), HomePhase::Leaving | HomePhase::Fenced);
        under_way.then(|| Rehoming::new(ShardId(n as u32), ShardId(1), &record))
    }

    /// One step of a driver at shard `n`; whether there is more to do.
    pub(super) fn drive(&mut self, n: usize, driver: &mut Rehoming, lost: bool) -> bool {
        let (seat, home) = (self.seat(n), self.home(n));
        match driver.next(&seat, &home).expect("reads") {
            Next::Done => false,
            Next::Again => true,
            Next::Wait => {
                self.deliver(n);
                true
            }
            Next::Propose(at, command) => {
                let to = match at {
                    At::Source => n,
                    At::Target => driver.to().0 as usize,
                    At::Birth => 1,
                };
                self.proposed.push((to, (*command).clone()));
                let answer = self.propose(to, (*command).clone());
                if !lost {
                    driver.answered(at, &command, answer);
                }
                true
            }
        }
    }

    /// All that shard `n` has for others has reached them.
    pub(super) fn deliver(&mut self, n: usize) {
        let ack = OutboxAck { up_to: u64::MAX };
        let ack = Command {
            group: Bytes::new(),
            op: Some(command::Op::OutboxAck(ack)),
        };
        self.run(n, vec![ack]);
    }

    pub(super) fn drive_to_the_end(&mut self, n: usize) {
        let mut driver = self.driver(n).expect("a move is under way");
        for _ in 0..200 {
            if !self.drive(n, &mut driver, false) {
                return;
            }
        }
        panic!("the move does not end");
    }

    /// Drops what is left of the group where it is not at home.
    pub(super) fn clean(&mut self, n: usize) {
        if let Some(command) = self.record(n).as_ref().and_then(leftover) {
            self.propose(n, command).expect("is dropped");
        }
    }

    /// The shards in which the group can be changed.
    pub(super) fn homes(&self) -> Vec<usize> {
        let open = |n: &usize| matches!(self.phase(*n), HomePhase::Here | HomePhase::Leaving);
        (1..=3).filter(open).collect()
    }

    /// The client message ids in the log of shard `n`, checked entry by entry.
    pub(super) fn log_of(&self, n: usize) -> Vec<Bytes> {
        let seat = self.seat(n);
        let entries = log::read_entries(&seat, &self.group, 0, 0, usize::MAX, usize::MAX);
        let mut chain = entry::genesis(&CLUSTER, &self.group);
        let (mut hlc, mut epoch, mut ids) = (0, (0, 0), Vec::new());
        for (seq, (_, sealed)) in (1..).zip(entries.expect("reads")) {
            let (header, next) = sealed.verify(&chain, seq).expect("the chain holds");
            let of = header.epoch.expect("an epoch");
            assert!(header.hlc > hlc, "HLCs rise");
            assert!((of.generation, of.term) >= epoch, "epochs rise");
            (chain, hlc, epoch) = (next, header.hlc, (of.generation, of.term));
            ids.push(header.client_msg_id);
        }
        let head = head(&seat, self.group);
        assert_eq!(head.seq, ids.len() as u64);
        let digest = digest(&seat, self.group);
        assert_eq!(head.rows_count, digest.count);
        if digest.count > 0 {
            assert_eq!(&head.rows_digest[..], &digest.sum[..]);
        }
        ids
    }

    pub(super) fn rows(&self, n: usize) -> usize {
        rows_of(&self.seat(n), self.group).len()
    }

    /// Replicas that wrote at other times hold the same bytes.
    pub(super) fn check_replicas(&mut self) {
        let all = dump(&*self.store);
        for (n, shard) in (1_u16..).zip(&mut self.shards) {
            shard.lazy.write();
            let mut here = all.clone();
            here.retain(|(table, key), _| {
                match keys::slots::TABLES.contains(&Table::ALL[*table]) {
                    true => key[..2] == n.to_be_bytes(),
                    false => key[..4] == u32::from(n).to_be_bytes(),
                }
            });
            let there = dump(&*shard.lazy.store);
            assert!(here == there, "replicas of shard {n} differ");
        }
    }
}
