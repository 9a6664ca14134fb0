//! The two ends of a [`FairQueue`].

#[cfg(test)]
mod tests;

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::fair::{Bounds, FairQueue, Size};

struct Shared<K, T> {
    /// None: nobody takes anything any more.
    queue: Mutex<Option<FairQueue<K, T>>>,
    /// Something came, or nothing will.
    news: Notify,
    closed: AtomicBool,
}

/// Where things come in.
pub(super) struct Inlet<K, T>(Arc<Door<K, T>>);

impl<K, T> Clone for Inlet<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Door<K, T>(Arc<Shared<K, T>>);

impl<K, T> Drop for Door<K, T> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.news.notify_one();
    }
}

/// Where they are taken out, by one.
pub(super) struct Outlet<K, T>(Arc<Shared<K, T>>);

/// A queue within these bounds.
pub(super) fn fair<K: Copy + Eq + Hash + Ord, T>(bounds: Bounds) -> (Inlet<K, T>, Outlet<K, T>) {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Some(FairQueue::new(bounds))),
        news: Notify::new(),
        closed: AtomicBool::new(false),
    });
    (Inlet(Arc::new(Door(Arc::clone(&shared)))), Outlet(shared))
}

impl<K: Copy + Eq + Hash + Ord, T> Inlet<K, T> {
    /// As [`FairQueue::push`]. When nobody takes anything any more it is dropped.
    pub(super) fn push(&self, key: K, size: Size, what: T) -> Vec<T> {
        let shared = &self.0.0;
        let refused = match &mut *shared.queue.lock() {
            Some(queue) => queue.push(key, size, what),
            None => return Vec::new(),
        };
        shared.news.notify_one();
        refused
    }
}

impl<K: Copy + Eq + Hash + Ord, T> Outlet<K, T> {
    pub(super) fn try_recv(&self) -> Option<T> {
        self.0.queue.lock().as_mut()?.pop()
    }

    /// What is next; none: nothing is there and nothing will come. Nothing is
    /// lost when this is given up.
    pub(super) async fn recv(&self) -> Option<T> {
        loop {
            // Looked at first: what came before it was closed is taken.
            let closed = self.0.closed.load(Ordering::Acquire);
            if let Some(what) = self.try_recv() {
                return Some(what);
            }
            if closed {
                return None;
            }
            self.0.news.notified().await;
        }
    }
}

impl<K, T> Drop for Outlet<K, T> {
    fn drop(&mut self) {
        // Whoever waits is told by this.
        let queue = self.0.queue.lock().take();
        drop(queue);
    }
}
