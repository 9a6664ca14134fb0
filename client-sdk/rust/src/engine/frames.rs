//! What arrives from the edge.

use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::ServerFrame;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::{Code, Fault, GroupId};
use prost::Message;

use super::{End, Engine, Open};
use crate::core::session::Session;
use crate::error::ClientError;
use crate::event::Event;

impl Engine {
    /// Takes one frame in. An error: the session has to end.
    pub(crate) fn frame(&mut self, frame: Bytes, now: Duration) -> Result<(), End> {
        let frame = ServerFrame::decode(frame).map_err(|e| End::protocol(e.to_string()))?;
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        session.heard(now);
        // A body that this build does not know: a newer edge's push.
        let Some(body) = frame.body else {
            return match session.answered(frame.id, now) {
                Some(open) => self.unanswered(open, now),
                None => Ok(()),
            };
        };
        if frame.id == 0 {
            return self.push(body, now);
        }
        // Late answers, to requests given up, are passed over.
        match self
            .session
            .as_mut()
            .and_then(|s: &mut Session<Open>| s.answered(frame.id, now))
        {
            Some(open) => self.answer(open, body, now),
            None => Ok(()),
        }
    }

    fn answer(&mut self, open: Open, body: Body, now: Duration) -> Result<(), End> {
        match (open, body) {
            (Open::Hello, Body::Welcome(welcome)) => self.welcome(welcome, now)?,
            (Open::Hello, Body::Error(error)) => {
                return Err(End::new(ClientError::Fault(Fault::from(&error))));
            }
            (Open::Ping, Body::Pong(pong)) => self.note_stamp(pong.stamp),
            (Open::Ping | Open::Deactivate, _) => {}
            (Open::Send(local), Body::Sent(sent)) => self.sent(local, &sent, now)?,
            (Open::Send(local), Body::Error(error)) => {
                self.send_failed(local, Fault::from(&error), now);
            }
            (Open::Call(id), Body::Error(error)) => {
                self.call_failed(id, Fault::from(&error), now);
            }
            (Open::Call(id), body) => self.call_answered(id, body),
            (Open::Activate(group), Body::Activated(activated)) => {
                self.activated(group, &activated, now);
            }
            (Open::Activate(group), Body::Error(error)) => {
                self.activation_failed(group, Fault::from(&error), now);
            }
            (Open::Fetch(group), Body::Log(slice)) => self.fetched(group, &slice, now),
            (Open::Fetch(group), Body::Error(error)) => {
                let fault = Fault::from(&error);
                // No history any more means no access: the push that says so
                // may have been lost with an earlier session.
                if matches!(fault.code, Code::NotFound | Code::Banned) {
                    self.access_lost(group, fault);
                } else {
                    self.fetch_failed(group, &fault, now);
                }
            }
            (Open::Watch(group), Body::Presences(answer)) => self.watched(group, &answer),
            (Open::Watch(group), Body::Error(error)) => {
                self.watch_failed(group, &Fault::from(&error), now);
            }
            (open, _) => return Err(End::protocol(format!("a strange answer to {open:?}"))),
        }
        Ok(())
    }

    fn push(&mut self, body: Body, now: Duration) -> Result<(), End> {
        let group = |bytes: &[u8]| {
            GroupId::from_slice(bytes).map_err(|error| End::protocol(error.to_string()))
        };
        match body {
            Body::Deliver(deliver) => {
                let group = group(&deliver.group)?;
                self.delivered(group, deliver);
            }
            Body::Gap(gap) => {
                let id = group(&gap.group)?;
                self.gap(id, &gap.head.unwrap_or_default());
            }
            Body::Activated(activated) => {
                let id = group(&activated.group)?;
                self.activated(id, &activated, now);
            }
            Body::Bump(bump) => self.emit(Event::Bump {
                group: group(&bump.group)?,
                head: bump.head.unwrap_or_default(),
                unread: bump.unread,
            }),
            Body::RowsChanged(changed) => self.emit(Event::RowsChanged {
                group: group(&changed.group)?,
                rows: changed.rows,
            }),
            Body::Tentative(push) => {
                let group = group(&push.group)?;
                self.tentative(group, push);
            }
            Body::PresenceChanged(push) => {
                let group = group(&push.group)?;
                self.presence_changed(group, &push);
            }
            Body::AccessLost(lost) => {
                let code = Code::from_u32(lost.code).unwrap_or(Code::NotFound);
                self.access_lost(group(&lost.group)?, code.into());
            }
            Body::Closing(closing) => {
                let code = Code::from_u32(closing.code).unwrap_or(Code::Unavailable);
                let fault = Fault::new(code, closing.reason).retry_after(closing.retry_after_ms);
                return Err(End::new(ClientError::Fault(fault)));
            }
            // An error that answers nothing ends the session.
            Body::Error(error) => {
                return Err(End::new(ClientError::Fault(Fault::from(&error))));
            }
            _ => {}
        }
        Ok(())
    }
}
