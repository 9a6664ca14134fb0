//! The stream of a group's entries, and its back-pressure: the engine gives
//! out only what the reader has room for, and the rest stays at the edge.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use folkmoot_wire::GroupId;
use futures_util::Stream;
use tokio::sync::{Notify, mpsc};

use crate::core::timeline::Point;
use crate::entry::Entry;

/// Groups whose reader has taken something; wakes the driver.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    dirty: Mutex<BTreeSet<GroupId>>,
    pub(crate) notify: Notify,
}

impl Wakers {
    fn wake(&self, group: GroupId) {
        lock(&self.dirty).insert(group);
        self.notify.notify_one();
    }

    pub(crate) fn take(&self) -> BTreeSet<GroupId> {
        std::mem::take(&mut *lock(&self.dirty))
    }
}

/// What reader and engine share.
#[derive(Debug, Default)]
struct Shared {
    /// Room made since the engine last asked.
    credit: usize,
    /// The last entry the reader was given.
    given: Option<Point>,
    /// The last entry it is done with: it has asked for the one behind.
    done: Option<Point>,
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Feed {
    tx: mpsc::Sender<Entry>,
    shared: Arc<Mutex<Shared>>,
}

impl Feed {
    /// Hands an entry on; false: the reader is gone.
    pub(crate) fn push(&self, entry: Entry) -> bool {
        self.tx.try_send(entry).is_ok()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tx.is_closed()
    }

    pub(crate) fn take_credit(&self) -> usize {
        std::mem::take(&mut lock(&self.shared).credit)
    }

    pub(crate) fn given(&self) -> Option<Point> {
        lock(&self.shared).given
    }

    pub(crate) fn done(&self) -> Option<Point> {
        lock(&self.shared).done
    }
}

/// The entries of a group, each once and in order, from where reading began.
///
/// An entry counts as read when the next one is asked for: with a local store
/// reading goes on behind it after a restart.
#[derive(Debug)]
pub struct Entries {
    group: GroupId,
    rx: mpsc::Receiver<Entry>,
    shared: Arc<Mutex<Shared>>,
    wakers: Arc<Wakers>,
    capacity: usize,
}

/// Makes both ends. `capacity`: entries that wait for the reader at most.
pub(crate) fn feed(group: GroupId, capacity: usize, wakers: Arc<Wakers>) -> (Feed, Entries) {
    let capacity = capacity.max(1);
    let (tx, rx) = mpsc::channel(capacity);
    let shared = Arc::new(Mutex::new(Shared {
        credit: capacity,
        ..Shared::default()
    }));
    let feed = Feed {
        tx,
        shared: shared.clone(),
    };
    let entries = Entries {
        group,
        rx,
        shared,
        wakers,
        capacity,
    };
    (feed, entries)
}

impl Entries {
    /// The next entry; waits for it. `None`: the group was deactivated, access
    /// to it was lost, another reader took over, or the client was closed.
    pub async fn next(&mut self) -> Option<Entry> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Entry>> {
        {
            let mut shared = lock(&self.shared);
            shared.done = shared.given;
        }
        let polled = self.rx.poll_recv(cx);
        let is_idle = match &polled {
            Poll::Ready(Some(entry)) => {
                let mut shared = lock(&self.shared);
                shared.given = Some(Point {
                    seq: entry.seq(),
                    chain: Some(entry.chain),
                });
                shared.credit += 1;
                // Seldom enough not to wake the driver for every entry, early
                // enough that pushes find room.
                shared.credit >= self.capacity.div_ceil(2)
            }
            Poll::Ready(None) => false,
            Poll::Pending => lock(&self.shared).credit > 0,
        };
        if is_idle {
            self.wakers.wake(self.group);
        }
        polled
    }
}

impl Stream for Entries {
    type Item = Entry;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Entry>> {
        self.poll(cx)
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        self.wakers.wake(self.group);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
