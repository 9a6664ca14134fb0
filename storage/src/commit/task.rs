//! Group commit on a tokio task, for the simulator: a sync takes virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Commit, CommitOptions, Done, Queue, stopped_by, write_all};
use crate::{Batch, Store, StoreError};

struct State {
    queue: Queue,
    stopped: Option<StoreError>,
}

struct Shared {
    store: Arc<dyn Store>,
    options: CommitOptions,
    /// What a sync takes, in microseconds.
    latency: AtomicU64,
    state: Mutex<State>,
    work: Notify,
    failed: watch::Sender<Option<StoreError>>,
}

/// Commits on a task of the runtime it was started on. What waits is written
/// at once, and is durable a (virtual) time later that can be set: a crash in between
/// finds it visible and not durable.
///
/// Overflow: a task cannot wait inside `submit`, so a batch that finds no room
/// fails with [`StoreError::Busy`]. After a failure as
/// [`ThreadCommit`](super::ThreadCommit).
pub struct TaskCommit {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl TaskCommit {
    /// Starts the task; to be called on a tokio runtime with time enabled.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, options: CommitOptions, latency: Duration) -> Self {
        let shared = Arc::new(Shared {
            store,
            options,
            latency: AtomicU64::new(micros(latency)),
            state: Mutex::new(State {
                queue: Queue::default(),
                stopped: None,
            }),
            work: Notify::new(),
            failed: watch::Sender::new(None),
        });
        let worker = Arc::clone(&shared);
        let task = tokio::spawn(async move { worker.run().await });
        Self { shared, task }
    }

    /// Holds the failure once there is one.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<Option<StoreError>> {
        self.shared.failed.subscribe()
    }

    /// Syncs take so long from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.shared
            .latency
            .store(micros(latency), Ordering::Relaxed);
    }

    /// Takes nothing more; what waits is still committed.
    pub fn stop(&self) {
        let mut state = self.shared.state.lock();
        state.stopped.get_or_insert(StoreError::Closed);
        drop(state);
        self.shared.work.notify_one();
    }
}

fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)
}

impl Drop for TaskCommit {
    /// Like the end of a process: what waits is neither committed nor called
    /// back.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Commit for TaskCommit {
    fn submit(&self, batch: Batch, done: Done) {
        let mut state = self.shared.state.lock();
        let refused = match state.stopped.clone() {
            Some(error) => Some(error),
            None if !state.queue.has_room(&batch, &self.shared.options) => Some(StoreError::Busy {
                limit: self.shared.options.waiting,
            }),
            None => None,
        };
        if let Some(error) = refused {
            drop(state);
            done(Err(error));
            return;
        }
        state.queue.push(batch, done);
        drop(state);
        self.shared.work.notify_one();
    }
}

impl Shared {
    async fn run(&self) {
        loop {
            let (waiting, stopped) = {
                let mut state = self.state.lock();
                (state.queue.take(), state.stopped.is_some())
            };
            if waiting.is_empty() {
                if stopped {
                    return;
                }
                self.work.notified().await;
                continue;
            }
            let (done, written) = write_all(&*self.store, waiting, self.options.merge_bytes);
            let latency = self.latency.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_micros(latency)).await;
            match written.and_then(|()| self.store.sync()) {
                Ok(()) => {
                    for done in done {
                        done(Ok(()));
                    }
                }
                Err(error) => {
                    self.fail(done, stopped_by(error));
                    return;
                }
            }
        }
    }

    fn fail(&self, done: Vec<Done>, error: StoreError) {
        let mut left = {
            let mut state = self.state.lock();
            state.stopped = Some(error.clone());
            std::mem::take(&mut state.queue)
        };
        for done in done {
            done(Err(error.clone()));
        }
        left.fail(&error);
        self.failed.send_replace(Some(error));
    }
}
