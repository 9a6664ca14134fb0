//! A connection to a NATS server, as publisher and as subscriber.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use bytes::{BufMut, Bytes};
use serde_json::Value;
use tokio::time::timeout;

use super::protocol::{self, Said};
use crate::load::payload::{Payloads, tag_of};
use crate::peer::socket::Socket;
use crate::peer::{Publisher, Subscriber, Tag};

/// How long the server may think about a question.
const ANSWER: Duration = Duration::from_secs(10);
const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\
\"version\":\"0\",\"protocol\":1,\"headers\":true,\"no_responders\":true}\r\nPING\r\n";

pub(super) struct Session {
    socket: Socket,
    /// Subscriptions made.
    subscriptions: u32,
    questions: u32,
    /// Begins all its inboxes.
    inbox: String,
}

impl Session {
    pub(super) async fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        let mut socket = Socket::connect(addr).await?;
        let local = socket.local()?;
        socket.output.put_slice(CONNECT);
        let mut session = Self {
            socket,
            subscriptions: 0,
            questions: 0,
            inbox: format!("_INBOX.{}", local.port()),
        };
        let greeted = async {
            while session.said().await? != Said::Pong {}
            anyhow::Ok(())
        };
        timeout(ANSWER, greeted).await.context("no greeting")??;
        Ok(session)
    }

    /// The next thing that was said, if it is there.
    fn ready(&mut self) -> anyhow::Result<Option<Said>> {
        let said = protocol::take(&mut self.socket.input)?;
        match &said {
            Some(Said::Error(text)) => bail!("nats: {text}"),
            Some(Said::Ping) => self.socket.output.put_slice(b"PONG\r\n"),
            _ => {}
        }
        Ok(said)
    }

    async fn said(&mut self) -> anyhow::Result<Said> {
        loop {
            if let Some(said) = self.ready()? {
                return Ok(said);
            }
            self.socket.fill().await?;
        }
    }

    /// The next message.
    async fn message(&mut self) -> anyhow::Result<(String, Bytes)> {
        loop {
            if let Some(message) = message(self.said().await?)? {
                return Ok(message);
            }
        }
    }

    /// Subscribes to an inbox; gives its name.
    pub(super) async fn subscribe(&mut self, name: &str) -> anyhow::Result<String> {
        let subject = format!("{}.{name}", self.inbox);
        self.subscriptions += 1;
        let line = format!("SUB {subject} {}\r\n", self.subscriptions);
        self.socket.output.put_slice(line.as_bytes());
        self.socket.flush().await?;
        Ok(subject)
    }

    /// Asks for messages in one go; adds those that come before the batch ends.
    pub(super) async fn batch(
        &mut self,
        subject: &str,
        inbox: &str,
        question: &[u8],
        read: &mut Vec<Tag>,
    ) -> anyhow::Result<()> {
        protocol::publish(&mut self.socket.output, subject, inbox, None, question);
        let before = read.len();
        loop {
            let (_, payload) = self.message().await?;
            if payload.is_empty() {
                break;
            }
            read.push(tag_of(&payload).context("a message that was not sent")?);
        }
        if read.len() == before {
            bail!("a batch without messages");
        }
        Ok(())
    }

    /// Asks one of the server's services.
    pub(super) async fn ask(&mut self, subject: &str, question: &[u8]) -> anyhow::Result<Value> {
        self.questions += 1;
        let name = format!("question{}", self.questions);
        let reply = self.subscribe(&name).await?;
        protocol::publish(&mut self.socket.output, subject, &reply, None, question);
        let answered = async {
            loop {
                let (subject, payload) = self.message().await?;
                if subject == reply {
                    return anyhow::Ok(serde_json::from_slice(&payload)?);
                }
            }
        };
        timeout(ANSWER, answered).await.context("no answer")?
    }
}

fn message(said: Said) -> anyhow::Result<Option<(String, Bytes)>> {
    match said {
        Said::Message { nobody: true, .. } => bail!("nobody answers: JetStream is not there yet"),
        Said::Message {
            subject, payload, ..
        } => Ok(Some((subject, payload))),
        _ => Ok(None),
    }
}

/// One that sends.
pub(super) struct Sender {
    session: Session,
    targets: Arc<[String]>,
    payloads: Payloads,
    /// The inbox of acknowledgements, up to the message's number.
    inbox: String,
    reply: String,
    id: String,
    subscribed: bool,
}

impl Sender {
    pub(super) fn new(session: Session, targets: Arc<[String]>, number: usize) -> Self {
        Self {
            inbox: format!("{}.{number}.", session.inbox),
            session,
            targets,
            payloads: Payloads::new(),
            reply: String::new(),
            id: String::new(),
            subscribed: false,
        }
    }

    /// Which message an acknowledgement is of: its inbox says so.
    fn tag(&self, subject: &str) -> anyhow::Result<Tag> {
        let tag = subject.strip_prefix(&self.inbox);
        tag.and_then(|tag| tag.parse().ok())
            .with_context(|| format!("a message to {subject}"))
    }

    /// Takes an acknowledgement.
    fn acknowledged(&self, subject: &str, payload: &[u8]) -> anyhow::Result<Tag> {
        let answer: Value = serde_json::from_slice(payload).context("an acknowledgement")?;
        if answer.get("seq").is_none() || answer.get("error").is_some() {
            bail!("a message was refused: {answer}");
        }
        if answer["duplicate"] == true {
            bail!("a message was taken for a repetition: {answer}");
        }
        self.tag(subject)
    }

    /// Waits for one, where messages are sent again and servers may be
    /// without a leader. May be dropped while it waits.
    pub(super) async fn acknowledgement(&mut self) -> anyhow::Result<Acknowledged> {
        loop {
            let Said::Message {
                subject,
                payload,
                nobody,
            } = self.session.said().await?
            else {
                continue;
            };
            if nobody {
                return Ok(Acknowledged::NotNow);
            }
            let answer: Value = serde_json::from_slice(&payload).context("an acknowledgement")?;
            return Ok(if answer.get("error").is_some() {
                Acknowledged::NotNow
            } else {
                Acknowledged::Stored(self.tag(&subject)?)
            });
        }
    }
}

/// What is said to a message that may have been sent before.
pub(super) enum Acknowledged {
    Stored(Tag),
    NotNow,
}

#[async_trait]
impl Publisher for Sender {
    async fn send(&mut self, target: usize, tag: Tag) -> anyhow::Result<()> {
        if !self.subscribed {
            let line = format!("SUB {}* 1\r\n", self.inbox);
            self.session.socket.output.put_slice(line.as_bytes());
            self.subscribed = true;
        }
        self.reply.clear();
        self.id.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.reply, "{}{tag}", self.inbox);
        let _ = write!(self.id, "{tag}");
        let payload = self.payloads.of(tag).as_bytes();
        let output = &mut self.session.socket.output;
        let subject = &self.targets[target];
        protocol::publish(output, subject, &self.reply, Some(&self.id), payload);
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.session.socket.flush().await
    }

    async fn done(&mut self, tags: &mut Vec<Tag>) -> anyhow::Result<()> {
        loop {
            while let Some(said) = self.session.ready()? {
                if let Some((subject, payload)) = message(said)? {
                    tags.push(self.acknowledged(&subject, &payload)?);
                }
            }
            if !tags.is_empty() {
                return Ok(());
            }
            self.session.socket.fill().await?;
        }
    }

    async fn close(self: Box<Self>) {}
}

/// One that receives.
pub(super) struct Receiver {
    session: Session,
}

impl Receiver {
    pub(super) fn new(session: Session) -> Self {
        Self { session }
    }

    /// Takes so many messages.
    pub(super) async fn take(mut self, count: u64) -> anyhow::Result<Vec<Tag>> {
        let mut tags = Vec::new();
        while (tags.len() as u64) < count {
            let (_, payload) = self.session.message().await?;
            tags.push(tag_of(&payload).context("a message that was not sent")?);
        }
        Ok(tags)
    }
}

#[async_trait]
impl Subscriber for Receiver {
    async fn next(&mut self, tags: &mut Vec<Tag>) -> anyhow::Result<()> {
        loop {
            while let Some(said) = self.session.ready()? {
                if let Some((_, payload)) = message(said)? {
                    tags.push(tag_of(&payload).context("a message that was not sent")?);
                }
            }
            if !tags.is_empty() {
                return Ok(());
            }
            self.session.socket.fill().await?;
        }
    }

    async fn close(self: Box<Self>) {}
}
