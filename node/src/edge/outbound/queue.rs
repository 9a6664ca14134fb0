//! The pure core of a session's queue.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use folkmoot_wire::proto::{AccessLost, Bump, Gap, Head, ServerFrame, server_frame};
use folkmoot_wire::{Code, GroupId, limits};
use prost::Message;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Frames.
    pub frames: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frames: limits::SESSION_QUEUE,
            bytes: limits::SESSION_QUEUE_BYTES,
        }
    }
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It will be written.
    Queued,
    /// It was dropped; a `Gap` up to its head will be written instead.
    Collapsed,
}

/// What waits for room, one per group.
#[derive(Debug, Clone)]
enum Pending {
    Bump(Head, u64),
    Gap(Head),
    Lost(Code),
}

/// What waits to be written to one client.
///
/// Bounded: at most `limits` of frames, and one `Pending` for each group of
/// the session (whose number its registration bounds). A quarter is kept for
/// replies, so that pushes cannot starve them.
#[derive(Debug)]
pub struct OutboundQueue {
    limits: Limits,
    queue: VecDeque<Bytes>,
    /// Behind a reply that is still being made.
    corked: Option<VecDeque<Bytes>>,
    frames: usize,
    bytes: usize,
    pending: BTreeMap<GroupId, Pending>,
    gaps: u64,
    /// No more pushes.
    ended: bool,
    /// No more of anything.
    closed: bool,
}

impl OutboundQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            queue: VecDeque::new(),
            corked: None,
            frames: 0,
            bytes: 0,
            pending: BTreeMap::new(),
            gaps: 0,
            ended: false,
            closed: false,
        }
    }

    fn push_fits(&self, len: usize) -> bool {
        let Limits { frames, bytes } = self.limits;
        self.frames < frames - frames / 4 && self.bytes + len <= bytes - bytes / 4
    }

    /// Whether a reply of `len` bytes has room. An empty queue takes any.
    #[must_use]
    pub fn reply_fits(&self, len: usize) -> bool {
        let within = self.frames < self.limits.frames && self.bytes + len <= self.limits.bytes;
        within || self.frames == 0
    }

    fn enqueue(&mut self, frame: Bytes) {
        self.frames += 1;
        self.bytes += frame.len();
        match &mut self.corked {
            Some(corked) => corked.push_back(frame),
            None => self.queue.push_back(frame),
        }
    }

    /// Queues one push of a group, or collapses it. While a gap of the group
    /// waits, everything of the group goes into it: what is behind a gap
    /// cannot overtake it.
    pub fn push(&mut self, group: GroupId, head: &Head, frame: Bytes) -> Pushed {
        if self.ended {
            return Pushed::Collapsed;
        }
        let behind = matches!(
            self.pending.get(&group),
            Some(Pending::Gap(_) | Pending::Lost(_))
        );
        if behind || !self.push_fits(frame.len()) {
            self.gap(group, head);
            return Pushed::Collapsed;
        }
        self.enqueue(frame);
        Pushed::Queued
    }

    /// Queues a frame that the client can do without; false: it was dropped.
    pub fn aside(&mut self, group: &GroupId, frame: Bytes) -> bool {
        let fits = !self.ended && self.push_fits(frame.len());
        let behind = matches!(
            self.pending.get(group),
            Some(Pending::Gap(_) | Pending::Lost(_))
        );
        if fits && !behind {
            self.enqueue(frame);
        }
        fits && !behind
    }

    /// The client misses something of `group` up to `head`.
    pub fn gap(&mut self, group: GroupId, head: &Head) {
        if self.ended {
            return;
        }
        match self.pending.get_mut(&group) {
            Some(Pending::Lost(_)) => return,
            Some(Pending::Gap(held)) => {
                if (held.seq, held.version) < (head.seq, head.version) {
                    held.clone_from(head);
                }
            }
            Some(Pending::Bump(..)) | None => {
                self.gaps += 1;
                self.pending.insert(group, Pending::Gap(head.clone()));
            }
        }
        self.settle();
    }

    /// A passive group moved on.
    pub fn bump(&mut self, group: GroupId, head: &Head, unread: u64) {
        if self.ended {
            return;
        }
        match self.pending.get(&group) {
            Some(Pending::Gap(_) | Pending::Lost(_)) => return,
            Some(Pending::Bump(..)) | None => {
                let bump = Pending::Bump(head.clone(), unread);
                self.pending.insert(group, bump);
            }
        }
        self.settle();
    }

    /// Access is lost: it takes the place of a gap or bump.
    pub fn lose(&mut self, group: GroupId, code: Code) {
        if !self.ended {
            self.pending.insert(group, Pending::Lost(code));
            self.settle();
        }
    }

    /// Queues a reply; the caller asked [`OutboundQueue::reply_fits`].
    pub fn reply(&mut self, frame: Bytes) {
        if !self.closed {
            // A cork holds back pushes, not replies.
            self.frames += 1;
            self.bytes += frame.len();
            self.queue.push_back(frame);
        }
    }

    /// From here on pushes wait for [`OutboundQueue::uncork`].
    pub fn cork(&mut self) {
        self.corked.get_or_insert_default();
    }

    /// Replies, and behind them what was pushed since the cork.
    pub fn uncork(&mut self, replies: impl IntoIterator<Item = Bytes>) {
        for reply in replies {
            self.reply(reply);
        }
        if let Some(corked) = self.corked.take() {
            self.queue.extend(corked);
        }
        self.settle();
    }

    /// Forgets what waits for room for `group`.
    pub fn forget(&mut self, group: &GroupId) {
        self.pending.remove(group);
    }

    /// A last push; what still waited for room is dropped with it: a client
    /// that comes back resumes by `(seq, chain)` anyway.
    pub fn last(&mut self, frame: Bytes) {
        if self.ended {
            return;
        }
        self.uncork([frame]);
        self.ended = true;
        self.pending.clear();
    }

    /// Takes no more.
    pub fn close(&mut self) {
        self.ended = true;
        self.closed = true;
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.corked = None;
        self.pending.clear();
        (self.frames, self.bytes) = (0, 0);
    }

    /// Whether it takes no more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The next frames: at most `frames`, and at most `bytes` unless the first
    /// alone is larger. What waited for room then gets it.
    pub fn pop(&mut self, frames: usize, bytes: usize) -> Vec<Bytes> {
        let (mut batch, mut taken) = (Vec::new(), 0);
        while batch.len() < frames
            && let Some(frame) = self.queue.front()
            && (batch.is_empty() || taken + frame.len() <= bytes)
            && let Some(frame) = self.queue.pop_front()
        {
            taken += frame.len();
            batch.push(frame);
        }
        self.frames -= batch.len();
        self.bytes -= taken;
        self.settle();
        batch
    }

    /// Queues what waited for room, as far as it fits. Not before half of the
    /// queue is free: a gap that goes out too early is followed by the next.
    fn settle(&mut self) {
        if self.corked.is_some() {
            return;
        }
        let crowded = |queue: &Self| {
            queue.frames > queue.limits.frames / 2 || queue.bytes > queue.limits.bytes / 2
        };
        while !crowded(self)
            && let Some((group, pending)) = self.pending.pop_first()
        {
            self.enqueue(pending.encode(group));
        }
    }

    /// Frames that wait.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Groups of which something waits for room.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Gaps made so far.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps
    }
}

impl Pending {
    fn encode(self, group: GroupId) -> Bytes {
        let group = group.to_bytes();
        let body = match self {
            Self::Bump(head, unread) => server_frame::Body::Bump(Bump {
                group,
                head: Some(head),
                unread,
            }),
            Self::Gap(head) => server_frame::Body::Gap(Gap {
                group,
                head: Some(head),
            }),
            Self::Lost(code) => server_frame::Body::AccessLost(AccessLost {
                group,
                code: code as u32,
            }),
        };
        let frame = ServerFrame {
            id: 0,
            body: Some(body),
        };
        Bytes::from(frame.encode_to_vec())
    }
}
