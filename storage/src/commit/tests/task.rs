use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::{Commit, CommitOptions, TaskCommit};
use super::one;
use crate::{Batch, Crash, MemStore, Read, Store, StoreError, Table};

const LATENCY: Duration = Duration::from_millis(3);

fn start(store: &Arc<MemStore>, options: CommitOptions) -> TaskCommit {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    TaskCommit::start(store, options, LATENCY)
}

fn submit(commit: &TaskCommit, batch: Batch) -> oneshot::Receiver<Result<(), StoreError>> {
    let (sender, receiver) = oneshot::channel();
    let done = Box::new(move |result| {
        let _ = sender.send(result);
    });
    commit.submit(batch, done);
    receiver
}

fn has(store: &dyn Read, n: u64) -> bool {
    store.get(Table::Log, &n.to_be_bytes()).unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_sync_takes_its_latency_and_is_shared() {
    let store = Arc::new(MemStore::new());
    let commit = start(&store, CommitOptions::default());
    let begin = Instant::now();
    let all: Vec<_> = (0..50).map(|n| submit(&commit, one(n))).collect();
    for one in all {
        assert_eq!(one.await.unwrap(), Ok(()));
    }
    assert_eq!(begin.elapsed(), LATENCY);
    assert_eq!(store.syncs(), 1);
    assert_eq!(submit(&commit, Batch::new()).await.unwrap(), Ok(()));
    assert_eq!(begin.elapsed(), 2 * LATENCY);
    assert_eq!(store.syncs(), 2);
    commit.set_latency(3 * LATENCY);
    assert_eq!(submit(&commit, one(50)).await.unwrap(), Ok(()));
    assert_eq!(begin.elapsed(), 5 * LATENCY);
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_sync_takes_it_all() {
    let store = Arc::new(MemStore::new());
    let commit = start(&store, CommitOptions::default());
    assert_eq!(submit(&commit, one(1)).await.unwrap(), Ok(()));
    let second = submit(&commit, one(2));
    tokio::time::sleep(LATENCY / 2).await;
    assert!(has(&*store, 2), "visible before it is durable");
    let survivor = store.crash(Crash::LoseUnsynced);
    assert!(has(&survivor, 1));
    assert!(!has(&survivor, 2));
    assert_eq!(second.await.unwrap(), Err(StoreError::Closed));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_process_calls_nobody_back() {
    let store = Arc::new(MemStore::new());
    let commit = start(&store, CommitOptions::default());
    let waiting = submit(&commit, one(1));
    drop(commit);
    assert!(waiting.await.is_err(), "the callback was dropped");
    tokio::time::sleep(10 * LATENCY).await;
    assert_eq!(store.syncs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_answers_busy() {
    let store = Arc::new(MemStore::new());
    let options = CommitOptions {
        waiting: 2,
        ..CommitOptions::default()
    };
    let commit = start(&store, options);
    let (one_, two) = (submit(&commit, one(1)), submit(&commit, one(2)));
    let three = submit(&commit, one(3)).await.unwrap();
    assert_eq!(three, Err(StoreError::Busy { limit: 2 }));
    assert_eq!(one_.await.unwrap(), Ok(()));
    assert_eq!(two.await.unwrap(), Ok(()));
    assert!(!has(&*store, 3));
    assert_eq!(submit(&commit, one(4)).await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_failure_stops_it_and_is_told() {
    let store = Arc::new(MemStore::new());
    let commit = start(&store, CommitOptions::default());
    let mut failed = commit.failed();
    store.fail_next_sync();
    let waiting = submit(&commit, one(1));
    failed.changed().await.unwrap();
    let error = failed.borrow().clone().unwrap();
    assert!(matches!(error, StoreError::Failed { .. }));
    assert_eq!(waiting.await.unwrap(), Err(error.clone()));
    assert_eq!(submit(&commit, one(2)).await.unwrap(), Err(error));
}

#[tokio::test(start_paused = true)]
async fn stopping_commits_what_waits() {
    let store = Arc::new(MemStore::new());
    let commit = start(&store, CommitOptions::default());
    let waiting = submit(&commit, one(1));
    commit.stop();
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let late = submit(&commit, one(2)).await.unwrap();
    assert_eq!(late, Err(StoreError::Closed));
}
