//! Bodies of the fuzz targets in `fuzz/`: each feeds bytes from outside to one
//! parser and panics only when a promise of this crate is broken. The property
//! tests call them too.

use bytes::BytesMut;
use prost::Message;

use crate::proto::{self, Row, SealedEntry};
use crate::{ClientMsgId, GroupId, MessageId, RegionId, Slot, UserId};
use crate::{entry, frame, row};

/// Reads `bytes` as a stream of frames that comes in pieces: the first byte
/// says how large.
pub fn frames(bytes: &[u8]) {
    const MAX: usize = 64;
    let Some((&piece, stream)) = bytes.split_first() else {
        return;
    };
    let (mut input, mut again) = (BytesMut::new(), BytesMut::new());
    for piece in stream.chunks(usize::from(piece).max(1)) {
        input.extend_from_slice(piece);
        loop {
            match frame::take(&mut input, MAX) {
                Ok(Some(frame)) => {
                    assert!(frame.len() <= MAX);
                    frame::put(&frame, &mut again);
                }
                Ok(None) => break,
                Err(refused) => {
                    assert!(refused.len > MAX && refused.max == MAX);
                    assert!(stream.starts_with(&again));
                    return;
                }
            }
        }
        // What waits is never more than one frame that is not whole.
        assert!(input.len() < frame::PREFIX + MAX);
    }
    // Frames and what waits are the stream, nothing lost, nothing twice.
    again.extend_from_slice(&input);
    assert_eq!(again, stream);
}

/// Reads `bytes` as a sealed entry.
pub fn entries(bytes: &[u8]) {
    let group = GroupId::new(RegionId(1), Slot(2), [3; 11]);
    let genesis = entry::genesis(&[7; 16], &group);
    let Ok(sealed) = SealedEntry::decode(bytes) else {
        return;
    };
    let seq = sealed.decode_header().map_or(1, |header| header.seq);
    // Nobody finds bytes by chance that follow from a chain.
    assert!(sealed.verify(&genesis, seq).is_err());
    let erased = sealed.erased();
    assert!(erased.is_erased());
    assert!(erased.verify(&genesis, seq).is_err());
    assert_eq!(erased.erased(), erased);
    // With the right chain the same header and body are an entry.
    if let Ok(header) = sealed.decode_header() {
        let honest = entry::seal(&genesis, &header, sealed.salt, sealed.body);
        let verified = honest.verify(&genesis, seq);
        assert_eq!(
            verified,
            Ok((header, entry::chain_from(&honest.chain).unwrap_or_default()))
        );
        assert_eq!(honest.erased().verify(&genesis, seq), verified);
    }
}

/// Reads `bytes` as two rows of one key (the first byte says where the second
/// begins) and merges them.
pub fn rows(bytes: &[u8]) {
    let Some((&at, rest)) = bytes.split_first() else {
        return;
    };
    let (a, b) = rest.split_at(usize::from(at).min(rest.len()));
    let Ok(a) = Row::decode(a) else { return };
    let b = Row::decode(b).unwrap_or_else(|_| a.clone());
    let b = Row {
        key: a.key.clone(),
        ..b
    };
    let print = row::fingerprint_input;
    let (Ok(print_a), Ok(_)) = (print(&a), print(&b)) else {
        assert!(row::merge(&a, &b).is_err());
        return;
    };
    let same = row::merge(&a, &a).and_then(|row| print(&row));
    assert_eq!(same, Ok(print_a));
    if let (Ok(ab), Ok(ba)) = (row::merge(&a, &b), row::merge(&b, &a)) {
        assert_eq!(print(&ab), print(&ba));
        let again = row::merge(&ab, &b).and_then(|row| print(&row));
        assert_eq!(again, print(&ab));
    } else {
        // Only profiles can contradict each other.
        assert!(matches!(a.value, Some(proto::row::Value::Profile(_))));
    }
}

macro_rules! every_message {
    ($($name:ident),+ $(,)?) => {
        /// Names of all messages of the schema.
        pub const MESSAGES: &[&str] = &[$(stringify!($name)),+];

        /// Reads `bytes` as each message of the schema. What decodes, encodes
        /// to bytes that decode to the same.
        pub fn messages(bytes: &[u8]) {
            $(
                if let Ok(message) = proto::$name::decode(bytes) {
                    let again = message.encode_to_vec();
                    assert_eq!(proto::$name::decode(&again[..]), Ok(message), stringify!($name));
                }
            )+
        }
    };
}
include!(concat!(env!("OUT_DIR"), "/every_message.rs"));

/// Reads `bytes` as ids, binary and text: what is taken is written back as it
/// was.
pub fn ids(bytes: &[u8]) {
    macro_rules! id {
        ($name:ty) => {
            if let Ok(id) = <$name>::from_slice(bytes) {
                assert_eq!(id.to_bytes(), bytes);
            }
            if let Some(Ok(id)) = std::str::from_utf8(bytes).ok().map(str::parse::<$name>) {
                assert_eq!(id.to_string().as_bytes(), bytes);
            }
        };
    }
    id!(UserId);
    id!(GroupId);
    id!(MessageId);
    id!(ClientMsgId);
    if let Ok(key) = row::RowKey::from_slice(bytes) {
        assert_eq!(key.to_bytes(), bytes);
    }
}

#[cfg(test)]
mod tests;
