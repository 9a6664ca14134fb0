//! Length-delimited frames on a QUIC stream.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use folkmoot_wire::{Code, frame::PREFIX};
use quinn::{ReadError, RecvStream, SendStream, VarInt, WriteError};

use super::connection::{Inner, lost};
use super::deframe::Deframer;
use crate::error::{Result, TransportError};
use crate::port::{FrameRecv, FrameSend};

/// How long `finish` waits for the peer's acknowledgement.
const FINISH_WAIT: Duration = Duration::from_secs(5);
/// Most bytes taken from a stream at once.
const CHUNK: usize = 256 * 1024;
/// Frames up to this size are copied into one chunk with their neighbours.
const COPIED: usize = 1_024;

pub(super) struct QuicSend {
    pub(super) stream: SendStream,
    pub(super) inner: Arc<Inner>,
    pub(super) max: usize,
    /// A send was begun and not completed.
    pub(super) midway: bool,
}

impl QuicSend {
    async fn write(&mut self, frames: &[Bytes]) -> Result<()> {
        if self.midway {
            return Err(TransportError::Interrupted);
        }
        for frame in frames {
            if frame.len() > self.max {
                return Err(TransportError::FrameTooLarge {
                    len: frame.len(),
                    max: self.max,
                });
            }
        }
        let mut chunks = chunks(frames);
        self.midway = true;
        let written = self.stream.write_all_chunks(&mut chunks).await;
        self.midway = false;
        written.map_err(|error| write_error(&self.inner, error))?;
        for frame in frames {
            self.inner.meter.sent(frame.len(), PREFIX);
        }
        Ok(())
    }
}

/// Frames with their lengths. Large ones are handed over, not copied; small
/// ones are copied together: each chunk costs the stream more than a copy.
fn chunks(frames: &[Bytes]) -> Vec<Bytes> {
    let small = |frame: &Bytes| frame.len() <= COPIED;
    let copied: usize = frames
        .iter()
        .map(|frame| PREFIX + if small(frame) { frame.len() } else { 0 })
        .sum();
    let (mut buffer, mut chunks) = (BytesMut::with_capacity(copied), Vec::new());
    for frame in frames {
        buffer.extend_from_slice(&(frame.len() as u32).to_be_bytes());
        if small(frame) {
            buffer.extend_from_slice(frame);
        } else {
            chunks.push(buffer.split().freeze());
            chunks.push(frame.clone());
        }
    }
    if !buffer.is_empty() {
        chunks.push(buffer.freeze());
    }
    chunks
}

#[async_trait]
impl FrameSend for QuicSend {
    async fn send(&mut self, frame: Bytes) -> Result<()> {
        self.write(std::slice::from_ref(&frame)).await
    }

    async fn send_many(&mut self, frames: &[Bytes]) -> Result<()> {
        self.write(frames).await
    }

    async fn finish(&mut self) -> Result<()> {
        if self.midway {
            return Err(TransportError::Interrupted);
        }
        self.stream
            .finish()
            .map_err(|_| TransportError::StreamFinished)?;
        match tokio::time::timeout(FINISH_WAIT, self.stream.stopped()).await {
            // Acknowledged, or the peer wants no more of it.
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(self.inner.why()),
            Err(_) => Err(TransportError::Deadline {
                what: "the peer's acknowledgement of a finished stream",
                after: FINISH_WAIT,
            }),
        }
    }
}

impl Drop for QuicSend {
    fn drop(&mut self) {
        // Half a frame must not look like the end of a stream.
        if self.midway {
            let code = VarInt::from_u32(Code::Internal as u32);
            let _ = self.stream.reset(code);
        }
    }
}

pub(super) struct QuicRecv {
    pub(super) stream: RecvStream,
    pub(super) inner: Arc<Inner>,
    pub(super) deframer: Deframer,
}

#[async_trait]
impl FrameRecv for QuicRecv {
    async fn recv(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.deframer.next() {
                Ok(Some(frame)) => {
                    self.inner.meter.received(frame.len(), PREFIX);
                    return Ok(Some(frame));
                }
                Ok(None) => {}
                Err(error) => {
                    let code = VarInt::from_u32(error.code() as u32);
                    let _ = self.stream.stop(code);
                    return Err(error);
                }
            }
            match self.stream.read_chunk(CHUNK, true).await {
                Ok(Some(chunk)) => self.deframer.push(chunk.bytes),
                Ok(None) if self.deframer.between_frames() => return Ok(None),
                Ok(None) => return Err(TransportError::Truncated),
                Err(error) => return Err(read_error(&self.inner, error)),
            }
        }
    }
}

fn write_error(inner: &Inner, error: WriteError) -> TransportError {
    match error {
        WriteError::Stopped(code) => TransportError::StreamReset {
            code: u32::try_from(code.into_inner()).unwrap_or(u32::MAX),
        },
        WriteError::ConnectionLost(error) => lost(error),
        WriteError::ClosedStream => TransportError::StreamFinished,
        WriteError::ZeroRttRejected => inner.why(),
    }
}

fn read_error(inner: &Inner, error: ReadError) -> TransportError {
    match error {
        ReadError::Reset(code) => TransportError::StreamReset {
            code: u32::try_from(code.into_inner()).unwrap_or(u32::MAX),
        },
        ReadError::ConnectionLost(error) => lost(error),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead => TransportError::StreamFinished,
        ReadError::ZeroRttRejected => inner.why(),
    }
}
