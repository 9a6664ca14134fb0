//! What is sent: text of a fixed length that begins with the message's number
//! and does not repeat, so that nobody's compression makes it light.

#[cfg(test)]
mod tests;

use crate::peer::Tag;

/// Bytes of a message.
pub(crate) const PAYLOAD: usize = 256;
const DIGITS: usize = 16;
const POOL: usize = 64 * 1024;

/// Makes payloads.
pub(crate) struct Payloads {
    pool: String,
    text: String,
}

impl Payloads {
    pub(crate) fn new() -> Self {
        Self {
            pool: pool(),
            text: String::with_capacity(PAYLOAD),
        }
    }

    /// The payload of a message.
    pub(crate) fn of(&mut self, tag: Tag) -> &str {
        use std::fmt::Write;
        self.text.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{tag:016x}");
        let rest = PAYLOAD - DIGITS;
        let at = (tag.wrapping_mul(7_919) % (POOL - rest) as u64) as usize;
        self.text.push_str(&self.pool[at..at + rest]);
        &self.text
    }
}

/// The number of the message with this payload.
pub(crate) fn tag_of(payload: &[u8]) -> Option<Tag> {
    let digits = std::str::from_utf8(payload.get(..DIGITS)?).ok()?;
    Tag::from_str_radix(digits, 16).ok()
}

/// ASCII of a xorshift generator, the same in every run.
fn pool() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(ALPHABET[(state >> 58) as usize])
    };
    (0..POOL).map(|_| next()).collect()
}
