//! Messages and everything else that becomes an entry.
//!
//! The form is checked here; who may do it is checked where it is applied
//! (D4), and only there: this edge's rows may be behind the home's, and a
//! member who has just joined must not be told that there is no such group.
//! Apply gives an outsider the same answer as for a group that is not there.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_wire::entry::SALT_LEN;
use folkmoot_wire::proto::{
    Append, Cipher, JoinBody, Kind, ProfileBody, RenameBody, Send, UpdateProfile, command,
};
use folkmoot_wire::{ClientMsgId, Code, Fault, GroupId, MessageId, limits};
use prost::Message;

use super::{group_id, user_id};
use crate::edge::session::{Asked, Job, Session};

/// Content whose text was not checked yet: prost refuses what is not UTF-8
/// without saying so in a type.
#[derive(Clone, PartialEq, Message)]
struct RawContent {
    #[prost(bytes = "bytes", tag = "1")]
    text: Bytes,
}

/// A rename, likewise.
#[derive(Clone, PartialEq, Message)]
struct RawRename {
    #[prost(bytes = "bytes", tag = "1")]
    from: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    to: Bytes,
}

/// A join, likewise.
#[derive(Clone, PartialEq, Message)]
struct RawJoin {
    #[prost(bytes = "bytes", tag = "1")]
    nick: Bytes,
}

pub(in crate::edge) async fn send(session: &Arc<Session>, asked: Asked, send: Send) {
    let checked = checked(&send).and_then(|group| Ok((group, session.append()?)));
    let (group, append) = match checked {
        Ok(checked) => checked,
        Err(fault) => return asked.reply(Err(fault)).await,
    };
    let append = Append {
        client_msg_id: send.client_msg_id,
        kind: send.kind,
        body: send.body,
        mentions_all: send.mentions_all,
        mentions: send.mentions,
        thread: send.thread,
        target: send.target,
        reply_to: send.reply_to,
        expires_at_ms: send.expires_at_ms,
        cipher: send.cipher,
        subject: send.subject,
        ..append
    };
    let op = command::Op::Append(append);
    session.submit(group, Job { asked, op }).await;
}

pub(in crate::edge) async fn update_profile(
    session: &Arc<Session>,
    asked: Asked,
    update: UpdateProfile,
) {
    let body = Bytes::from(
        ProfileBody {
            changes: update.changes,
        }
        .encode_to_vec(),
    );
    let checked = group_id(&update.group)
        .and_then(|group| check_id(&update.client_msg_id).map(|()| group))
        .and_then(|group| check_size(&body).map(|()| group))
        .and_then(|group| Ok((group, session.append()?)));
    let (group, append) = match checked {
        Ok(checked) => checked,
        Err(fault) => return asked.reply(Err(fault)).await,
    };
    let op = command::Op::Append(Append {
        client_msg_id: update.client_msg_id,
        kind: Kind::Profile as i32,
        body,
        ..append
    });
    session.submit(group, Job { asked, op }).await;
}

impl Session {
    /// An append of this session, with what the edge adds to each.
    pub(super) fn append(&self) -> Result<Append, Fault> {
        let backend = &self.core.backend;
        let id = MessageId {
            hlc: backend.stamp()?,
            node: backend.node(),
        };
        let mut salt = [0; SALT_LEN];
        backend.random(&mut salt);
        Ok(Append {
            id: id.to_bytes(),
            sender: self.user.to_bytes(),
            device: self.device.0,
            salt: Bytes::copy_from_slice(&salt),
            ..Append::default()
        })
    }
}

fn checked(send: &Send) -> Result<GroupId, Fault> {
    let group = group_id(&send.group)?;
    check_id(&send.client_msg_id)?;
    check_size(&send.body)?;
    if send.mentions.len() > limits::MENTIONS_MAX {
        let detail = format!(
            "{} of {} mentions",
            send.mentions.len(),
            limits::MENTIONS_MAX
        );
        return Err(Fault::new(Code::TooLarge, detail));
    }
    for mention in &send.mentions {
        user_id(mention)?;
    }
    if !send.subject.is_empty() {
        user_id(&send.subject)?;
    }
    let cipher = Cipher::try_from(send.cipher)
        .map_err(|_| Fault::new(Code::Invalid, format!("unknown cipher {}", send.cipher)))?;
    let kind = Kind::try_from(send.kind).unwrap_or(Kind::Unspecified);
    check_body(kind, cipher, &send.body)?;
    Ok(group)
}

pub(super) fn check_id(id: &[u8]) -> Result<(), Fault> {
    ClientMsgId::from_slice(id)
        .map(drop)
        .map_err(|error| Fault::new(Code::Invalid, error.to_string()))
}

fn check_size(body: &[u8]) -> Result<(), Fault> {
    if body.len() > limits::BODY_MAX {
        let detail = format!("{} of {} bytes", body.len(), limits::BODY_MAX);
        return Err(Fault::new(Code::TooLarge, detail));
    }
    Ok(())
}

/// Which kinds a client sends, and that the server can read what it has to.
fn check_body(kind: Kind, cipher: Cipher, body: &Bytes) -> Result<(), Fault> {
    match kind {
        Kind::Message | Kind::Action | Kind::Notice | Kind::Edit => {
            if cipher == Cipher::None {
                let content: RawContent = decode(body)?;
                check_text(&content.text, "text")?;
            }
        }
        Kind::Join => {
            let join: RawJoin = decode(body)?;
            check_text(&join.nick, "nick")?;
            decode::<JoinBody>(body)?;
        }
        Kind::Rename => {
            let rename: RawRename = decode(body)?;
            check_text(&rename.from, "from")?;
            check_text(&rename.to, "to")?;
            decode::<RenameBody>(body)?;
        }
        Kind::Leave
        | Kind::Role
        | Kind::Mute
        | Kind::Ban
        | Kind::Unban
        | Kind::Profile
        | Kind::Recall
        | Kind::Dissolve => {}
        Kind::Create => {
            return Err(Fault::new(Code::Invalid, "groups are made by CreateGroup"));
        }
        Kind::Listed | Kind::Unspecified => {
            return Err(Fault::new(
                Code::Invalid,
                "not a kind of entry that clients send",
            ));
        }
    }
    Ok(())
}

fn decode<M: Message + Default>(body: &Bytes) -> Result<M, Fault> {
    M::decode(body.clone()).map_err(|error| Fault::new(Code::Invalid, format!("body: {error}")))
}

fn check_text(text: &[u8], field: &str) -> Result<(), Fault> {
    std::str::from_utf8(text).map(drop).map_err(|error| {
        Fault::new(
            Code::NotUtf8,
            format!("{field}: byte {}", error.valid_up_to()),
        )
    })
}
