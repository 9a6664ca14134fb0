//! A message, before it is sent.

use bytes::Bytes;
use folkmoot_wire::proto::{Content, Kind, Send as SendRequest};
use folkmoot_wire::{GroupId, UserId};
use prost::Message;

/// A message with everything that can be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct SendOptions {
    /// What kind of entry.
    pub kind: Kind,
    /// The text; of kinds that have one.
    pub text: String,
    /// The body, in place of the text: an encoded message of another kind, or
    /// opaque bytes under a cipher.
    pub body: Option<Bytes>,
    /// Users who are mentioned.
    pub mentions: Vec<UserId>,
    /// Whether everybody is mentioned.
    pub mentions_all: bool,
    /// Seq of the thread's root; 0: none.
    pub thread: u64,
    /// Seq of the entry acted on (edit, recall); 0: none.
    pub target: u64,
    /// Seq of the entry answered; 0: none.
    pub reply_to: u64,
    /// Milliseconds since 1970; 0: never.
    pub expires_at_ms: u64,
    /// The user acted on (join, leave, role, ban); `None`: oneself.
    pub subject: Option<UserId>,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self {
            kind: Kind::Message,
            text: String::new(),
            body: None,
            mentions: Vec::new(),
            mentions_all: false,
            thread: 0,
            target: 0,
            reply_to: 0,
            expires_at_ms: 0,
            subject: None,
        }
    }
}

impl SendOptions {
    /// A message of this text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// An entry of another kind; `body`: the encoded message of that kind, as
    /// the protocol has it.
    #[must_use]
    pub fn of(kind: Kind, body: Vec<u8>) -> Self {
        Self {
            kind,
            body: Some(body.into()),
            ..Self::default()
        }
    }

    pub(crate) fn request(self, group: GroupId) -> SendRequest {
        let body = self.body.unwrap_or_else(|| {
            let content = Content { text: self.text };
            content.encode_to_vec().into()
        });
        SendRequest {
            group: group.to_bytes(),
            kind: self.kind as i32,
            body,
            mentions: self.mentions.iter().map(UserId::to_bytes).collect(),
            mentions_all: self.mentions_all,
            thread: self.thread,
            target: self.target,
            reply_to: self.reply_to,
            expires_at_ms: self.expires_at_ms,
            subject: self.subject.map(|user| user.to_bytes()).unwrap_or_default(),
            ..SendRequest::default()
        }
    }
}

impl From<&str> for SendOptions {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for SendOptions {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}
