//! What waits to be written to one client: bounded, and the overflow policy
//! has a name (D14).
//!
//! Pushes that find no room collapse, per group, into one `Gap{group, head}`
//! that goes out when there is room again; the client closes it by fetching.
//! Replies wait for room, and so, in the end, does the reading of requests.
//! A client that takes nothing at all is cut off by the writer.

mod queue;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use bytes::Bytes;
use folkmoot_wire::proto::Head;
use folkmoot_wire::{Code, GroupId};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use queue::{Limits, OutboundQueue, Pushed};

/// Frames written in one flush.
const BATCH_FRAMES: usize = 256;
/// Bytes written in one flush (or one frame, if that is larger).
const BATCH_BYTES: usize = 256 * 1024;

/// The queue of one session, shared by who pushes, who replies and the writer.
pub struct Outbound {
    queue: Mutex<OutboundQueue>,
    /// Something to write, or no more to come.
    filled: Notify,
    /// Room for replies, or closed.
    room: Notify,
    broken: OnceLock<Code>,
    broke: Notify,
}

impl Outbound {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            queue: Mutex::new(OutboundQueue::new(limits)),
            filled: Notify::new(),
            room: Notify::new(),
            broken: OnceLock::new(),
            broke: Notify::new(),
        }
    }

    /// Queues one push of a group, or collapses it. `head` is what the client
    /// has to fetch up to if it does not get this push.
    pub fn push(&self, group: GroupId, head: &Head, frame: Bytes) -> Pushed {
        let pushed = self.queue.lock().push(group, head, frame);
        self.filled.notify_one();
        pushed
    }

    /// Queues a frame that the client can do without, when there is room.
    pub fn aside(&self, group: &GroupId, frame: Bytes) {
        if self.queue.lock().aside(group, frame) {
            self.filled.notify_one();
        }
    }

    /// The client misses something of `group` up to `head`.
    pub fn gap(&self, group: GroupId, head: &Head) {
        self.queue.lock().gap(group, head);
        self.filled.notify_one();
    }

    /// A passive group moved on; a later bump of the same group replaces one
    /// that still waits for room.
    pub fn bump(&self, group: GroupId, head: &Head, unread: u64) {
        self.queue.lock().bump(group, head, unread);
        self.filled.notify_one();
    }

    /// The client lost its access: nothing of the group is sent after this.
    pub fn lose(&self, group: GroupId, code: Code) {
        self.queue.lock().lose(group, code);
        self.filled.notify_one();
    }

    /// Queues a reply when there is room for it. After the session has ended
    /// the reply is dropped.
    pub async fn reply(&self, frame: Bytes) {
        self.with_room(frame.len(), |queue| queue.reply(frame))
            .await;
    }

    /// Runs `write` on the queue once a reply of `len` bytes has room.
    async fn with_room(&self, len: usize, write: impl FnOnce(&mut OutboundQueue)) {
        let mut write = Some(write);
        // Nearly always there is room: no need to queue up for it.
        while !self.write_if_room(len, &mut write) {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.write_if_room(len, &mut write) {
                break;
            }
            room.await;
        }
    }

    /// Whether that is settled: written, or there is nobody to write to.
    fn write_if_room(
        &self,
        len: usize,
        write: &mut Option<impl FnOnce(&mut OutboundQueue)>,
    ) -> bool {
        let mut queue = self.queue.lock();
        if queue.is_closed() {
            return true;
        }
        if !queue.reply_fits(len) {
            return false;
        }
        if let Some(write) = write.take() {
            write(&mut queue);
        }
        drop(queue);
        self.filled.notify_one();
        true
    }

    /// Waits for room for a reply of `len` bytes that [`Outbound::uncork`]
    /// will queue. Another reply may take the room meanwhile: the bound is
    /// then exceeded by that one reply.
    pub async fn reserve(&self, len: usize) {
        self.with_room(len, |_| {}).await;
    }

    /// From here on pushes wait behind a reply that is still being made.
    pub fn cork(&self) {
        self.queue.lock().cork();
    }

    /// The reply, and behind it what was pushed since [`Outbound::cork`].
    pub fn uncork(&self, replies: impl IntoIterator<Item = Bytes>) {
        self.queue.lock().uncork(replies);
        self.filled.notify_one();
    }

    /// Forgets a gap, bump or loss of `group` that still waits for room.
    pub fn forget(&self, group: &GroupId) {
        self.queue.lock().forget(group);
    }

    /// Queues a last word, whatever the room; pushes end here.
    pub fn last(&self, frame: Bytes) {
        self.queue.lock().last(frame);
        self.filled.notify_one();
    }

    /// Takes no more. What is queued is still written.
    pub fn close(&self) {
        self.queue.lock().close();
        self.filled.notify_one();
        self.room.notify_waiters();
    }

    /// The next frames to write, in order; `None` after the last one.
    pub async fn next(&self) -> Option<Vec<Bytes>> {
        loop {
            {
                let mut queue = self.queue.lock();
                let batch = queue.pop(BATCH_FRAMES, BATCH_BYTES);
                if !batch.is_empty() {
                    drop(queue);
                    self.room.notify_waiters();
                    return Some(batch);
                }
                if queue.is_closed() {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// The writer cannot go on: with `slow_consumer` the client took nothing.
    pub fn fail(&self, code: Code) {
        let _ = self.broken.set(code);
        self.close();
        self.queue.lock().clear();
        self.broke.notify_one();
    }

    /// Waits until the writer has failed. For one waiter.
    pub async fn failed(&self) -> Code {
        loop {
            if let Some(code) = self.broken.get() {
                return *code;
            }
            self.broke.notified().await;
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.queue.lock().bytes()
    }

    /// Gaps made so far.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.queue.lock().gaps()
    }
}
