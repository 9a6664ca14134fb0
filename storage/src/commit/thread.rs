//! Group commit on a dedicated thread, for real disks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::{Commit, CommitOptions, Done, Queue, stopped_by, write_all};
use crate::{Batch, Store, StoreError};

struct State {
    queue: Queue,
    /// Why nothing more is taken; `None` while all is well.
    stopped: Option<StoreError>,
    worker: Option<ThreadId>,
}

struct Shared {
    store: Arc<dyn Store>,
    options: CommitOptions,
    state: Mutex<State>,
    /// There is something to do.
    work: Condvar,
    /// There is room again.
    room: Condvar,
    failed: watch::Sender<Option<StoreError>>,
}

/// Commits on a thread of its own, which takes everything that waits, writes
/// it, syncs once and then calls back.
///
/// Overflow: a submitter waits for room, so that a slow disk slows down those
/// who write to it. After a failure every batch fails with
/// [`StoreError::Failed`], for good; after [`stop`](Self::stop) with
/// [`StoreError::Closed`].
pub struct ThreadCommit {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ThreadCommit {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(store: Arc<dyn Store>, options: CommitOptions) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            store,
            options,
            state: Mutex::new(State {
                queue: Queue::default(),
                stopped: None,
                worker: None,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            failed: watch::Sender::new(None),
        });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("store-commit".into())
            .spawn(move || worker.run())
            .map_err(|error| StoreError::io("start the thread that commits", &error))?;
        shared.state.lock().worker = Some(thread.thread().id());
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Holds the failure once there is one. The node then stops.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<Option<StoreError>> {
        self.shared.failed.subscribe()
    }

    /// Takes nothing more, commits what waits and ends the thread. The store
    /// stays open.
    pub fn stop(&self) {
        {
            let mut state = self.shared.state.lock();
            state.stopped.get_or_insert(StoreError::Closed);
        }
        self.shared.work.notify_all();
        self.shared.room.notify_all();
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        // The last handle may go away inside a callback; a thread does not
        // wait for itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread that commits had panicked");
        }
    }
}

impl Drop for ThreadCommit {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Commit for ThreadCommit {
    fn submit(&self, batch: Batch, done: Done) {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        loop {
            if let Some(error) = state.stopped.clone() {
                drop(state);
                done(Err(error));
                return;
            }
            // A callback that submits is on the thread that makes room: it
            // cannot wait, and there are as many of it as were just taken out.
            if state.queue.has_room(&batch, &shared.options)
                || state.worker == Some(thread::current().id())
            {
                break;
            }
            shared.room.wait(&mut state);
        }
        state.queue.push(batch, done);
        drop(state);
        shared.work.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        let ran = catch_unwind(AssertUnwindSafe(|| while self.tick() {}));
        if ran.is_err() {
            self.fail(StoreError::Failed {
                cause: "a completion callback panicked".into(),
            });
        }
    }

    /// Commits all that waits, once; whether to go on.
    fn tick(&self) -> bool {
        let waiting = {
            let mut state = self.state.lock();
            while state.queue.waiting.is_empty() {
                if state.stopped.is_some() {
                    return false;
                }
                self.work.wait(&mut state);
            }
            state.queue.take()
        };
        self.room.notify_all();
        let (done, written) = write_all(&*self.store, waiting, self.options.merge_bytes);
        match written.and_then(|()| self.store.sync()) {
            Ok(()) => {
                for done in done {
                    done(Ok(()));
                }
                true
            }
            Err(error) => {
                let error = stopped_by(error);
                // Whoever hears of it finds the committer stopped already.
                self.state.lock().stopped = Some(error.clone());
                for done in done {
                    done(Err(error.clone()));
                }
                self.fail(error);
                false
            }
        }
    }

    fn fail(&self, error: StoreError) {
        tracing::error!(%error, "commits stop");
        let mut left = {
            let mut state = self.state.lock();
            state.stopped = Some(error.clone());
            std::mem::take(&mut state.queue)
        };
        self.room.notify_all();
        left.fail(&error);
        self.failed.send_replace(Some(error));
    }
}
