//! One connection with its one stream, and what waits to be written to it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_transport::{Carrier, Connection, FrameRecv, FrameSend, Result, TransportError};
use folkmoot_wire::Code;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use super::dial::Dialed;

/// Frames written in one go.
const FRAMES_AT_ONCE: usize = 128;

type Writing = BoxFuture<'static, (Box<dyn FrameSend>, Result<()>)>;

/// A sender is either at rest or inside a write, which is never dropped half
/// way: that could leave half a frame on the stream.
enum Writer {
    Idle(Box<dyn FrameSend>),
    Busy(Writing),
    Broken,
}

pub(super) struct Link {
    edge: String,
    connection: Arc<dyn Connection>,
    rx: Box<dyn FrameRecv>,
    writer: Writer,
    /// Bounded by the requests that may be open at once.
    queue: VecDeque<Bytes>,
}

impl Link {
    pub(super) fn new(dialed: Dialed) -> Self {
        Self {
            edge: dialed.edge,
            connection: dialed.connection,
            rx: dialed.stream.rx,
            writer: Writer::Idle(dialed.stream.tx),
            queue: VecDeque::new(),
        }
    }

    pub(super) fn edge(&self) -> &str {
        &self.edge
    }

    pub(super) fn carrier(&self) -> Carrier {
        self.connection.kind()
    }

    pub(super) fn queue(&mut self, frames: Vec<Bytes>) {
        self.queue.extend(frames);
    }

    pub(super) fn close(&self, code: u32, reason: &str) {
        self.connection.close(code, reason);
    }

    /// Writes what waits and receives. `None`: something was written. May be
    /// dropped at any point.
    pub(super) async fn advance(&mut self) -> Result<Option<Bytes>> {
        self.start_writing();
        let Self { rx, writer, .. } = self;
        tokio::select! {
            biased;
            written = write(writer) => written.map(|()| None),
            frame = rx.recv() => match frame? {
                Some(frame) => Ok(Some(frame)),
                None => Err(TransportError::StreamFinished),
            },
        }
    }

    /// Whether anything is heard until this time. Nothing more is written, and
    /// the connection ends here.
    pub(super) async fn was_there(mut self, until: Instant) -> bool {
        let heard = timeout_at(until, self.rx.recv()).await;
        self.close(Code::IdleTimeout as u32, Code::IdleTimeout.name());
        matches!(heard, Ok(Ok(Some(_))))
    }

    /// Writes everything and ends the stream.
    pub(super) async fn finish(&mut self) -> Result<()> {
        loop {
            self.start_writing();
            match &mut self.writer {
                Writer::Idle(tx) => return tx.finish().await,
                Writer::Busy(_) => write(&mut self.writer).await?,
                Writer::Broken => return Err(TransportError::StreamFinished),
            }
        }
    }

    fn start_writing(&mut self) {
        if self.queue.is_empty() || !matches!(self.writer, Writer::Idle(_)) {
            return;
        }
        if let Writer::Idle(mut tx) = std::mem::replace(&mut self.writer, Writer::Broken) {
            let count = self.queue.len().min(FRAMES_AT_ONCE);
            let frames: Vec<Bytes> = self.queue.drain(..count).collect();
            self.writer = Writer::Busy(Box::pin(async move {
                let written = tx.send_many(&frames).await;
                (tx, written)
            }));
        }
    }
}

/// Completes the write under way; waits for ever when there is none.
async fn write(writer: &mut Writer) -> Result<()> {
    match writer {
        Writer::Busy(writing) => {
            let (tx, written) = writing.await;
            *writer = Writer::Idle(tx);
            written
        }
        Writer::Idle(_) | Writer::Broken => std::future::pending().await,
    }
}
