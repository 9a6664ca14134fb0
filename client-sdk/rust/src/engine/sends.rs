//! Messages: from the call to the receipt.

use std::time::Duration;

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{Send as SendRequest, Sent as SentReply};
use folkmoot_wire::{Code, Fault, GroupId, MessageId, limits};
use tokio::sync::oneshot;

use super::{End, Engine, Open};
use crate::core::outbox::{Item, LocalId, Verdict};
use crate::error::{ClientError, Result};
use crate::event::Event;
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
    ) -> std::result::Result<(), End> {
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

    pub(super) fn send_failed(&mut self, local: LocalId, fault: Fault, now: Duration) {
        if let Verdict::Settled(item) = self.outbox.failed(local, &fault, now, &mut *self.rng) {
            self.settled(&item, Err(fault));
        }
    }

    fn settled(&mut self, item: &Item, result: std::result::Result<Sent, Fault>) {
        self.output
            .records
            .push(Record::Settled { local: item.local });
        match self.receipts.remove(&item.local) {
            // The caller may not want to know.
            Some(reply) => drop(reply.send(result.map_err(ClientError::Fault))),
            None => self.emit(Event::Settled {
                group: item.group,
                local: item.local,
                result,
            }),
        }
    }
}
