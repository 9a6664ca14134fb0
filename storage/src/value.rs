//! The codec of values: one version byte, then a Protobuf message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use crate::StoreError;

/// Version written in front of every value.
pub const VERSION: u8 = 1;

/// The last part of a message type's name, for errors.
fn name_of<M>() -> &'static str {
    let name = std::any::type_name::<M>();
    name.rsplit("::").next().unwrap_or(name)
}

/// Encodes a value.
#[must_use]
#[allow(clippy::missing_panics_doc)] // it cannot
pub fn encode_value(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + message.encoded_len());
    bytes.put_u8(VERSION);
    message
        .encode(&mut bytes)
        .expect("a BytesMut grows as needed, and lack of room is the only error");
    bytes.freeze()
}

/// Decodes a value. Its `bytes` fields share the memory of `bytes`.
///
/// # Errors
/// When the version is unknown or the rest is not an `M`.
pub fn decode_value<M: Message + Default>(mut bytes: Bytes) -> Result<M, StoreError> {
    let what = name_of::<M>();
    if bytes.is_empty() {
        return Err(StoreError::Value {
            what,
            detail: "it is empty".into(),
        });
    }
    match bytes.get_u8() {
        VERSION => M::decode(bytes).map_err(|error| StoreError::Value {
            what,
            detail: error.to_string(),
        }),
        0 => Err(StoreError::Value {
            what,
            detail: "its version byte is 0".into(),
        }),
        found => Err(StoreError::ValueVersion {
            what,
            found,
            supported: VERSION,
        }),
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
