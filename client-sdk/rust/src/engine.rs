//! Everything a client does, without I/O: commands of the application, frames
//! of the edge and the time come in; frames, records and answers go out.

mod calls;
mod due;
mod follows;
mod frames;
mod hello;
mod sends;
mod watches;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{Activated, ClientFrame, Goodbye, Send as SendRequest};
use folkmoot_wire::{DeviceId, GroupId, UserId};
use prost::Message;
use rand::RngCore;
use tokio::sync::{broadcast, oneshot};

use crate::core::backoff::Backoff;
use crate::core::outbox::{LocalId, Outbox, OutboxOptions};
use crate::core::session::Session;
use crate::core::timeline::{Point, Start};
use crate::error::{ClientError, Result};
use crate::event::Event;
use crate::feed::{Feed, Wakers};
use crate::receipt::Sent;
use crate::store::{Identity, Record, Saved};
use calls::Calls;
use follows::Follows;
pub(crate) use hello::Greeting;
use watches::Watches;

/// A Hello is answered within this time, or another edge is tried.
const HELLO_ANSWER: Duration = Duration::from_secs(10);

/// What the application asks for.
pub(crate) enum Command {
    Submit {
        group: GroupId,
        send: Box<SendRequest>,
        reply: oneshot::Sender<Result<Sent>>,
    },
    Call {
        request: Box<Request>,
        reply: oneshot::Sender<Result<Body>>,
    },
    Activate {
        group: GroupId,
        start: Start,
        /// The new reader, if there is to be one.
        feed: Option<Feed>,
        reply: oneshot::Sender<Result<Activated>>,
    },
    Deactivate {
        group: GroupId,
    },
    Watch {
        group: GroupId,
        users: BTreeSet<UserId>,
        reply: oneshot::Sender<Result<()>>,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// Settings of an engine.
#[derive(Debug, Clone)]
pub(crate) struct EngineOptions {
    pub(crate) client: String,
    pub(crate) outbox: OutboxOptions,
    pub(crate) backoff: Backoff,
    /// One request within one session.
    pub(crate) request_deadline: Duration,
    /// A call, with all its retries.
    pub(crate) call_deadline: Duration,
}

/// What an open request is for.
#[derive(Debug)]
enum Open {
    Hello,
    Ping,
    Send(LocalId),
    Call(u64),
    Activate(GroupId),
    Deactivate,
    Fetch(GroupId),
    Watch(GroupId),
}

/// Why a session has to end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    pub(crate) reason: ClientError,
    /// What the edge asks to wait, in milliseconds.
    pub(crate) retry_after_ms: u64,
}

impl End {
    fn new(reason: ClientError) -> Self {
        let retry_after_ms = reason.retry_after_ms();
        Self {
            reason,
            retry_after_ms,
        }
    }

    fn protocol(what: impl Into<String>) -> Self {
        Self::new(ClientError::Protocol(what.into()))
    }
}

/// What has to be done, in this order: records are kept, then the application
/// is told and frames are sent.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) records: Vec<Record>,
    pub(crate) receipts: Vec<(oneshot::Sender<Result<Sent>>, Result<Sent>)>,
    pub(crate) events: Vec<Event>,
    pub(crate) frames: Vec<Bytes>,
}

pub(crate) struct Engine {
    options: EngineOptions,
    rng: Box<dyn RngCore + Send>,
    device: DeviceId,
    identity: Option<Identity>,
    changed_since: Bytes,
    stamp: Hlc,
    session: Option<Session<Open>>,
    greeting: Option<Greeting>,
    max_frame: usize,
    outbox: Outbox,
    receipts: BTreeMap<LocalId, oneshot::Sender<Result<Sent>>>,
    calls: Calls,
    follows: Follows,
    watches: Watches,
    saved_points: BTreeMap<GroupId, Point>,
    events: broadcast::Sender<Event>,
    wakers: Arc<Wakers>,
    output: Output,
}

impl Engine {
    /// Takes over what the local store holds.
    pub(crate) fn new(
        options: EngineOptions,
        device: DeviceId,
        saved: Saved,
        rng: Box<dyn RngCore + Send>,
        events: broadcast::Sender<Event>,
        wakers: Arc<Wakers>,
    ) -> Self {
        let mut outbox = Outbox::new(options.outbox);
        for (local, message) in saved.outbox {
            outbox.restore(local, message.group, message.id, message.send);
        }
        let mut output = Output::default();
        if saved.device != Some(device) {
            output.records.push(Record::Device(device));
        }
        Self {
            options,
            rng,
            device,
            identity: saved.identity,
            changed_since: Bytes::new(),
            stamp: Hlc::ZERO,
            session: None,
            greeting: None,
            max_frame: folkmoot_wire::limits::CLIENT_FRAME_MAX,
            outbox,
            receipts: BTreeMap::new(),
            calls: Calls::default(),
            follows: Follows::default(),
            watches: Watches::default(),
            saved_points: saved.read,
            events,
            wakers,
            output,
        }
    }

    /// Whose client this is, once known.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// What the edge said of itself, while there is a session.
    pub(crate) fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    pub(crate) fn rng(&mut self) -> &mut dyn RngCore {
        &mut *self.rng
    }

    pub(crate) fn emit(&self, event: Event) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    /// Everything to do since the last call.
    pub(crate) fn take_output(&mut self, now: Duration) -> Output {
        self.pump(now);
        std::mem::take(&mut self.output)
    }

    /// The application asks for something. `Close` is the driver's.
    pub(crate) fn command(&mut self, command: Command, now: Duration) {
        match command {
            Command::Submit { group, send, reply } => self.submit(group, *send, reply),
            Command::Call { request, reply } => self.call(*request, reply, now),
            Command::Activate {
                group,
                start,
                feed,
                reply,
            } => self.activate(group, start, feed, reply),
            Command::Deactivate { group } => self.deactivate(group, now),
            Command::Watch {
                group,
                users,
                reply,
            } => drop(reply.send(self.watch(group, users))),
            Command::Close { reply } => drop(reply.send(())),
        }
    }

    /// Readers have taken entries.
    pub(crate) fn readers_woke(&mut self) {
        for group in self.wakers.take() {
            self.reader_woke(group);
        }
    }

    /// Time passed. An error: the session has to end.
    pub(crate) fn tick(&mut self, now: Duration) -> std::result::Result<(), End> {
        self.expire_calls(now);
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        if session.is_silent(now) {
            let silent = "the edge has not answered heartbeats";
            return Err(End::new(ClientError::Fault(folkmoot_wire::Fault::new(
                folkmoot_wire::Code::IdleTimeout,
                silent,
            ))));
        }
        for open in session.expired(now) {
            self.unanswered(open, now)?;
        }
        if self.greeting.is_some()
            && let Some(session) = &mut self.session
            && let Some(frame) = session.ping(now, Open::Ping)
        {
            self.push_frame(&frame);
        }
        Ok(())
    }

    /// When to call [`Engine::tick`] at the latest.
    pub(crate) fn wake_at(&self, now: Duration) -> Option<Duration> {
        let session = self.session.as_ref().map(|session| session.wake_at(now));
        let mut times = vec![session, self.calls.deadline()];
        if self.greeting.is_some() {
            times.extend([
                self.outbox.wake_at(),
                self.calls.retry_at(),
                self.follows.retry_at(),
                self.watches.retry_at(),
            ]);
        }
        times.into_iter().flatten().min()
    }

    /// Whether the edge is in doubt, so that others are to be tried beside it.
    pub(crate) fn is_in_doubt(&self, now: Duration) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.is_in_doubt(now))
    }

    /// When the edge counts as gone, if nothing is heard of it before.
    pub(crate) fn gone_at(&self) -> Option<Duration> {
        self.session.as_ref().map(Session::silent_at)
    }

    /// A session begins: makes the Hello.
    pub(crate) fn connected(&mut self, token: String, now: Duration) {
        self.session = Some(Session::new(now));
        let hello = self.hello(token);
        // Before the first heartbeat is due: there are none before Welcome.
        let within = self.options.request_deadline.min(HELLO_ANSWER);
        if let Some(session) = &mut self.session {
            let frame = session.request(Request::Hello(hello), Open::Hello, now, within);
            self.push_frame(&frame);
        }
    }

    /// The session ended. What was in flight is done again in the next one.
    pub(crate) fn disconnected(&mut self, now: Duration) {
        self.greeting = None;
        self.output.frames.clear();
        self.outbox.disconnected();
        for open in self.session.take().into_iter().flat_map(Session::end) {
            if let Open::Call(id) = open {
                self.calls.again(id, now);
            }
        }
        self.follows_disconnected();
        self.watches.disconnected();
    }

    /// The last frame of a session that this side ends.
    pub(crate) fn goodbye(&mut self, now: Duration) {
        if self.greeting.is_some() {
            self.request(Request::Goodbye(Goodbye {}), Open::Deactivate, now);
        }
    }

    /// The client ends: everybody who waits is told.
    pub(crate) fn shut(&mut self, reason: &ClientError) {
        for (_, reply) in std::mem::take(&mut self.receipts) {
            let _ = reply.send(Err(reason.clone()));
        }
        self.calls.shut(reason);
        self.follows.shut(reason);
    }

    fn pump(&mut self, now: Duration) {
        if self.greeting.is_some() {
            self.pump_calls(now);
            self.pump_sends(now);
            self.pump_follows(now);
            self.pump_watches(now);
        }
    }

    fn request(&mut self, request: Request, open: Open, now: Duration) {
        let within = self.options.request_deadline;
        if let Some(session) = &mut self.session {
            let frame = session.request(request, open, now, within);
            self.push_frame(&frame);
        }
    }

    fn push_frame(&mut self, frame: &ClientFrame) {
        self.output.frames.push(Bytes::from(frame.encode_to_vec()));
    }

    /// A request was not answered in time.
    fn unanswered(&mut self, open: Open, now: Duration) -> std::result::Result<(), End> {
        let late = folkmoot_wire::Fault::from(folkmoot_wire::Code::Deadline);
        match open {
            Open::Hello => return Err(End::new(ClientError::Fault(late))),
            Open::Ping | Open::Deactivate => {}
            Open::Send(local) => self.send_failed(local, late, now),
            Open::Call(id) => self.call_failed(id, late, now),
            Open::Activate(group) => self.activation_failed(group, late, now),
            Open::Fetch(group) => self.fetch_failed(group, &late, now),
            Open::Watch(group) => self.watch_failed(group, &late, now),
        }
        Ok(())
    }
}
