//! Snapshots by manifest, without a group around them: what is taken, what is
//! refused, and crashes and changes in the middle.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_storage::{
    Batch, Commit, CommitOptions, Crash, Direction, MemStore, Pair, Read, Store, Table, TaskCommit,
    keys,
};
use folkmoot_wire::NodeId;

use super::{Cluster, FSYNC, Ledger, SHARD};
use crate::compare::Compared;
use crate::cut::{Chunk, Cutter, Sizes};
use crate::install::{self, Marker};
use crate::manifest::{Begin, Lacks, ManifestPart, Step};
use crate::pages::{self, to_wire};
use crate::port::Range;
use crate::stage::{Form, Stage, Staged};
use crate::tally::Tally;
use crate::types::{LogId, Membership, SnapshotMeta, Vote};
use crate::{Machine, RaftOptions, Sequencer};

const PART: usize = 32 * 1024;

fn meta(index: u64) -> SnapshotMeta {
    let voters = Membership::new_with_defaults(vec![[2, 3].into()], []);
    SnapshotMeta {
        last_log_id: Some(LogId::new_term_index(3, index)),
        last_membership: openraft::StoredMembership::new(Some(LogId::new_term_index(1, 1)), voters),
    }
}

fn ranges() -> Vec<Range> {
    Ledger::open(SHARD, Arc::new(MemStore::new()), Arc::default()).ranges()
}

fn value(n: u64, version: u64) -> String {
    format!("payload {n} of version {version} {:060}", 0)
}

/// A ledger of `count` payloads.
pub(super) fn ledger(count: u64, applied: u64) -> Arc<MemStore> {
    let (store, mut batch) = (Arc::new(MemStore::new()), Batch::new());
    for n in 1..=count {
        batch.put(Table::Outbox, keys::outbox::key(SHARD, n), value(n, 1));
    }
    let count = Bytes::copy_from_slice(&count.to_be_bytes());
    batch.put(Table::Shards, keys::shards::key(SHARD), count);
    install::put_applied(SHARD, &meta(applied), &mut batch).unwrap();
    store.write(batch).unwrap();
    store
}

/// Another with the same state.
pub(super) fn copy(store: &MemStore, applied: u64) -> Arc<MemStore> {
    let (copy, mut batch) = (Arc::new(MemStore::new()), Batch::new());
    for (table, from, to) in ranges() {
        let pairs = store.scan(table, &from, &to, usize::MAX, Direction::Forward);
        for (key, value) in pairs.unwrap() {
            batch.put(table, key, value);
        }
    }
    install::put_applied(SHARD, &meta(applied), &mut batch).unwrap();
    copy.write(batch).unwrap();
    copy
}

pub(super) fn change(store: &MemStore, payloads: impl IntoIterator<Item = u64>) {
    let mut batch = Batch::new();
    for n in payloads {
        batch.put(Table::Outbox, keys::outbox::key(SHARD, n), value(n, 2));
    }
    store.write(batch).unwrap();
}

pub(super) fn state(store: &dyn Read) -> Vec<Pair> {
    let scan = |(table, from, to): Range| {
        store
            .scan(table, &from, &to, usize::MAX, Direction::Forward)
            .unwrap()
    };
    ranges().into_iter().flat_map(scan).collect()
}

pub(super) fn stage(store: &Arc<MemStore>) -> Arc<Stage> {
    let store = Arc::clone(store) as Arc<dyn Store>;
    let ledger = Ledger::open(SHARD, Arc::clone(&store), Arc::default());
    let tally = Arc::new(Tally::default());
    Stage::new(
        SHARD,
        store,
        ledger.inspector(),
        tally,
        Duration::from_secs(300),
    )
}

fn step(number: u64) -> Step {
    Step {
        vote: Vote::new_committed(3, 2),
        transfer: 1,
        number,
    }
}

/// A sender in its simplest form.
pub(super) struct Sender {
    view: Arc<dyn Read>,
    pub(super) chunks: Vec<Chunk>,
    number: u64,
    /// Bytes of the manifest,
    pub(super) named: u64,
    /// and of chunks.
    pub(super) sent: u64,
}

impl Sender {
    pub(super) fn new(store: &MemStore, part_bytes: usize) -> Self {
        let view = store.snapshot();
        let sizes = Sizes::of(part_bytes);
        let mut cutter = Cutter::new(Arc::clone(&view), ranges(), sizes);
        Self {
            view,
            chunks: std::iter::from_fn(|| cutter.next().unwrap()).collect(),
            number: 0,
            named: 0,
            sent: 0,
        }
    }

    fn step(&mut self) -> Step {
        self.number += 1;
        step(self.number - 1)
    }

    fn page(&self, chunk: &Chunk) -> Bytes {
        pages::read(&*self.view, &chunk.range).unwrap()
    }

    async fn name(&mut self, stage: &Arc<Stage>, chunks: &[Chunk]) -> std::io::Result<Lacks> {
        let begin = (self.number == 0).then(|| Begin {
            meta: meta(90),
            ranges: to_wire(&ranges()),
        });
        let part = ManifestPart {
            step: self.step(),
            begin,
            chunks: chunks.iter().map(Into::into).collect(),
        };
        self.named += crate::wire::encode(&part).unwrap().len() as u64;
        stage.manifest(NodeId(2), part).await
    }

    /// Sends everything, in parts of `len` chunks.
    pub(super) async fn send(&mut self, stage: &Arc<Stage>, len: usize) -> std::io::Result<Staged> {
        for part in self.chunks.clone().chunks(len) {
            let lacks = self.name(stage, part).await?;
            for (number, chunk) in part.iter().enumerate() {
                if lacks.has(number) {
                    let (page, step) = (self.page(chunk), self.step());
                    self.sent += page.len() as u64;
                    let pages = vec![(number as u32, page)];
                    stage.chunks(NodeId(2), &step, pages).await?;
                }
            }
        }
        let step = self.step();
        let (meta_of, staged) = stage.whole(NodeId(2), &step).await?;
        assert_eq!(meta_of, meta(90));
        Ok(staged)
    }
}

fn compared(staged: &mut Staged) -> &mut Compared {
    match &mut staged.form {
        Form::Manifest(compared) => compared,
        Form::Pages { .. } => panic!("it came by manifest"),
    }
}

async fn marker(store: &Arc<MemStore>, staged: &mut Staged) -> Marker {
    let applied = install::read_applied(SHARD, &**store).unwrap();
    let applied = applied.and_then(|applied| applied.last_log_id);
    let compared = compared(staged);
    compared
        .put_back(SHARD, &**store, applied.as_ref(), 4_000)
        .await
        .unwrap();
    Marker {
        meta: meta(90),
        ranges: to_wire(&compared.beside(ranges())),
        parts: compared.staged,
    }
}

pub(super) async fn install(store: &Arc<MemStore>, staged: &mut Staged) {
    let commit: Arc<dyn Commit> = Arc::new(TaskCommit::start(
        Arc::clone(store) as Arc<dyn Store>,
        CommitOptions::default(),
        FSYNC,
    ));
    let marker = marker(store, staged).await;
    install::begin(SHARD, &marker, &*commit).await.unwrap();
    install::finish(SHARD, &marker, &**store).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_any_more_goes_and_what_is_the_same_stays() {
    // The sender has changed some, deleted some and has more than the other.
    let (sender, receiver) = (ledger(2_000, 90), ledger(1_500, 50));
    change(&sender, [7, 700, 701]);
    let mut batch = Batch::new();
    let (from, to) = (
        keys::outbox::key(SHARD, 900),
        keys::outbox::key(SHARD, 1_200),
    );
    batch.delete_range(Table::Outbox, from, to);
    sender.write(batch).unwrap();
    change(&receiver, [9, 1_000]);

    for len in [1, 7, 256] {
        let receiver = copy(&receiver, 50);
        let mut sending = Sender::new(&sender, PART);
        let mut staged = sending.send(&stage(&receiver), len).await.unwrap();
        install(&receiver, &mut staged).await;
        assert_eq!(state(&*receiver), state(&*sender));
        let all: u64 = sending.chunks.iter().map(|chunk| chunk.sum.bytes).sum();
        assert!(sending.sent * 2 < all, "{} of {all}", sending.sent);
        let applied = install::read_applied(SHARD, &*receiver).unwrap().unwrap();
        assert_eq!(applied, meta(90));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_applied_meanwhile_is_put_back() {
    let sender = ledger(1_000, 90);
    change(&sender, [3, 500]);
    let receiver = ledger(1_000, 50);
    let stage = stage(&receiver);
    let mut staged = Sender::new(&sender, PART).send(&stage, 256).await.unwrap();
    // It goes on with what it has: changes, more, and less.
    change(&receiver, [1, 3, 4, 400, 999, 1_001, 1_002]);
    let mut batch = Batch::new();
    let (from, to) = (keys::outbox::key(SHARD, 600), keys::outbox::key(SHARD, 650));
    batch.delete_range(Table::Outbox, from, to);
    install::put_applied(SHARD, &meta(60), &mut batch).unwrap();
    receiver.write(batch).unwrap();

    let came = compared(&mut staged).staged;
    install(&receiver, &mut staged).await;
    assert_eq!(state(&*receiver), state(&*sender));
    let back = compared(&mut staged).staged - came;
    assert!((5..30).contains(&back), "{back} pieces");
}

#[tokio::test(start_paused = true)]
async fn a_flipped_byte_is_refused_and_nothing_is_installed() {
    let (sender, receiver) = (ledger(200, 90), ledger(100, 50));
    let before = state(&*receiver);
    let stage = stage(&receiver);
    for at in [0, 3, 20, 70, 100] {
        let mut sending = Sender::new(&sender, PART);
        let chunks = sending.chunks.clone();
        let lacks = sending.name(&stage, &chunks).await.unwrap();
        let number = (0..chunks.len()).find(|number| lacks.has(*number)).unwrap();
        let mut page = sending.page(&chunks[number]).to_vec();
        page[at] ^= 0x10;
        let step = sending.step();
        let taken = stage.chunks(NodeId(2), &step, vec![(number as u32, page.into())]);
        let why = taken.await.unwrap_err().to_string();
        let from = keys_hex(&chunks[number].range.1);
        assert!(why.contains(&from), "{why}");
        // The transfer is over: it begins anew.
        let whole = stage.whole(NodeId(2), &sending.step()).await;
        assert!(whole.is_err());
        assert_eq!(state(&*receiver), before);
    }
    let mut staged = Sender::new(&sender, PART).send(&stage, 256).await.unwrap();
    install(&receiver, &mut staged).await;
    assert_eq!(state(&*receiver), state(&*sender));
}

fn keys_hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(start_paused = true)]
async fn messages_come_in_order_and_all_of_them() {
    let (sender, receiver) = (ledger(200, 90), ledger(0, 50));
    let stage = stage(&receiver);
    let chunks = Sender::new(&sender, PART).chunks;
    let nothing = stage.whole(NodeId(2), &step(0)).await;
    assert!(nothing.is_err(), "nothing began");

    let mut sending = Sender::new(&sender, PART);
    sending.name(&stage, &chunks[..2]).await.unwrap();
    let next = sending.name(&stage, &chunks[2..]).await;
    assert!(next.is_err(), "chunks of the first part are lacking");

    let mut sending = Sender::new(&sender, PART);
    let hole = sending.name(&stage, &chunks[1..]).await;
    assert!(hole.is_ok(), "it says itself where it begins");
    let first = step(1);
    let wrong = stage.chunks(NodeId(2), &first, vec![(0, sending.page(&chunks[2]))]);
    assert!(wrong.await.is_err(), "and so does what lies in it");

    let mut sending = Sender::new(&sender, PART);
    let lacks = sending.name(&stage, &chunks[..1]).await.unwrap();
    assert!(lacks.has(0));
    let page = vec![(0, sending.page(&chunks[0]))];
    let other = stage.chunks(NodeId(3), &step(1), page.clone()).await;
    assert!(other.is_err(), "another sender");
    let later = stage.chunks(NodeId(2), &step(2), page.clone()).await;
    assert!(later.is_err(), "not the next message");
    stage.chunks(NodeId(2), &step(1), page).await.unwrap();
    let early = stage.whole(NodeId(2), &step(2)).await;
    assert!(early.is_err(), "the other chunks were not even named");
    let staged = Sender::new(&sender, PART).send(&stage, 256).await.unwrap();
    let busy = Sender::new(&sender, PART).name(&stage, &chunks).await;
    assert!(busy.is_err(), "being installed");
    drop(staged);
    Sender::new(&sender, PART).send(&stage, 256).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_stops_keeps_no_view() {
    let (sender, receiver) = (ledger(200, 90), ledger(0, 50));
    let stage = stage(&receiver);
    let mut sending = Sender::new(&sender, PART);
    let chunks = sending.chunks.clone();
    sending.name(&stage, &chunks[..1]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(290)).await;
    let page = |n: usize| vec![(0, pages::read(&*sender, &chunks[n].range).unwrap())];
    stage.chunks(NodeId(2), &step(1), page(0)).await.unwrap();
    sending.number = 2;
    tokio::time::sleep(Duration::from_secs(290)).await;
    sending.name(&stage, &chunks[1..2]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(700)).await;
    let late = stage.chunks(NodeId(2), &step(3), page(1)).await;
    assert_eq!(
        late.unwrap_err().to_string(),
        "no such transfer of a snapshot: begin anew"
    );
}

/// A crash behind each write leaves what was, or is finished at the next start.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_of_an_installation_is_survived() {
    let sender = ledger(120, 90);
    change(&sender, [3, 50]);
    let mut finished = 0;
    for seed in 0..60 {
        let receiver = ledger(100, 50);
        change(&receiver, [80]);
        receiver.sync().unwrap();
        let before = state(&*receiver);
        let mut staged = Sender::new(&sender, PART)
            .send(&stage(&receiver), 4)
            .await
            .unwrap();
        change(&receiver, [10]);
        let mut batch = Batch::new();
        install::put_applied(SHARD, &meta(60), &mut batch).unwrap();
        receiver.write(batch).unwrap();
        let behind = state(&*receiver);
        let dies_before = seed % 3 == 0;
        if dies_before {
            marker(&receiver, &mut staged).await;
        } else {
            install(&receiver, &mut staged).await;
        }
        let survived = receiver.crash(Crash::KeepPrefix { seed });
        if install::read_marker(SHARD, &survived).unwrap().is_some() {
            finished += 1;
        }
        let mut cluster = Cluster::new(0, RaftOptions::default()).await;
        cluster.start(1, survived).await;
        let store = &cluster.nodes[&1].store;
        if dies_before {
            let now = state(&**store);
            let applied = install::read_applied(SHARD, &**store).unwrap().unwrap();
            // The change and the mark of it were two writes.
            let is_one = match applied == meta(60) {
                true => now == behind,
                false => applied == meta(50) && (now == before || now == behind),
            };
            assert!(is_one, "seed {seed}");
            assert!(install::read_marker(SHARD, &**store).unwrap().is_none());
            continue;
        }
        assert_eq!(state(&**store), state(&*sender), "seed {seed}");
        assert_eq!(cluster.shard(1).status().last_applied, 90);
        assert!(install::read_marker(SHARD, &**store).unwrap().is_none());
    }
    assert!(finished > 10, "{finished} were interrupted");
}
