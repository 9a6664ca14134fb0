//! The same node for people who tell how far they have read.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use folkmoot_client::GroupId;
use folkmoot_transport::{Connection, FrameRecv, FrameSend};
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{MarkRead, ServerFrame};
use parking_lot::Mutex;
use prost::Message;
use tokio::time::Instant;

use super::client::{Mouth, Numbers, Session};
use super::{Folkmoot, Running};
use crate::crowd::{Room, Setup, Speaker};
use crate::peer::Tag;

/// A group with messages in it, and its readers.
pub(crate) struct Marks {
    running: Running,
}

/// What was said to one mark, or one who was added.
pub(crate) enum Said {
    /// It was due then.
    Done(Instant),
    Refused,
}

impl Folkmoot {
    /// Starts a node with a group of so many messages.
    pub(crate) async fn marks(&self, setup: &Setup, messages: Tag) -> anyhow::Result<Marks> {
        let running = self.run(setup).await?;
        let mut session = running.session(&*running.dial.socket()?, "speaker").await?;
        session.join(running.group, "speaker").await?;
        let mut mouth = Mouth::of(session, running.group);
        for tag in 0..messages {
            mouth.say(tag).await?;
        }
        mouth.answered().await?;
        Ok(Marks { running })
    }
}

impl Marks {
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.running.pids()
    }

    /// Readers, each a member with the group active.
    pub(crate) async fn readers(&self) -> anyhow::Result<Vec<(Marker, Answers)>> {
        let members = self.running.members().await?;
        let active = self.running.activate(members).await?;
        let group = self.running.group;
        let reader = |session| {
            let (asker, answers) = split(session);
            let marker = Marker {
                asker,
                group,
                seq: 0,
            };
            (marker, answers)
        };
        Ok(active.into_iter().map(reader).collect())
    }

    /// Payloads that the group's sequencer has put in order.
    pub(crate) async fn payloads(&self) -> anyhow::Result<u64> {
        self.running.cluster.applied(self.running.group).await
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        Box::new(self.running).stop().await
    }
}

type Due = Arc<Mutex<HashMap<u64, Instant>>>;

/// One that asks without waiting for answers.
pub(super) struct Asker {
    _connection: Arc<dyn Connection>,
    tx: Box<dyn FrameSend>,
    pub(super) numbers: Numbers,
    due: Due,
}

impl Asker {
    /// Asks what was due then.
    pub(super) async fn ask(&mut self, request: Request, due: Instant) -> anyhow::Result<()> {
        let (number, frame) = self.numbers.numbered(request);
        self.due.lock().insert(number, due);
        Ok(self.tx.send(frame).await?)
    }
}

/// One that reads on.
pub(crate) struct Marker {
    asker: Asker,
    group: GroupId,
    seq: u64,
}

/// What it is answered.
pub(crate) struct Answers {
    rx: Box<dyn FrameRecv>,
    due: Due,
}

pub(super) fn split(session: Session) -> (Asker, Answers) {
    let Session {
        connection,
        tx,
        rx,
        numbers,
        ..
    } = session;
    let due = Due::default();
    let answers = Answers {
        rx,
        due: Arc::clone(&due),
    };
    let asker = Asker {
        _connection: connection,
        tx,
        numbers,
        due,
    };
    (asker, answers)
}

impl Marker {
    /// Has read one more, as was due then.
    pub(crate) async fn mark(&mut self, due: Instant) -> anyhow::Result<()> {
        self.seq += 1;
        let mark = MarkRead {
            group: self.group.to_bytes(),
            seq: self.seq,
        };
        self.asker.ask(Request::MarkRead(mark), due).await
    }
}

impl Answers {
    /// The next answer to what was asked.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Said> {
        loop {
            let frame: Bytes = self.rx.recv().await?.context("the edge has ended")?;
            let frame = ServerFrame::decode(frame)?;
            let Some(due) = self.due.lock().remove(&frame.id) else {
                continue; // news of the group
            };
            match frame.body {
                Some(Body::Ok(_) | Body::Sent(_)) => return Ok(Said::Done(due)),
                Some(Body::Error(_)) => return Ok(Said::Refused),
                other => anyhow::bail!("a strange answer: {other:?}"),
            }
        }
    }
}
