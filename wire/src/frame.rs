//! Framing on byte streams: a 4-byte big-endian length, then the frame.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A frame's length was over the reader's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {len} bytes is over the limit of {max}")]
pub struct TooLarge {
    /// What the frame said.
    pub len: usize,
    /// What is allowed, in bytes.
    pub max: usize,
}

/// Bytes of the length in front of each frame.
pub const PREFIX: usize = 4;

/// Writes one frame behind what `out` holds.
pub fn put(frame: &[u8], out: &mut BytesMut) {
    out.reserve(PREFIX + frame.len());
    out.put_u32(frame.len() as u32);
    out.put_slice(frame);
}

/// Takes the first whole frame out of `input`; `None` until it is whole.
///
/// # Errors
/// As soon as the length is known to be over `max`: nothing more of such a
/// stream can be read.
pub fn take(input: &mut BytesMut, max: usize) -> Result<Option<Bytes>, TooLarge> {
    let Some(prefix) = input.first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*prefix) as usize;
    if len > max {
        return Err(TooLarge { len, max });
    }
    if input.len() < PREFIX + len {
        return Ok(None);
    }
    input.advance(PREFIX);
    Ok(Some(input.split_to(len).freeze()))
}

#[cfg(test)]
mod tests;
