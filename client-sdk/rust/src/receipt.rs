//! The outcome of a message.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::{ClientMsgId, MessageId};
use tokio::sync::oneshot;

use crate::error::{ClientError, Result};

/// A committed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its position in the group's log. 0: there was nothing to change (such
    /// as joining when present), so no entry was made.
    pub seq: u64,
    /// When, by the log's clock.
    pub hlc: Hlc,
    /// Its id; `None` when no entry was made.
    pub id: Option<MessageId>,
    /// The id it was sent under.
    pub client_msg_id: ClientMsgId,
    /// Whether an earlier attempt had committed it.
    pub duplicate: bool,
}

/// Resolves when a message is settled. Dropping it does not take the message
/// back.
#[derive(Debug)]
pub struct Receipt(pub(crate) oneshot::Receiver<Result<Sent>>);

impl Future for Receipt {
    type Output = Result<Sent>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|outcome| outcome.unwrap_or(Err(ClientError::Closed)))
    }
}
