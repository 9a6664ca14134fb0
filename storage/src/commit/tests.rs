use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::{Commit, CommitOptions, Done, ThreadCommit};
use crate::{Batch, Layer, MemStore, Read, Store, StoreError, Table};

mod task;

/// A store whose syncs wait until they are let through.
#[derive(Default)]
struct Gated {
    inner: MemStore,
    /// Syncs that came to the gate; syncs that may pass.
    gate: Mutex<(usize, usize)>,
    moved: Condvar,
    /// Most batches that one sync covered.
    most: AtomicUsize,
}

impl Gated {
    fn open(&self, syncs: usize) {
        self.gate.lock().1 = syncs;
        self.moved.notify_all();
    }

    fn wait_for_sync(&self, number: usize) {
        let mut gate = self.gate.lock();
        while gate.0 < number {
            self.moved.wait(&mut gate);
        }
    }
}

impl Layer for Gated {
    fn below(&self) -> &dyn Read {
        &self.inner
    }
}

impl Store for Gated {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.inner.write(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut gate = self.gate.lock();
        gate.0 += 1;
        let mine = gate.0;
        self.moved.notify_all();
        while gate.1 < mine {
            self.moved.wait(&mut gate);
        }
        drop(gate);
        self.most.fetch_max(self.inner.unsynced(), Ordering::SeqCst);
        self.inner.sync()
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        self.inner.snapshot()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }

    fn approximate_bytes(&self) -> u64 {
        self.inner.approximate_bytes()
    }
}

fn one(n: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Log, n.to_be_bytes().to_vec(), "1");
    batch
}

fn start(store: &Arc<impl Store>, options: CommitOptions) -> ThreadCommit {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    ThreadCommit::start(store, options).unwrap()
}

/// Results in the order of the callbacks.
struct Results {
    sender: mpsc::Sender<(u64, Result<(), StoreError>)>,
    receiver: Receiver<(u64, Result<(), StoreError>)>,
}

impl Results {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver }
    }

    fn done(&self, n: u64) -> Done {
        let sender = self.sender.clone();
        Box::new(move |result| {
            let _ = sender.send((n, result));
        })
    }

    fn next(&self) -> (u64, Result<(), StoreError>) {
        self.receiver.recv().unwrap()
    }
}

#[test]
fn all_that_wait_share_one_sync() {
    let store = Arc::new(Gated::default());
    let commit = start(&store, CommitOptions::default());
    let results = Results::new();
    commit.submit(one(0), results.done(0));
    store.wait_for_sync(1);
    for n in 1..=100 {
        commit.submit(one(n), results.done(n));
    }
    assert!(
        results.receiver.try_recv().is_err(),
        "called back before the sync was done"
    );
    store.open(2);
    for n in 0..=100 {
        assert_eq!(results.next(), (n, Ok(())));
    }
    assert_eq!(store.inner.syncs(), 2);
    assert_eq!(store.inner.writes(), 2, "small batches are written as one");
    assert_eq!(store.inner.unsynced(), 0);
}

#[test]
fn large_batches_are_written_one_by_one_under_one_sync() {
    let store = Arc::new(Gated::default());
    let options = CommitOptions {
        merge_bytes: 20,
        ..CommitOptions::default()
    };
    let commit = start(&store, options);
    let results = Results::new();
    commit.submit(one(0), results.done(0));
    store.wait_for_sync(1);
    // 9 bytes each: two are merged, a third is too much.
    for n in 1..=5 {
        commit.submit(one(n), results.done(n));
    }
    store.open(2);
    for n in 0..=5 {
        assert_eq!(results.next(), (n, Ok(())));
        assert!(store.get(Table::Log, &n.to_be_bytes()).unwrap().is_some());
    }
    assert_eq!(store.inner.syncs(), 2);
    assert_eq!(store.inner.writes(), 1 + 3);
}

#[test]
fn an_empty_batch_waits_for_what_was_written_before() {
    let store = Arc::new(MemStore::new());
    let commit = start(&store, CommitOptions::default());
    let results = Results::new();
    store.write(one(1)).unwrap();
    assert_eq!(store.unsynced(), 1);
    commit.submit(Batch::new(), results.done(1));
    assert_eq!(results.next(), (1, Ok(())));
    assert_eq!(store.unsynced(), 0);
    assert_eq!(store.writes(), 1);
}

#[test]
fn after_a_failure_everything_fails() {
    let failures: [fn(&MemStore); 3] = [
        MemStore::fail_next_write,
        MemStore::fail_next_sync,
        |store| store.set_capacity(Some(1)),
    ];
    for fail in failures {
        let store = Arc::new(MemStore::new());
        let commit = start(&store, CommitOptions::default());
        let failed = commit.failed();
        assert_eq!(*failed.borrow(), None);
        fail(&store);
        let results = Results::new();
        commit.submit(one(1), results.done(1));
        let (_, result) = results.next();
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
        commit.submit(one(2), results.done(2));
        assert_eq!(results.next(), (2, Err(error.clone())));
        commit.stop();
        assert_eq!(*failed.borrow(), Some(error));
    }
}

#[test]
fn those_who_wait_at_a_failure_fail_too() {
    let store = Arc::new(Gated::default());
    let commit = start(&store, CommitOptions::default());
    let results = Results::new();
    commit.submit(one(0), results.done(0));
    store.wait_for_sync(1);
    for n in 1..=3 {
        commit.submit(one(n), results.done(n));
    }
    store.inner.fail_next_sync();
    store.open(1);
    for n in 0..=3 {
        let (of, result) = results.next();
        assert_eq!(of, n);
        assert!(matches!(result, Err(StoreError::Failed { .. })));
    }
}

#[test]
fn a_full_queue_makes_submitters_wait() {
    let store = Arc::new(Gated::default());
    let options = CommitOptions {
        waiting: 2,
        merge_bytes: 0,
        ..CommitOptions::default()
    };
    let commit = start(&store, options);
    let results = Results::new();
    let callbacks: Vec<_> = (0..20).map(|n| (n, results.done(n))).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            for (n, done) in callbacks {
                commit.submit(one(n), done);
            }
        });
        store.wait_for_sync(1);
        store.open(usize::MAX);
    });
    for n in 0..20 {
        assert_eq!(results.next(), (n, Ok(())));
    }
    let most = store.most.load(Ordering::SeqCst);
    assert!(most <= 2, "{most} batches were taken at once");
}

#[test]
fn bytes_bound_the_queue_but_never_a_single_batch() {
    let store = Arc::new(Gated::default());
    let options = CommitOptions {
        waiting_bytes: 1,
        merge_bytes: 0,
        ..CommitOptions::default()
    };
    let commit = start(&store, options);
    let results = Results::new();
    store.open(usize::MAX);
    for n in 0..20 {
        commit.submit(one(n), results.done(n));
    }
    for n in 0..20 {
        assert_eq!(results.next(), (n, Ok(())));
    }
    assert_eq!(store.most.load(Ordering::SeqCst), 1);
}

#[test]
fn a_callback_may_submit_when_the_queue_is_full() {
    let store = Arc::new(Gated::default());
    let options = CommitOptions {
        waiting: 1,
        ..CommitOptions::default()
    };
    let commit = Arc::new(start(&store, options));
    let results = Results::new();
    let (again, last) = (Arc::clone(&commit), results.done(3));
    let first = Box::new(move |_| again.submit(one(3), last));
    commit.submit(one(1), first);
    store.wait_for_sync(1);
    commit.submit(one(2), results.done(2));
    store.open(usize::MAX);
    assert_eq!(results.next(), (2, Ok(())));
    assert_eq!(results.next(), (3, Ok(())));
}

#[test]
fn stopping_commits_what_waits() {
    let store = Arc::new(Gated::default());
    let commit = Arc::new(start(&store, CommitOptions::default()));
    let results = Results::new();
    commit.submit(one(0), results.done(0));
    store.wait_for_sync(1);
    for n in 1..=3 {
        commit.submit(one(n), results.done(n));
    }
    store.open(usize::MAX);
    commit.stop();
    for n in 0..=3 {
        assert_eq!(results.next(), (n, Ok(())));
    }
    commit.submit(one(4), results.done(4));
    assert_eq!(results.next(), (4, Err(StoreError::Closed)));
    assert_eq!(store.get(Table::Log, &4u64.to_be_bytes()), Ok(None));
    assert_eq!(*commit.failed().borrow(), None);
    commit.stop();
}

#[test]
fn a_callback_that_panics_stops_the_committer_and_hangs_nobody() {
    let store = Arc::new(MemStore::new());
    let commit = start(&store, CommitOptions::default());
    let results = Results::new();
    commit.submit(one(1), Box::new(|_| panic!("on purpose, in a callback")));
    commit.submit(one(2), results.done(2));
    commit.stop();
    // Committed with the first, dropped with its panic, or failed after it:
    // but not left waiting, and nothing more is taken.
    commit.submit(one(3), results.done(3));
    let last = std::iter::from_fn(|| Some(results.next())).find(|(n, _)| *n == 3);
    let (_, result) = last.unwrap();
    assert!(
        matches!(result, Err(StoreError::Failed { .. })),
        "{result:?}"
    );
}

#[test]
fn the_last_handle_may_go_away_in_a_callback() {
    let store = Arc::new(Gated::default());
    let commit = Arc::new(start(&store, CommitOptions::default()));
    let results = Results::new();
    let (last, done) = (Arc::clone(&commit), results.done(1));
    commit.submit(
        one(1),
        Box::new(move |result| {
            drop(last);
            done(result);
        }),
    );
    store.wait_for_sync(1);
    drop(commit);
    store.open(1);
    assert_eq!(results.next(), (1, Ok(())));
}
