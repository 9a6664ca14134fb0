//! A client that does no more than it must: no store, no timeline, no clock.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_client::{GroupId, UserId};
use folkmoot_crdt::hlc::Hlc;
use folkmoot_transport::{Connection, Dial, FrameRecv, FrameSend, FramedStream};
use folkmoot_wire::ClientMsgId;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{
    Activate, Activated, ClientFrame, Content, Hello, JoinBody, Kind, Ping, Resume, SealedEntry,
    Send, ServerFrame,
};
use prost::Message;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};

use super::known::Known;
use crate::crowd::{Listener, Speaker};
use crate::load::payload::{Payloads, tag_of};
use crate::peer::Tag;

/// Requests that are open at once. Of more, an edge refuses some.
pub(super) const OPEN: usize = 400;
/// The key of a `Content`'s text, and its length: 256.
const TEXT: &[u8] = &[0x0a, 0x80, 0x02];

/// What numbers requests and messages.
pub(super) struct Numbers {
    /// Of the edge, for message ids.
    stamp: u64,
    next: u64,
}

impl Numbers {
    fn frame(&mut self, request: Request) -> Bytes {
        self.numbered(request).1
    }

    /// A question with its number.
    pub(super) fn numbered(&mut self, request: Request) -> (u64, Bytes) {
        let id = self.next;
        self.next += 1;
        let frame = ClientFrame {
            id,
            request: Some(request),
        };
        (id, frame.encode_to_vec().into())
    }

    fn send(&mut self, group: GroupId, kind: Kind, body: Vec<u8>) -> Bytes {
        let send = self.entry(group, kind, body);
        self.frame(Request::Send(send))
    }

    /// Something for the log. One device: its entries have its requests'
    /// numbers.
    pub(super) fn entry(&self, group: GroupId, kind: Kind, body: Vec<u8>) -> Send {
        let id = ClientMsgId::new(Hlc::from_u64(self.stamp), self.next);
        Send {
            group: group.to_bytes(),
            client_msg_id: id.to_bytes(),
            kind: kind as i32,
            body: body.into(),
            ..Send::default()
        }
    }
}

/// A session.
pub(crate) struct Session {
    /// Whose it is.
    pub(crate) user: UserId,
    /// Keeps it.
    pub(super) connection: Arc<dyn Connection>,
    pub(super) tx: Box<dyn FrameSend>,
    pub(crate) rx: Box<dyn FrameRecv>,
    pub(super) numbers: Numbers,
}

impl Session {
    pub(crate) async fn hello(
        dial: &dyn Dial,
        addr: SocketAddr,
        token: String,
        device: u64,
    ) -> anyhow::Result<Self> {
        let connection = dial.dial_client(addr, "127.0.0.1").await?;
        let FramedStream { mut tx, mut rx } = connection.open().await?;
        let mut numbers = Numbers { stamp: 0, next: 1 };
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            token,
            device,
            client: "folkmoot-bench".into(),
            ..Hello::default()
        };
        tx.send(numbers.frame(Request::Hello(hello))).await?;
        let frame = rx.recv().await?.context("the edge has ended")?;
        let welcome = match ServerFrame::decode(frame)?.body {
            Some(Body::Welcome(welcome)) => welcome,
            Some(Body::Error(error)) => bail!("refused: {} ({})", error.name, error.message),
            other => bail!("to a Hello: {other:?}"),
        };
        numbers.stamp = welcome.stamp;
        Ok(Self {
            user: UserId::from_slice(&welcome.user)?,
            connection,
            tx,
            rx,
            numbers,
        })
    }

    /// Asks; gives the question's number.
    pub(crate) async fn begin(&mut self, request: Request) -> anyhow::Result<u64> {
        let frame = self.numbers.frame(request);
        self.tx.send(frame).await?;
        Ok(self.numbers.next - 1)
    }

    /// The next frame.
    pub(super) async fn frame(&mut self) -> anyhow::Result<Bytes> {
        self.rx.recv().await?.context("the edge has ended")
    }

    /// Asks, and waits for the answer.
    async fn ask(&mut self, frame: Bytes) -> anyhow::Result<Body> {
        let id = self.numbers.next - 1;
        self.tx.send(frame).await?;
        loop {
            let frame = ServerFrame::decode(self.frame().await?)?;
            match frame.body {
                Some(Body::Error(error)) if frame.id == id => {
                    bail!("refused: {} ({})", error.name, error.message)
                }
                Some(body) if frame.id == id => return Ok(body),
                _ => {}
            }
        }
    }

    /// Gives the seq of the entry; 0: it made none.
    pub(crate) async fn join(&mut self, group: GroupId, nick: &str) -> anyhow::Result<u64> {
        let body = JoinBody {
            nick: nick.to_owned(),
            role: 0,
        };
        let join = self.numbers.send(group, Kind::Join, body.encode_to_vec());
        match self.ask(join).await? {
            Body::Sent(sent) => Ok(sent.seq),
            other => bail!("to a join: {other:?}"),
        }
    }

    pub(crate) async fn leave(&mut self, group: GroupId) -> anyhow::Result<()> {
        let leave = self.numbers.send(group, Kind::Leave, Vec::new());
        match self.ask(leave).await? {
            Body::Sent(_) => Ok(()),
            other => bail!("to a leave: {other:?}"),
        }
    }

    /// Gives what the edge says of the group.
    pub(crate) async fn activate(&mut self, group: GroupId) -> anyhow::Result<Activated> {
        let resume = Resume {
            group: group.to_bytes(),
            ..Resume::default()
        };
        let groups = vec![resume];
        let activate = self.numbers.frame(Request::Activate(Activate { groups }));
        match self.ask(activate).await? {
            Body::Activated(told) if told.error.is_none() => Ok(told),
            other => bail!("to an activation: {other:?}"),
        }
    }
}

/// One that listens.
pub(super) struct Ear {
    session: Session,
    heartbeat: Instant,
}

impl Ear {
    pub(super) fn of(session: Session) -> Self {
        Self {
            session,
            heartbeat: Instant::now() + folkmoot_wire::limits::HEARTBEAT,
        }
    }

    async fn beat(&mut self) -> anyhow::Result<()> {
        self.heartbeat = Instant::now() + folkmoot_wire::limits::HEARTBEAT;
        self.session.begin(Request::Ping(Ping {})).await?;
        Ok(())
    }
}

#[async_trait]
impl Listener for Ear {
    async fn hear(&mut self, heard: &mut Vec<Tag>) -> anyhow::Result<()> {
        while heard.is_empty() {
            let frame = tokio::select! {
                biased;
                frame = self.session.rx.recv() => frame?,
                () = sleep_until(self.heartbeat) => {
                    self.beat().await?;
                    continue;
                }
            };
            let frame = frame.context("the edge has ended")?;
            let tags = DELIVERED.with_borrow_mut(|known| known.read(frame, read))?;
            heard.extend_from_slice(&tags);
        }
        Ok(())
    }
}

thread_local! {
    static DELIVERED: RefCell<Known<Arc<[Tag]>>> = const { RefCell::new(Known::new()) };
}

fn read(frame: Bytes) -> anyhow::Result<Arc<[Tag]>> {
    let mut tags = Vec::new();
    match ServerFrame::decode(frame)?.body {
        Some(Body::Deliver(deliver)) => {
            for entry in &deliver.entries {
                tags.extend(tag(entry)?);
            }
        }
        Some(Body::Gap(_)) => bail!("a listener was too slow, and has a gap"),
        Some(Body::Closing(closing)) => bail!("closed: {}", closing.reason),
        _ => {}
    }
    Ok(tags.into())
}

/// Whose message an entry is; none: it is a join.
pub(super) fn tag(entry: &SealedEntry) -> anyhow::Result<Option<Tag>> {
    if let Some(payload) = entry.body.strip_prefix(TEXT) {
        return Ok(tag_of(payload));
    }
    let header = entry.decode_header().context("a header")?;
    match header.kind() {
        Kind::Message => bail!("a message that was not sent"),
        _ => Ok(None),
    }
}

/// The one who speaks.
pub(super) struct Mouth {
    _connection: Arc<dyn Connection>,
    tx: Box<dyn FrameSend>,
    numbers: Numbers,
    group: GroupId,
    payloads: Payloads,
    /// Requests that may be open now.
    room: Arc<Semaphore>,
    /// Why nothing can be said any more.
    refused: oneshot::Receiver<anyhow::Error>,
}

impl Mouth {
    pub(super) fn of(session: Session, group: GroupId) -> Self {
        let (refuse, refused) = oneshot::channel();
        let rx = session.rx;
        let room = Arc::new(Semaphore::new(OPEN));
        let answered = Arc::clone(&room);
        tokio::spawn(async move {
            let why = answers(rx, &answered).await;
            answered.close();
            // The mouth is gone.
            let _ = refuse.send(why);
        });
        Self {
            _connection: session.connection,
            tx: session.tx,
            numbers: session.numbers,
            group,
            payloads: Payloads::new(),
            room,
            refused,
        }
    }
}

impl Mouth {
    /// Waits until all that was said is answered.
    pub(super) async fn answered(&mut self) -> anyhow::Result<()> {
        match self.room.acquire_many(OPEN as u32).await {
            Ok(_) => Ok(()),
            Err(_) => Err((&mut self.refused).await?),
        }
    }
}

/// Reads answers until one says no.
async fn answers(mut rx: Box<dyn FrameRecv>, room: &Semaphore) -> anyhow::Error {
    loop {
        let frame = match rx.recv().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return anyhow::anyhow!("the edge has ended"),
            Err(error) => return error.into(),
        };
        match ServerFrame::decode(frame).map(|frame| frame.body) {
            Ok(Some(Body::Error(error))) => {
                return anyhow::anyhow!("refused: {} ({})", error.name, error.message);
            }
            Ok(Some(Body::Sent(_))) => room.add_permits(1),
            Ok(_) => {}
            Err(error) => return error.into(),
        }
    }
}

#[async_trait]
impl Speaker for Mouth {
    async fn say(&mut self, tag: Tag) -> anyhow::Result<()> {
        match self.room.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) => return Err((&mut self.refused).await?),
        }
        let content = Content {
            text: self.payloads.of(tag).to_owned(),
        };
        let body = content.encode_to_vec();
        let frame = self.numbers.send(self.group, Kind::Message, body);
        Ok(self.tx.send(frame).await?)
    }
}
