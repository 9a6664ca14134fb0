//! An entry as people and programs read it: the lines of `folkmoot log`.

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::{
    Cipher, Content, EntryHeader, JoinBody, Kind, ListedBody, RenameBody, SealedEntry,
};
use folkmoot_wire::{ClientMsgId, MessageId, UserId};
use prost::Message;
use serde::{Deserialize, Serialize};

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryLine {
    /// Place in the log.
    pub seq: u64,
    /// `<placement generation>.<Raft term>`.
    pub epoch: String,
    /// Fixed width, so that it sorts.
    pub hlc: String,
    /// Message id.
    pub id: String,
    /// Chain after this entry, in hex.
    pub chain: String,
    /// `message`, `action`, `join`, ...
    pub kind: String,
    /// User id; empty: the system.
    pub sender: String,
    /// The sender's nick at this entry.
    pub nick: String,
    /// The client's id; empty: made by the system.
    pub client_msg_id: String,
    /// Whom it acts on, if anyone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Seq of the entry acted on or answered; 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub target: u64,
    /// User ids mentioned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// The text.
    pub body: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Stable name of a kind.
#[must_use]
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "unspecified",
        Kind::Message => "message",
        Kind::Action => "action",
        Kind::Join => "join",
        Kind::Leave => "leave",
        Kind::Rename => "rename",
        Kind::Notice => "notice",
        Kind::Create => "create",
        Kind::Role => "role",
        Kind::Mute => "mute",
        Kind::Ban => "ban",
        Kind::Unban => "unban",
        Kind::Profile => "profile",
        Kind::Edit => "edit",
        Kind::Recall => "recall",
        Kind::Dissolve => "dissolve",
        Kind::Listed => "listed",
    }
}

impl EntryLine {
    /// The line of a sealed entry; `None` when its header is none.
    #[must_use]
    pub fn of(entry: &SealedEntry) -> Option<Self> {
        let header = entry.decode_header().ok()?;
        let user = |bytes: &[u8]| {
            UserId::from_slice(bytes)
                .map(|id| id.to_string())
                .unwrap_or_default()
        };
        let epoch = header.epoch.unwrap_or_default();
        Some(Self {
            seq: header.seq,
            epoch: format!("{}.{}", epoch.generation, epoch.term),
            hlc: Hlc::from_u64(header.hlc).to_string(),
            id: MessageId::from_slice(&header.id)
                .map(|id| id.to_string())
                .unwrap_or_default(),
            chain: hex::encode(&entry.chain),
            kind: kind_name(header.kind()).to_owned(),
            sender: user(&header.sender),
            nick: header.nick.clone(),
            client_msg_id: ClientMsgId::from_slice(&header.client_msg_id)
                .map(|id| id.to_string())
                .unwrap_or_default(),
            subject: user(&header.subject),
            target: header.target.max(header.reply_to),
            mentions: header.mentions.iter().map(|m| user(m)).collect(),
            body: text(&header, entry),
        })
    }
}

/// The text of a body, as far as it has one.
fn text(header: &EntryHeader, entry: &SealedEntry) -> String {
    if entry.is_erased() || header.cipher() != Cipher::None {
        return String::new();
    }
    let body = entry.body.clone();
    match header.kind() {
        Kind::Message | Kind::Action | Kind::Notice | Kind::Edit => {
            Content::decode(body).map(|content| content.text)
        }
        Kind::Join => JoinBody::decode(body).map(|join| join.nick),
        Kind::Rename => RenameBody::decode(body).map(|rename| rename.to),
        Kind::Listed => ListedBody::decode(body).map(|listed| listed.name),
        _ => Ok(String::new()),
    }
    .unwrap_or_default()
}
