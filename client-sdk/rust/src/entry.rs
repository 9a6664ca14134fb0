//! An entry of a group's log, as the application sees it.

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::entry::Chain;
use folkmoot_wire::proto::{Content, EntryHeader, Kind};
use folkmoot_wire::{ClientMsgId, GroupId, MessageId, UserId};
use prost::Message;

/// A verified entry: its seq is the next one and its chain follows from the
/// entry before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The group.
    pub group: GroupId,
    /// The header.
    pub header: EntryHeader,
    /// The body, as it was sent; empty when `erased`.
    pub body: Bytes,
    /// Value of the chain at this entry.
    pub chain: Chain,
    /// Whether the body was erased; the chain still proves the header.
    pub erased: bool,
    /// Whether this is the entry right behind the one given before. `false`:
    /// the first one of a stream that does not begin where the last ended, or
    /// what lies between is gone (see `Event::HistoryGone`), or the history
    /// was replaced (see `Event::HistoryReset`).
    pub follows: bool,
}

impl Entry {
    /// Position in the log.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.header.seq
    }

    /// What kind of entry it is; a kind that this build does not know is
    /// [`Kind::Unspecified`].
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::try_from(self.header.kind).unwrap_or(Kind::Unspecified)
    }

    /// Who wrote it; `None`: the system.
    #[must_use]
    pub fn sender(&self) -> Option<UserId> {
        UserId::from_slice(&self.header.sender).ok()
    }

    /// The sender's nick at this entry.
    #[must_use]
    pub fn nick(&self) -> &str {
        &self.header.nick
    }

    /// Id of the message.
    #[must_use]
    pub fn id(&self) -> Option<MessageId> {
        MessageId::from_slice(&self.header.id).ok()
    }

    /// The sender's own id of it; `None`: made by the system.
    #[must_use]
    pub fn client_msg_id(&self) -> Option<ClientMsgId> {
        ClientMsgId::from_slice(&self.header.client_msg_id).ok()
    }

    /// When, by the log's clock.
    #[must_use]
    pub fn hlc(&self) -> Hlc {
        Hlc::from_u64(self.header.hlc)
    }

    /// The text of a message, action, notice or edit that is not encrypted;
    /// `None` for other kinds and for erased entries.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let has_content = matches!(
            self.kind(),
            Kind::Message | Kind::Action | Kind::Notice | Kind::Edit
        );
        if !has_content || self.erased || self.header.cipher != 0 {
            return None;
        }
        Content::decode(self.body.clone()).ok().map(|c| c.text)
    }
}
