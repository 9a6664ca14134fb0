//! What can go wrong for an application.

use folkmoot_transport::TransportError;
use folkmoot_wire::{Code, Fault, UserId};

use crate::core::outbox::Full;
use crate::store::StoreError;

/// Result of an SDK operation.
pub type Result<T> = std::result::Result<T, ClientError>;

/// Why an operation failed. Cheap to clone: one cause may end many operations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The edge refused, or did not answer in time.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// No edge could be reached.
    #[error("cannot connect: {0}")]
    Transport(#[from] TransportError),
    /// An edge's name could not be resolved.
    #[error("cannot find the address of {edge}: {reason}")]
    Resolve {
        /// The edge, as it was given.
        edge: String,
        /// What the system said.
        reason: String,
    },
    /// The send queue is full.
    #[error(transparent)]
    Full(#[from] Full),
    /// Too many requests at once.
    #[error("{limit} requests are waiting for an answer: await some before making more")]
    TooManyCalls {
        /// How many may wait.
        limit: usize,
    },
    /// The local store failed. Nothing is sent any more, because a message
    /// that is not kept could be sent twice.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token provider failed.
    #[error("no token: {0}")]
    Token(String),
    /// The local store belongs to another user or cluster.
    #[error(
        "the local store is of user {expected} and the token of {got}, or of another cluster: use a store per user and cluster"
    )]
    WrongStore {
        /// The user the store was made for.
        expected: UserId,
        /// The user of the token.
        got: UserId,
    },
    /// The builder was given something that cannot work.
    #[error("{0}")]
    Config(String),
    /// The edge broke the protocol.
    #[error("the edge broke the protocol: {0}")]
    Protocol(String),
    /// Another reader took the group over, or the group was deactivated.
    #[error("the group is not read any more: it was deactivated, or access to it was lost")]
    Inactive,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl ClientError {
    /// The code of the protocol, when the edge gave one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Fault(fault) => Some(fault.code),
            _ => None,
        }
    }

    /// Whether trying to connect again may help by itself.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.code.temporary() || fault.code == Code::StorageFailed,
            Self::Transport(error) => !matches!(error, TransportError::Unsupported(_)),
            Self::Resolve { .. } | Self::Token(_) | Self::Protocol(_) => true,
            _ => false,
        }
    }

    /// What the edge asked to wait, in milliseconds.
    pub(crate) fn retry_after_ms(&self) -> u64 {
        match self {
            Self::Fault(fault) => fault.retry_after_ms,
            _ => 0,
        }
    }
}
