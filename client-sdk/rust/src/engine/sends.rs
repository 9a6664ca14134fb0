//! Messages: from the call to the receipt.

use std::time::Duration;

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{
    EntryHeader, SealedEntry, Send as SendRequest, Sent as SentReply, Tentative,
};
use folkmoot_wire::{ClientMsgId, Code, Fault, GroupId, MessageId, limits};
use prost::Message;
use tokio::sync::oneshot;

use super::{End, Engine, Open};
use crate::core::outbox::{Item, LocalId, Verdict};
use crate::error::{ClientError, Result};
use crate::event::{Event, TentativeEntry};
use crate::receipt::Sent;
use crate::store::Record;

impl Engine {
    pub(super) fn submit(
        &mut self,
        group: GroupId,
        send: SendRequest,
        reply: oneshot::Sender<Result<Sent>>,
    ) {
        // Refused here, because a frame over the limit would end the session
        // and be sent again in the next one.
        if send.body.len() > limits::BODY_MAX || send.mentions.len() > limits::MENTIONS_MAX {
            let what = format!(
                "{} bytes of {}, {} mentions of {}",
                send.body.len(),
                limits::BODY_MAX,
                send.mentions.len(),
                limits::MENTIONS_MAX
            );
            let _ = reply.send(Err(Fault::new(Code::TooLarge, what).into()));
            return;
        }
        match self.outbox.push(group, send.clone()) {
            Ok(local) => {
                self.output.records.push(Record::Queued {
                    local,
                    group,
                    send: Box::new(send),
                });
                self.receipts.insert(local, reply);
            }
            Err(full) => drop(reply.send(Err(full.into()))),
        }
    }

    pub(super) fn pump_sends(&mut self, now: Duration) {
        while let Some(attempt) = self.outbox.next(now, self.stamp, &mut *self.rng) {
            if attempt.first {
                self.output.records.push(Record::Assigned {
                    local: attempt.local,
                    id: attempt.id,
                });
            }
            self.request(Request::Send(attempt.send), Open::Send(attempt.local), now);
        }
    }

    pub(super) fn sent(
        &mut self,
        local: LocalId,
        reply: &SentReply,
        now: Duration,
    ) -> std::result::Result<(), End> {
        if reply.accepted {
            self.accepted(local, reply, now);
            return Ok(());
        }
        let Some(item) = self.outbox.committed(local) else {
            return Ok(());
        };
        let Some(client_msg_id) = item.id else {
            return Err(End::protocol("an answer to a message that was not sent"));
        };
        let sent = Sent {
            seq: reply.seq,
            hlc: Hlc::from_u64(reply.hlc),
            id: MessageId::from_slice(&reply.id).ok(),
            client_msg_id,
            duplicate: reply.duplicate,
        };
        self.settled(&item, Ok(sent));
        Ok(())
    }

    fn accepted(&mut self, local: LocalId, reply: &SentReply, now: Duration) {
        let group = self.outbox.group(local);
        if let (Some(group), Some(client_msg_id)) = (group, self.outbox.accepted(local, now)) {
            self.emit(Event::Accepted {
                group,
                local,
                client_msg_id,
                hlc: Hlc::from_u64(reply.hlc),
            });
        }
    }

    /// What the edge says of messages that were accepted.
    pub(super) fn tentative(&mut self, group: GroupId, push: Tentative) {
        let me = self.identity.map(|identity| identity.user);
        for settled in &push.settled {
            let ours = me.is_some_and(|me| settled.sender == me.as_bytes()[..]);
            let Ok(id) = ClientMsgId::from_slice(&settled.client_msg_id) else {
                continue;
            };
            if !ours || settled.device != self.device.0 {
                continue;
            }
            if let Some(item) = self.outbox.settled(group, id) {
                let result = match &settled.error {
                    Some(error) => Err(Fault::from(error)),
                    None => Ok(Sent {
                        seq: settled.seq,
                        hlc: Hlc::from_u64(settled.hlc),
                        id: MessageId::from_slice(&settled.id).ok(),
                        client_msg_id: id,
                        duplicate: false,
                    }),
                };
                self.settled(&item, result);
            }
        }
        self.emit(Event::Tentative {
            group,
            entries: push.entries.into_iter().filter_map(tentative).collect(),
            settled: push.settled,
        });
    }

    pub(super) fn send_failed(&mut self, local: LocalId, fault: Fault, now: Duration) {
        if let Verdict::Settled(item) = self.outbox.failed(local, &fault, now, &mut *self.rng) {
            self.settled(&item, Err(fault));
        }
    }

    fn settled(&mut self, item: &Item, result: std::result::Result<Sent, Fault>) {
        let local = item.local;
        let record = match &result {
            Ok(_) => Record::Settled { local },
            Err(_) => Record::Refused { local },
        };
        self.output.records.push(record);
        match self.receipts.remove(&local) {
            Some(reply) => {
                let result = result.map_err(ClientError::Fault);
                self.output.receipts.push((reply, result));
            }
            None => self.output.events.push(Event::Settled {
                group: item.group,
                local,
                result,
            }),
        }
    }
}

/// An entry that has no place in the log; `None` when it cannot be read.
fn tentative(entry: SealedEntry) -> Option<TentativeEntry> {
    Some(TentativeEntry {
        header: EntryHeader::decode(entry.header).ok()?,
        body: entry.body,
    })
}
