//! Our codes in WebSocket close frames.

use folkmoot_wire::Code;

use crate::error::TransportError;

/// Finished, without an error.
pub(super) const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const TOO_BIG: u16 = 1009;
const BASE: u16 = 4000;
const LAST: u16 = 4999;
/// A close frame's payload is at most 125 bytes, two of them the code.
const REASON_MAX: usize = 123;

/// The close frame for a code of ours.
pub(super) fn encode(code: u32, reason: &str) -> (u16, String) {
    let close = u16::try_from(code)
        .ok()
        .and_then(|code| BASE.checked_add(code))
        .map_or(LAST, |close| close.min(LAST));
    let mut text = format!("{code} {reason}");
    let mut end = text.len().min(REASON_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    (close, text)
}

/// What a close frame means; `None`: the stream is simply finished.
pub(super) fn decode(frame: Option<(u16, &str)>) -> Option<TransportError> {
    let (close, text) = frame?;
    match close {
        NORMAL | GOING_AWAY => None,
        TOO_BIG => Some(TransportError::Closed {
            code: Code::FrameTooLarge as u32,
            reason: text.to_owned(),
        }),
        BASE..=LAST => {
            let (number, rest) = text.split_once(' ').unwrap_or((text, ""));
            let (code, reason) = match number.parse() {
                Ok(code) => (code, rest),
                Err(_) => (u32::from(close - BASE), text),
            };
            Some(TransportError::Closed {
                code,
                reason: reason.to_owned(),
            })
        }
        _ => Some(TransportError::lost(format!(
            "the WebSocket was closed with {close} {text}"
        ))),
    }
}
