//! Cuts chunks of a stream into frames. A frame that lies within one chunk is
//! a slice of it; one that spans chunks is copied together, once.

use bytes::{Buf, Bytes, BytesMut};
use folkmoot_wire::frame::PREFIX;

use crate::error::{Result, TransportError};

/// A frame's buffer begins no larger than this, whatever length the peer
/// announced, and grows as bytes arrive.
const FIRST_RESERVE: usize = 64 * 1024;

pub(super) struct Deframer {
    max: usize,
    /// Arrived and not yet looked at.
    chunk: Bytes,
    /// Length of the current frame, as far as its bytes are here.
    prefix: [u8; PREFIX],
    prefix_len: usize,
    /// The current frame, as far as it is here.
    body: BytesMut,
    failed: Option<TransportError>,
}

impl Deframer {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            chunk: Bytes::new(),
            prefix: [0; PREFIX],
            prefix_len: 0,
            body: BytesMut::new(),
            failed: None,
        }
    }

    /// Takes the stream's next bytes. Call only after `next` gave `None`.
    pub(super) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty());
        self.chunk = chunk;
    }

    /// Whether the stream may end here.
    pub(super) fn between_frames(&self) -> bool {
        self.chunk.is_empty() && self.prefix_len == 0
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while self.prefix_len < PREFIX {
            if self.chunk.is_empty() {
                return Ok(None);
            }
            self.prefix[self.prefix_len] = self.chunk.get_u8();
            self.prefix_len += 1;
        }
        let len = u32::from_be_bytes(self.prefix) as usize;
        if len > self.max {
            let error = TransportError::FrameTooLarge { len, max: self.max };
            self.failed = Some(error.clone());
            return Err(error);
        }
        let missing = len - self.body.len();
        if self.body.is_empty() && self.chunk.len() >= missing {
            self.prefix_len = 0;
            return Ok(Some(self.chunk.split_to(len)));
        }
        if self.body.is_empty() {
            self.body.reserve(len.min(FIRST_RESERVE));
        }
        let part = self.chunk.split_to(missing.min(self.chunk.len()));
        self.body.extend_from_slice(&part);
        if self.body.len() < len {
            return Ok(None);
        }
        self.prefix_len = 0;
        Ok(Some(std::mem::take(&mut self.body).freeze()))
    }
}

#[cfg(test)]
mod tests;
