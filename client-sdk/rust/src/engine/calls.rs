//! Requests with an answer that are not messages. All of them may be done
//! twice without harm, so they are retried until their deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::{ClientMsgId, Code, Fault};
use tokio::sync::oneshot;

use super::{Engine, Open};
use crate::error::{ClientError, Result};

/// Calls that wait for an answer. Together with the messages in flight fewer
/// than `limits::SESSION_REQUESTS`.
const CALLS_MAX: usize = 96;

#[derive(Debug)]
struct Call {
    request: Request,
    reply: oneshot::Sender<Result<Body>>,
    deadline: Duration,
    failures: u32,
    last: Option<Fault>,
}

/// The calls that are not answered.
#[derive(Debug, Default)]
pub(super) struct Calls {
    next: u64,
    open: BTreeMap<u64, Call>,
    /// Those not in flight, by when they are to be sent.
    waiting: BTreeSet<(Duration, u64)>,
    deadlines: BTreeSet<(Duration, u64)>,
}

impl Calls {
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    pub(super) fn retry_at(&self) -> Option<Duration> {
        self.waiting.first().map(|&(at, _)| at)
    }

    /// Sends the call again at `at`.
    pub(super) fn again(&mut self, id: u64, at: Duration) {
        if self.open.contains_key(&id) {
            self.waiting.insert((at, id));
        }
    }

    pub(super) fn shut(&mut self, reason: &ClientError) {
        for (_, call) in std::mem::take(self).open {
            let _ = call.reply.send(Err(reason.clone()));
        }
    }

    fn take(&mut self, id: u64) -> Option<Call> {
        let call = self.open.remove(&id)?;
        self.deadlines.remove(&(call.deadline, id));
        self.waiting.retain(|&(_, waiting)| waiting != id);
        Some(call)
    }
}

impl Engine {
    pub(super) fn call(
        &mut self,
        request: Request,
        reply: oneshot::Sender<Result<Body>>,
        now: Duration,
    ) {
        let calls = &mut self.calls;
        if calls.open.len() >= CALLS_MAX {
            let _ = reply.send(Err(ClientError::TooManyCalls { limit: CALLS_MAX }));
            return;
        }
        calls.next += 1;
        let id = calls.next;
        let deadline = now + self.options.call_deadline;
        let call = Call {
            request,
            reply,
            deadline,
            failures: 0,
            last: None,
        };
        calls.open.insert(id, call);
        calls.deadlines.insert((deadline, id));
        calls.waiting.insert((now, id));
    }

    pub(super) fn pump_calls(&mut self, now: Duration) {
        while let Some(&(at, id)) = self.calls.waiting.first()
            && at <= now
        {
            self.calls.waiting.pop_first();
            let Some(call) = self.calls.open.get_mut(&id) else {
                continue;
            };
            if call.reply.is_closed() {
                self.calls.take(id);
                continue;
            }
            if let Some(field) = msg_id(&mut call.request)
                && field.is_empty()
            {
                // Below those of the outbox, which rise.
                let unique = u64::from(self.rng.next_u32());
                *field = ClientMsgId::new(self.stamp, unique).to_bytes();
            }
            let request = call.request.clone();
            self.request(request, Open::Call(id), now);
        }
    }

    pub(super) fn call_answered(&mut self, id: u64, body: Body) {
        if let Some(call) = self.calls.take(id) {
            let _ = call.reply.send(Ok(body));
        }
    }

    pub(super) fn call_failed(&mut self, id: u64, fault: Fault, now: Duration) {
        let Some(call) = self.calls.open.get_mut(&id) else {
            return;
        };
        if !fault.code.temporary() {
            if let Some(call) = self.calls.take(id) {
                let _ = call.reply.send(Err(fault.into()));
            }
            return;
        }
        call.failures += 1;
        let asked = Duration::from_millis(fault.retry_after_ms);
        let delay = self
            .options
            .backoff
            .delay(call.failures, asked, &mut *self.rng);
        call.last = Some(fault);
        self.calls.again(id, now + delay);
    }

    pub(super) fn expire_calls(&mut self, now: Duration) {
        while let Some(&(at, id)) = self.calls.deadlines.first()
            && at <= now
        {
            self.calls.deadlines.pop_first();
            if let Some(call) = self.calls.take(id) {
                let fault = call.last.unwrap_or_else(|| Code::Deadline.into());
                let _ = call.reply.send(Err(fault.into()));
            }
        }
    }
}

/// The field that makes a request idempotent, in those that have one.
fn msg_id(request: &mut Request) -> Option<&mut Bytes> {
    match request {
        Request::CreateGroup(create) => Some(&mut create.client_msg_id),
        Request::OpenDirect(open) => Some(&mut open.client_msg_id),
        Request::UpdateProfile(update) => Some(&mut update.client_msg_id),
        _ => None,
    }
}
