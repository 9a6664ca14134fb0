//! Packed streams: what goes between regions is compressed with all that went
//! before it on the same stream, so that names, ids and counters that repeat
//! cost next to nothing.
//!
//! A direction is one endless zstd stream, flushed after every send and cut
//! into frames of the carrier. In it, each frame has its length in front. A
//! hostile peer gains nothing: a frame is refused by its length before it is
//! there, no more is unpacked than the frame that is asked for, and the window
//! is bounded.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use folkmoot_transport::{FrameRecv, FrameSend, FramedStream, Result, TransportError};
use folkmoot_wire::limits;
use zstd_safe::zstd_sys::ZSTD_EndDirective::ZSTD_e_flush;
use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer};

/// The lowest level that looks for the better of two matches: on pushes of a
/// real channel a ninth smaller than level 3, at the same speed.
const LEVEL: i32 = 6;
/// Size of its tables, as a power of two. With these a sender keeps 850 KB.
const TABLE_LOG: u32 = 16;
/// What repeats here is short: a nick, an id's beginning, a tag with a length.
const MATCH_MIN: u32 = 4;
/// Bytes unpacked at once.
const STEP: usize = 16 * 1024;
/// Longest length, as a varint.
const LENGTH_MAX: usize = 5;

fn broken(what: &str) -> TransportError {
    TransportError::Protocol {
        reason: format!("a packed stream: {what}"),
    }
}

fn zstd(code: usize) -> TransportError {
    broken(zstd_safe::get_error_name(code))
}

/// The sending half of a packed stream, without I/O.
struct Packer(CCtx<'static>);

impl Packer {
    fn new() -> Result<Self> {
        let mut context = CCtx::create();
        for parameter in [
            CParameter::CompressionLevel(LEVEL),
            CParameter::WindowLog(limits::PACK_WINDOW_LOG),
            CParameter::HashLog(TABLE_LOG),
            CParameter::ChainLog(TABLE_LOG),
            CParameter::MinMatch(MATCH_MIN),
            CParameter::ContentSizeFlag(false),
            CParameter::ChecksumFlag(false),
        ] {
            context.set_parameter(parameter).map_err(zstd)?;
        }
        Ok(Self(context))
    }

    /// Packs whole frames, in order.
    fn pack(&mut self, frames: &[Bytes]) -> Result<Bytes> {
        let mut plain = Vec::with_capacity(frames.iter().map(|f| f.len() + LENGTH_MAX).sum());
        for frame in frames {
            prost::encode_length_delimiter(frame.len(), &mut plain)
                .map_err(|_| broken("a length does not fit"))?;
            plain.extend_from_slice(frame);
        }
        let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
        let mut input = InBuffer::around(&plain);
        loop {
            let at = packed.len();
            packed.reserve(STEP / 16);
            let mut output = OutBuffer::around_pos(&mut packed, at);
            let left = self
                .0
                .compress_stream2(&mut output, &mut input, ZSTD_e_flush)
                .map_err(zstd)?;
            if left == 0 && input.pos() == plain.len() {
                return Ok(packed.into());
            }
        }
    }
}

/// The receiving half, without I/O.
struct Unpacker {
    context: DCtx<'static>,
    /// Arrived, not unpacked.
    packed: Bytes,
    /// Unpacked, not cut into frames.
    plain: BytesMut,
    /// The last step was full: there may be more without more to read.
    full: bool,
    max: usize,
}

impl Unpacker {
    fn new(max: usize) -> Result<Self> {
        let mut context = DCtx::create();
        context
            .set_parameter(DParameter::WindowLogMax(limits::PACK_WINDOW_LOG))
            .map_err(zstd)?;
        Ok(Self {
            context,
            packed: Bytes::new(),
            plain: BytesMut::new(),
            full: false,
            max,
        })
    }

    /// Takes what arrived next. Call only after `next` gave `None`.
    fn push(&mut self, packed: Bytes) {
        debug_assert!(self.packed.is_empty());
        self.packed = packed;
    }

    fn between_frames(&self) -> bool {
        self.plain.is_empty() && self.packed.is_empty()
    }

    /// The next whole frame.
    fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(Some(frame));
            }
            if !self.unpack()? {
                return Ok(None);
            }
        }
    }

    fn cut(&mut self) -> Result<Option<Bytes>> {
        let ends = |bytes: &BytesMut| bytes.iter().take(LENGTH_MAX).any(|byte| byte & 0x80 == 0);
        if !ends(&self.plain) {
            return match self.plain.len() < LENGTH_MAX {
                true => Ok(None),
                false => Err(broken("a length without an end")),
            };
        }
        let mut rest = &self.plain[..];
        let len =
            prost::decode_length_delimiter(&mut rest).map_err(|_| broken("a length is none"))?;
        if len > self.max {
            return Err(TransportError::FrameTooLarge { len, max: self.max });
        }
        if rest.len() < len {
            return Ok(None);
        }
        let prefix = self.plain.len() - rest.len();
        self.plain.advance(prefix);
        Ok(Some(self.plain.split_to(len).freeze()))
    }

    /// Unpacks a step; whether there was anything.
    fn unpack(&mut self) -> Result<bool> {
        // zstd takes it ill when it is asked again and again for nothing.
        if self.packed.is_empty() && !self.full {
            return Ok(false);
        }
        let mut step = [0; STEP];
        let mut input = InBuffer::around(&self.packed);
        let mut output = OutBuffer::around(&mut step[..]);
        self.context
            .decompress_stream(&mut output, &mut input)
            .map_err(zstd)?;
        let (read, written) = (input.pos(), output.pos());
        self.full = written == STEP;
        self.plain.extend_from_slice(&step[..written]);
        let stuck = read == 0 && written == 0;
        if stuck && !self.packed.is_empty() {
            return Err(broken("it does not go on"));
        }
        self.packed.advance(read);
        Ok(!stuck)
    }
}

struct PackedSend {
    to: Box<dyn FrameSend>,
    packer: Packer,
}

#[async_trait]
impl FrameSend for PackedSend {
    async fn send(&mut self, frame: Bytes) -> Result<()> {
        self.send_many(std::slice::from_ref(&frame)).await
    }

    async fn send_many(&mut self, frames: &[Bytes]) -> Result<()> {
        let max = limits::NODE_FRAME_MAX;
        if let Some(len) = frames.iter().map(Bytes::len).find(|len| *len > max) {
            return Err(TransportError::FrameTooLarge { len, max });
        }
        let mut packed = self.packer.pack(frames)?;
        let mut pieces = Vec::with_capacity(1);
        while packed.len() > max {
            pieces.push(packed.split_to(max));
        }
        pieces.push(packed);
        // Once packed, it must go: without it nothing behind it can be read.
        self.to.send_many(&pieces).await
    }

    async fn finish(&mut self) -> Result<()> {
        self.to.finish().await
    }
}

struct PackedRecv {
    from: Box<dyn FrameRecv>,
    unpacker: Unpacker,
}

#[async_trait]
impl FrameRecv for PackedRecv {
    async fn recv(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.unpacker.next()? {
                return Ok(Some(frame));
            }
            match self.from.recv().await? {
                Some(piece) => self.unpacker.push(piece),
                None if self.unpacker.between_frames() => return Ok(None),
                None => return Err(TransportError::Truncated),
            }
        }
    }
}

/// The same stream, packed in both directions from here on.
///
/// # Errors
/// When there is no memory for it.
pub fn packed(stream: FramedStream) -> Result<FramedStream> {
    Ok(FramedStream {
        tx: Box::new(PackedSend {
            to: stream.tx,
            packer: Packer::new()?,
        }),
        rx: Box::new(PackedRecv {
            from: stream.rx,
            unpacker: Unpacker::new(limits::NODE_FRAME_MAX)?,
        }),
    })
}
