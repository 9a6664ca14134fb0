//! Open requests: counted, and answered once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use folkmoot_wire::page::LogPage;
use folkmoot_wire::proto::{ServerFrame, server_frame};
use folkmoot_wire::{Code, Fault, limits};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Session;
use crate::edge::bulk::Share;

/// The open requests of one session.
pub(super) struct OpenRequests {
    ids: Mutex<BTreeSet<u64>>,
    most: usize,
    count: Arc<Semaphore>,
    most_bytes: usize,
    bytes: Arc<Semaphore>,
}

/// Why a request is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// There is an open one with this id.
    Duplicate,
    /// There are too many.
    TooMany,
}

impl OpenRequests {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            ids: Mutex::default(),
            most,
            count: Arc::new(Semaphore::new(most)),
            most_bytes,
            bytes: Arc::new(Semaphore::new(most_bytes)),
        }
    }

    /// Waits for room for a request of `len` bytes.
    pub(super) async fn room(&self, len: usize) -> Option<OwnedSemaphorePermit> {
        let permits = len.clamp(1, self.most_bytes) as u32;
        Arc::clone(&self.bytes)
            .acquire_many_owned(permits)
            .await
            .ok()
    }

    fn take(&self, id: u64) -> Result<OwnedSemaphorePermit, NotTaken> {
        let mut ids = self.ids.lock();
        if ids.contains(&id) {
            return Err(NotTaken::Duplicate);
        }
        let permit = Arc::clone(&self.count)
            .try_acquire_owned()
            .map_err(|_| NotTaken::TooMany)?;
        ids.insert(id);
        Ok(permit)
    }

    /// Waits until every request was answered.
    pub(super) async fn settled(&self) {
        // Never closed, so this fails never.
        let _ = self.count.acquire_many(self.most as u32).await;
    }
}

/// An open request. Dropped unanswered only when the session ends.
pub(in crate::edge) struct Asked {
    pub(in crate::edge) session: Arc<Session>,
    id: u64,
    answered: AtomicBool,
    _count: OwnedSemaphorePermit,
    _bytes: Option<OwnedSemaphorePermit>,
}

impl Asked {
    pub(super) fn new(
        session: &Arc<Session>,
        id: u64,
        bytes: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, NotTaken> {
        let count = session.open.take(id)?;
        Ok(Self {
            session: Arc::clone(session),
            id,
            answered: AtomicBool::new(false),
            _count: count,
            _bytes: bytes,
        })
    }

    /// Answers; waits while the client's queue is full.
    pub(in crate::edge) async fn reply(self, result: Result<server_frame::Body, Fault>) {
        let frame = self.frame(result);
        self.session.link.outbound.reply(frame).await;
    }

    /// The same with a page, for which there is room.
    pub(super) async fn reply_page(self, result: Result<LogPage, Fault>, share: Share) {
        let frame = match result {
            Ok(page) => self.bounded(page.frame(self.id)),
            Err(fault) => self.frame(Err(fault)),
        };
        self.session.link.outbound.reply(share.carry(frame)).await;
    }

    /// The answer's frame, for those who queue it themselves. The id is free
    /// again from here on; the request counts until it is dropped.
    pub(in crate::edge) fn frame(&self, result: Result<server_frame::Body, Fault>) -> Bytes {
        let body = result.unwrap_or_else(|fault| server_frame::Body::Error(fault.into()));
        self.bounded(encode(self.id, body))
    }

    fn bounded(&self, frame: Bytes) -> Bytes {
        self.free();
        if frame.len() <= limits::CLIENT_FRAME_MAX {
            return frame;
        }
        let detail = format!("the answer has {} bytes: ask for less", frame.len());
        let fault = Fault::new(Code::TooLarge, detail);
        encode(self.id, server_frame::Body::Error(fault.into()))
    }

    fn free(&self) {
        if !self.answered.swap(true, Ordering::AcqRel) {
            self.session.open.ids.lock().remove(&self.id);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.free();
    }
}

/// One frame to a client.
pub(in crate::edge) fn encode(id: u64, body: server_frame::Body) -> Bytes {
    let frame = ServerFrame {
        id,
        body: Some(body),
    };
    Bytes::from(frame.encode_to_vec())
}
