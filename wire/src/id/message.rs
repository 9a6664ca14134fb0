//! Ids of messages: the cluster's and the client's own.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;

use super::{IdError, NodeId};
use crate::id_text;

/// A message: the HLC at the edge that took it, and that edge's node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// Stamp of the edge.
    pub hlc: Hlc,
    /// The edge.
    pub node: NodeId,
}

impl MessageId {
    /// Length of the binary form, in bytes.
    pub const LEN: usize = 12;

    /// Reads the binary form.
    ///
    /// # Errors
    /// When it is not 12 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
        let id: [u8; Self::LEN] = bytes.try_into().map_err(|_| IdError::Length {
            what: "message id",
            expected: Self::LEN,
            got: bytes.len(),
        })?;
        let (hlc, node) = id.split_at(8);
        let mut h = [0; 8];
        h.copy_from_slice(hlc);
        let mut n = [0; 4];
        n.copy_from_slice(node);
        Ok(Self {
            hlc: Hlc::from_u64(u64::from_be_bytes(h)),
            node: NodeId(u32::from_be_bytes(n)),
        })
    }

    /// The binary form: HLC, then node, big endian.
    #[must_use]
    pub fn to_array(&self) -> [u8; Self::LEN] {
        let mut id = [0; Self::LEN];
        id[..8].copy_from_slice(&self.hlc.as_u64().to_be_bytes());
        id[8..].copy_from_slice(&self.node.0.to_be_bytes());
        id
    }

    /// The binary form, as a field of the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.to_array())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", id_text::encode(&self.to_array()))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::Text {
            what: "message id",
            text: text.into(),
            hint: "m and 20 characters of 0-9 a-z without i l o u",
        };
        let rest = text.strip_prefix('m').ok_or_else(bad)?;
        let id: [u8; Self::LEN] = id_text::decode(rest).ok_or_else(bad)?;
        Self::from_slice(&id)
    }
}

/// A client's own id of a message: a stamp that an edge issued, persisted
/// before the first attempt (D9), and 8 bytes of the client's choice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientMsgId([u8; 16]);

impl ClientMsgId {
    /// Length of the binary form, in bytes.
    pub const LEN: usize = 16;

    /// Makes an id.
    #[must_use]
    pub fn new(stamp: Hlc, unique: u64) -> Self {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&stamp.as_u64().to_be_bytes());
        id[8..].copy_from_slice(&unique.to_be_bytes());
        Self(id)
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// When it is not 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
        bytes.try_into().map(Self).map_err(|_| IdError::Length {
            what: "client message id",
            expected: Self::LEN,
            got: bytes.len(),
        })
    }

    /// The edge's stamp.
    #[must_use]
    pub fn stamp(&self) -> Hlc {
        let mut stamp = [0; 8];
        stamp.copy_from_slice(&self.0[..8]);
        Hlc::from_u64(u64::from_be_bytes(stamp))
    }

    /// The binary form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The binary form, as a field of the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

impl fmt::Display for ClientMsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", id_text::encode(&self.0))
    }
}

impl fmt::Debug for ClientMsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ClientMsgId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.strip_prefix('c')
            .and_then(id_text::decode)
            .map(Self)
            .ok_or_else(|| IdError::Text {
                what: "client message id",
                text: text.into(),
                hint: "c and 26 characters of 0-9 a-z without i l o u",
            })
    }
}
