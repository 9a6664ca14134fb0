//! What can go wrong between two endpoints.

use std::net::SocketAddr;
use std::time::Duration;

use folkmoot_wire::{Code, NodeId};

use crate::pki::PkiError;

/// Result of a transport operation.
pub type Result<T> = std::result::Result<T, TransportError>;

/// Why a transport operation failed. Cheap to clone, so that one ending of a
/// connection can be told to everyone who waits on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// A frame is over the limit. On receipt: nothing more can be read from
    /// this stream; answer with `frame_too_large` and close. On send: the
    /// frame was not sent and the stream can be used on.
    #[error("a frame of {len} bytes is over the limit of {max}")]
    FrameTooLarge {
        /// Bytes of the frame, as announced.
        len: usize,
        /// Bytes allowed here.
        max: usize,
    },
    /// The peer closed the connection.
    #[error("the peer closed the connection with code {code}: {reason}")]
    Closed {
        /// The code it gave; a [`Code`] when it speaks this protocol.
        code: u32,
        /// For people.
        reason: String,
    },
    /// This side closed the connection.
    #[error("this side closed the connection")]
    ClosedHere,
    /// The connection broke: silence, a reset, a failing network.
    #[error("the connection broke: {reason}")]
    Lost {
        /// What was seen.
        reason: String,
    },
    /// The peer gave up this one stream; the connection may live on.
    #[error("the peer gave up the stream with code {code}")]
    StreamReset {
        /// The code it gave.
        code: u32,
    },
    /// The stream was finished here, or its peer stopped listening.
    #[error("the stream is finished")]
    StreamFinished,
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
    /// A WebSocket text message where binary frames belong.
    #[error("a text message arrived; frames are binary messages")]
    NotBinary,
    /// The peer does not follow the carrier's protocol.
    #[error("the peer broke the protocol: {reason}")]
    Protocol {
        /// What it did.
        reason: String,
    },
    /// An earlier send was cancelled half way, so that the bytes on the stream
    /// are not whole frames any more.
    #[error("an earlier send was cancelled half way: open another stream")]
    Interrupted,
    /// It took too long.
    #[error("{what} took longer than {after:?}")]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// The address cannot be reached, or nothing listens there.
    #[error("cannot reach {addr}: {reason}")]
    Unreachable {
        /// Where to.
        addr: SocketAddr,
        /// What was seen.
        reason: String,
    },
    /// The peer's certificate, or ours, was not accepted.
    #[error("TLS with {addr} failed: {reason}")]
    Tls {
        /// The peer.
        addr: SocketAddr,
        /// What TLS said.
        reason: String,
    },
    /// Another node answered than the one that was asked for.
    #[error("asked for node {expected}, and node {got} answered: its address has changed")]
    WrongPeer {
        /// Who was dialled.
        expected: NodeId,
        /// Who answered.
        got: NodeId,
    },
    /// A key or certificate of this side cannot be used.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The local address cannot be bound.
    #[error("cannot listen on {addr}: {reason}")]
    Bind {
        /// Which.
        addr: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// This carrier, or this endpoint as configured, cannot do that.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl TransportError {
    /// The code to answer or close with when this error ends a connection.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::FrameTooLarge { .. } => Code::FrameTooLarge,
            Self::Truncated | Self::NotBinary | Self::Protocol { .. } => Code::MalformedFrame,
            Self::Closed { code, .. } => Code::from_u32(*code).unwrap_or(Code::Unavailable),
            Self::Deadline { .. } => Code::Deadline,
            Self::WrongPeer { .. } | Self::Tls { .. } => Code::WrongCluster,
            Self::Pki(_) | Self::Bind { .. } | Self::Unsupported(_) | Self::Interrupted => {
                Code::Internal
            }
            Self::ClosedHere
            | Self::Lost { .. }
            | Self::StreamReset { .. }
            | Self::StreamFinished
            | Self::Unreachable { .. } => Code::Unavailable,
        }
    }

    pub(crate) fn lost(reason: impl ToString) -> Self {
        Self::Lost {
            reason: reason.to_string(),
        }
    }
}
