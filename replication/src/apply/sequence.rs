//! Giving an entry its place: seq, HLC, counts, chain (D2, D3, D6).

use bytes::Bytes;
use folkmoot_crdt::counts::Running;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::entry::{self, Chain, SALT_LEN};
use folkmoot_wire::proto::{
    Cipher, Committed, CursorValue, EntryHeader, Head, Kind, Outcome, Row, outcome, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{ClientMsgId, Code, Fault, GroupId, MessageId, UserId, limits};

use super::{Answer, ApplyError, ShardApply, Step};

pub(super) use folkmoot_wire::proto::Append;

/// An append whose form was checked.
pub(super) struct Request {
    pub(super) group: GroupId,
    pub(super) sender: UserId,
    pub(super) subject: Option<UserId>,
    pub(super) kind: Kind,
    pub(super) client_msg_id: Option<ClientMsgId>,
    pub(super) append: Append,
    pub(super) proposed: Hlc,
}

impl Request {
    /// Checks what can be checked without state.
    pub(super) fn check(step: &Step, group: GroupId, append: Append) -> Result<Self, Fault> {
        let invalid = |error: &dyn std::fmt::Display| Fault::new(Code::Invalid, error.to_string());
        MessageId::from_slice(&append.id).map_err(|e| invalid(&e))?;
        let sender = UserId::from_slice(&append.sender).map_err(|e| invalid(&e))?;
        let subject = match append.subject.len() {
            0 => None,
            _ => Some(UserId::from_slice(&append.subject).map_err(|e| invalid(&e))?),
        };
        let client_msg_id = match append.client_msg_id.len() {
            0 => None,
            _ => Some(ClientMsgId::from_slice(&append.client_msg_id).map_err(|e| invalid(&e))?),
        };
        let kind = Kind::try_from(append.kind)
            .map_err(|_| Fault::new(Code::Invalid, format!("unknown kind {}", append.kind)))?;
        if append.salt.len() != SALT_LEN {
            return Err(invalid(&format!("a salt is {SALT_LEN} bytes")));
        }
        if append.body.len() > limits::BODY_MAX {
            let detail = format!("{} of {} bytes", append.body.len(), limits::BODY_MAX);
            return Err(Fault::new(Code::TooLarge, detail));
        }
        if append.mentions.len() > limits::MENTIONS_MAX {
            let detail = format!("at most {} mentions", limits::MENTIONS_MAX);
            return Err(Fault::new(Code::TooLarge, detail));
        }
        let speaks = matches!(kind, Kind::Message | Kind::Action | Kind::Notice);
        if append.mentions_all && !speaks {
            return Err(invalid(&"only what is said mentions all"));
        }
        for mention in &append.mentions {
            UserId::from_slice(mention).map_err(|e| invalid(&e))?;
        }
        Ok(Self {
            group,
            sender,
            subject,
            kind,
            client_msg_id,
            append,
            proposed: step.proposed,
        })
    }

    /// Whom the command acts on: the subject, or the sender.
    pub(super) fn subject(&self) -> UserId {
        self.subject.unwrap_or(self.sender)
    }

    /// Decodes the body, which the server must be able to read.
    pub(super) fn body<M: prost::Message + Default>(&self) -> Result<M, Fault> {
        if self.append.cipher != Cipher::None as i32 {
            return Err(Fault::new(
                Code::Invalid,
                "an entry of this kind cannot be encrypted",
            ));
        }
        M::decode(self.append.body.clone())
            .map_err(|error| Fault::new(Code::Invalid, format!("body: {error}")))
    }
}

/// The cursor that an entry moves by itself: sending is reading (D3).
/// Followers derive it too, so it never travels.
#[must_use]
pub fn implied_cursor(header: &EntryHeader) -> Option<(UserId, CursorValue)> {
    if !header.countable {
        return None;
    }
    let sender = UserId::from_slice(&header.sender).ok()?;
    let cursor = CursorValue {
        seq: header.seq,
        count: header.count,
        at_all: header.at_all,
    };
    Some((sender, cursor))
}

/// The header of what `append` says under `nick`, before it has a place.
#[must_use]
pub fn unplaced(append: &Append, nick: &str) -> EntryHeader {
    EntryHeader {
        id: append.id.clone(),
        kind: append.kind,
        sender: append.sender.clone(),
        nick: nick.to_owned(),
        device: append.device,
        client_msg_id: append.client_msg_id.clone(),
        countable: matches!(append.kind(), Kind::Message | Kind::Action),
        mentions_all: append.mentions_all,
        mentions: append.mentions.clone(),
        thread: append.thread,
        target: append.target,
        reply_to: append.reply_to,
        expires_at_ms: append.expires_at_ms,
        cipher: append.cipher,
        subject: append.subject.clone(),
        ..EntryHeader::default()
    }
}

impl ShardApply {
    /// Appends the entry of `request`, said under `nick`.
    pub(super) fn commit(
        &mut self,
        step: &Step,
        request: &Request,
        nick: &str,
    ) -> Result<EntryHeader, ApplyError> {
        let append = &request.append;
        let header = unplaced(append, nick);
        let header = self.place(
            step,
            request.group,
            header,
            append.salt.clone(),
            append.body.clone(),
        )?;
        self.remember(request, &header);
        Ok(header)
    }

    /// Gives `header` its place behind the group's head and seals it.
    pub(super) fn place(
        &mut self,
        step: &Step,
        group: GroupId,
        mut header: EntryHeader,
        salt: Bytes,
        body: Bytes,
    ) -> Result<EntryHeader, ApplyError> {
        let head = self.view.head(&group)?.unwrap_or_default();
        let previous = previous_chain(step, &group, &head)?;
        let last = Hlc::from_u64(head.hlc);
        let counts = Running {
            count: head.count,
            at_all: head.at_all,
        }
        .advance(header.countable, header.mentions_all);
        header.seq = head.seq + 1;
        let hlc = step.proposed.max(last.next());
        header.hlc = hlc.as_u64();
        if header.id.is_empty() {
            // No edge stamped it: its own HLC tells it from its neighbours.
            let node = step.at.leader;
            header.id = MessageId { hlc, node }.to_bytes();
        }
        header.epoch = Some(self.epoch_of(step, &group)?);
        header.count = counts.count;
        header.at_all = counts.at_all;
        let sealed = entry::seal(&previous, &header, salt, body);
        let head = Head {
            seq: header.seq,
            hlc: header.hlc,
            chain: sealed.chain.clone(),
            count: header.count,
            at_all: header.at_all,
            epoch: header.epoch,
            ..head
        };
        self.view
            .push_entry(group, Bytes::copy_from_slice(&previous), sealed, head);
        if let Some((user, cursor)) = implied_cursor(&header) {
            let row = Row {
                key: RowKey::Cursor(user).to_bytes(),
                value: Some(row::Value::Cursor(cursor)),
            };
            self.view.put_row(group, RowKey::Cursor(user), row, true)?;
        }
        Ok(header)
    }

    /// The answer to a committed command.
    pub(super) fn committed(header: &EntryHeader) -> Answer {
        Ok(Ok(Outcome {
            result: Some(outcome::Result::Committed(Committed {
                seq: header.seq,
                hlc: header.hlc,
                id: header.id.clone(),
                duplicate: false,
                read_count: implied_cursor(header).map_or(0, |(_, cursor)| cursor.count),
            })),
        }))
    }
}

fn previous_chain(step: &Step, group: &GroupId, head: &Head) -> Result<Chain, ApplyError> {
    if head.seq == 0 {
        return Ok(entry::genesis(&step.cluster, group));
    }
    entry::chain_from(&head.chain).map_err(|error| ApplyError::Corrupt {
        group: *group,
        what: error.to_string(),
    })
}
