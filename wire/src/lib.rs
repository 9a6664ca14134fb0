//! What crosses a process boundary: ids, the sealed entry, the Protobuf
//! schema, framing, limits and the registry of errors.
//!
//! Nothing here does I/O or reads a clock. Everything that parses bytes from
//! outside returns an error for hostile input and never panics.

mod convert;
pub mod entry;
pub mod error;
pub mod frame;
#[doc(hidden)]
pub mod hostile;
pub mod id;
mod id_text;
pub mod limits;
pub mod page;
pub mod row;
pub mod version;

/// The Protobuf schema, version 1 (`proto/folkmoot/v1`).
pub mod proto {
    #![allow(missing_docs, clippy::doc_markdown, clippy::large_enum_variant)]
    include!(concat!(env!("OUT_DIR"), "/folkmoot.v1.rs"));
}

pub use error::{Code, Fault};
pub use folkmoot_crdt::{safeguard, without};
pub use id::{ClientMsgId, DeviceId, GroupId, MessageId, NodeId, RegionId, ShardId, Slot, UserId};
