//! Frames of what is in no log yet.

use bytes::Bytes;
use folkmoot_wire::GroupId;
use folkmoot_wire::proto::{SealedEntry, Settled, Tentative, server_frame};
use prost::Message;

use super::session::encode;

/// Bytes of entries in one frame, unless one alone is larger.
const FRAME_BYTES: usize = 64 * 1024;

/// The frames that show `entries` and what became of others.
pub(super) fn frames(
    group: &GroupId,
    entries: Vec<SealedEntry>,
    settled: Vec<Settled>,
) -> Vec<Bytes> {
    let empty = || Tentative {
        group: group.to_bytes(),
        ..Tentative::default()
    };
    let (mut frames, mut frame, mut bytes) = (Vec::new(), empty(), 0);
    let mut add = |frame: &mut Tentative, bytes: &mut usize, more: usize| {
        if *bytes > 0 && *bytes + more > FRAME_BYTES {
            frames.push(std::mem::replace(frame, empty()));
            *bytes = 0;
        }
        *bytes += more;
    };
    for entry in entries {
        add(&mut frame, &mut bytes, entry.encoded_len());
        frame.entries.push(entry);
    }
    for one in settled {
        add(&mut frame, &mut bytes, one.encoded_len());
        frame.settled.push(one);
    }
    if bytes > 0 {
        frames.push(frame);
    }
    let encoded = |frame| encode(0, server_frame::Body::Tentative(frame));
    frames.into_iter().map(encoded).collect()
}
