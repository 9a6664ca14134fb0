//! A device without the SDK's manners: it sends one `client_msg_id` several
//! times, through several edges, and now and then with other content; and it
//! goes on from places that are in no history.

mod away;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use folkmoot_client::{Code, Dial, GroupId, Sent};
use folkmoot_crdt::hlc::Hlc;
use folkmoot_transport::sim::StreamWindow;
use folkmoot_transport::{Connection, FramedStream};
use folkmoot_wire::ClientMsgId;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{
    Activate, Activated, ClientFrame, Content, Hello, Kind, Resume, Send, ServerFrame,
};
use prost::Message;
use std::sync::Arc;
use tokio::time::timeout;

use super::book::{Act, Outcome, message_text};
use super::person::Person;

pub use away::looks_away;

/// An answer is waited for so long.
const PATIENCE: Duration = Duration::from_secs(8);
/// Its device, beside the SDK's own.
const DEVICE: u64 = 77;

/// A session.
struct Raw {
    /// Keeps it.
    _connection: Arc<dyn Connection>,
    stream: FramedStream,
    stamp: u64,
    next: u64,
    /// Came while an answer was waited for.
    pushes: VecDeque<Body>,
}

impl Raw {
    async fn hello(person: &Person, edge: &str, socket: StreamWindow) -> Option<Self> {
        let addr: SocketAddr = edge.parse().ok()?;
        let host = person.raw_host(socket);
        let connection = host.dial_client(addr, "node").await.ok()?;
        let stream = connection.open().await.ok()?;
        let mut raw = Self {
            _connection: connection,
            stream,
            stamp: 0,
            next: 1,
            pushes: VecDeque::new(),
        };
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            token: person.token().ok()?,
            device: DEVICE,
            client: "raw".into(),
            ..Hello::default()
        };
        match raw.ask(Request::Hello(hello)).await? {
            Body::Welcome(welcome) => raw.stamp = welcome.stamp,
            _ => return None,
        }
        Some(raw)
    }

    async fn ask(&mut self, request: Request) -> Option<Body> {
        let id = self.next;
        self.next += 1;
        let frame = ClientFrame {
            id,
            request: Some(request),
        };
        let sent = self.stream.tx.send(frame.encode_to_vec().into());
        sent.await.ok()?;
        loop {
            let frame = self.frame().await?;
            if frame.id == id {
                return frame.body;
            }
            self.pushes.extend(frame.body);
        }
    }

    async fn frame(&mut self) -> Option<ServerFrame> {
        let frame = self.stream.rx.recv().await.ok()??;
        ServerFrame::decode(frame).ok()
    }

    /// What the edge said without being asked.
    async fn push(&mut self) -> Option<Body> {
        match self.pushes.pop_front() {
            Some(push) => Some(push),
            None => self.frame().await?.body,
        }
    }

    /// Opens groups; gives the answer to the last of them.
    async fn open(&mut self, groups: &[GroupId]) -> Option<Body> {
        let resume = |group: &GroupId| Resume {
            group: group.to_bytes(),
            ..Resume::default()
        };
        let groups = groups.iter().map(resume).collect();
        self.ask(Request::Activate(Activate { groups })).await
    }

    /// Looks on at a group from a place; none when that is refused.
    async fn activate(&mut self, group: GroupId, seq: u64, chain: Vec<u8>) -> Option<Activated> {
        let resume = Resume {
            group: group.to_bytes(),
            seq,
            chain: chain.into(),
        };
        let groups = vec![resume];
        match self.ask(Request::Activate(Activate { groups })).await? {
            Body::Activated(told) if told.error.is_none() => Some(told),
            _ => None,
        }
    }
}

/// Sends a message and sends it again; `other`: once with other content.
pub async fn again_and_again(person: &mut Person, group: GroupId) {
    let edges = person.edges().to_vec();
    let message = person.book.message();
    let other = person.draw.one_in(3).then(|| person.book.message());
    let unique = person.draw.number();
    let mut id = None;
    for attempt in 0..3 {
        let Some(edge) = person.draw.pick(&edges).cloned() else {
            return;
        };
        let Ok(Some(mut raw)) =
            timeout(PATIENCE, Raw::hello(person, &edge, StreamWindow::default())).await
        else {
            continue;
        };
        // The first edge's stamp, for all attempts.
        let id = *id.get_or_insert_with(|| ClientMsgId::new(Hlc::from_u64(raw.stamp), unique));
        let text = match other {
            Some(other) if attempt == 1 => other,
            _ => message,
        };
        one(person, &mut raw, group, id, text).await;
    }
}

/// Comes with a place that is in no history of the group, as a device does whose
/// folder was put back from elsewhere: it has to be told so.
pub async fn from_elsewhere(person: &mut Person, group: GroupId) {
    let edges = person.edges().to_vec();
    let Some(edge) = person.draw.pick(&edges) else {
        return;
    };
    let (at, other) = (person.draw.number(), person.draw.number());
    let comes = async {
        let mut raw = Raw::hello(person, edge, StreamWindow::default()).await?;
        let head = raw.activate(group, 0, Vec::new()).await?.head?.seq;
        // Sometimes the head itself.
        let seq = head - at % head.max(1) % 8;
        let chain = blake3::hash(&other.to_be_bytes()).as_bytes().to_vec();
        let mut raw = Raw::hello(person, edge, StreamWindow::default()).await?;
        Some((seq, raw.activate(group, seq, chain).await?))
    };
    if let Ok(Some((seq, told))) = timeout(PATIENCE, comes).await
        && seq > 0
    {
        person.findings.under("timelines").check(!told.resumed, || {
            format!("a place that is in no history of {group} was taken for one, at seq {seq}")
        });
    }
}

async fn one(person: &Person, raw: &mut Raw, group: GroupId, id: ClientMsgId, message: u32) {
    let content = Content {
        text: message_text(message, "again and again"),
    };
    let send = Send {
        group: group.to_bytes(),
        client_msg_id: id.to_bytes(),
        kind: Kind::Message as i32,
        body: content.encode_to_vec().into(),
        ..Send::default()
    };
    let act = person.book.begin(Act {
        raw: true,
        ..person.wish(group, Kind::Message, Some(message))
    });
    let outcome = match timeout(PATIENCE, raw.ask(Request::Send(send))).await {
        Ok(Some(Body::Sent(sent))) => Outcome::Acked(Sent {
            seq: sent.seq,
            hlc: Hlc::from_u64(sent.hlc),
            id: None,
            client_msg_id: id,
            duplicate: sent.duplicate,
        }),
        Ok(Some(Body::Error(error))) => match Code::from_u32(error.code) {
            Some(code) if !code.temporary() => Outcome::Refused(code),
            _ => Outcome::Unknown,
        },
        _ => Outcome::Unknown,
    };
    person.book.settle(act, outcome);
}
