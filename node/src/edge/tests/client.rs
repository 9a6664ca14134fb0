//! A client for tests: it checks nothing that a test should check.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{
    Activate, Activated, ClientFrame, Content, CreateGroup, Deliver, Error, Head, Hello, JoinBody,
    Kind, Resume, SealedEntry, Send, Sent, ServerFrame, Welcome,
};
use folkmoot_wire::{ClientMsgId, Code, GroupId, UserId};
use prost::Message;

use super::pipe::{ClientEnd, pipe};
use super::world::{World, token};

pub(super) struct Client {
    pub(super) end: ClientEnd,
    pub(super) user: Option<UserId>,
    next: u64,
    stamp: u64,
    unique: u64,
    early: BTreeMap<u64, Body>,
    pub(super) pushes: VecDeque<Body>,
}

pub(super) fn hello(subject: &str) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        features: vec!["rows".into(), "bumps".into()],
        token: token(subject),
        device: 1,
        client: "test".into(),
        ..Hello::default()
    }
}

pub(super) fn text(text: &str) -> Bytes {
    let content = Content { text: text.into() };
    content.encode_to_vec().into()
}

pub(super) fn said(entry: &SealedEntry) -> String {
    Content::decode(entry.body.clone()).unwrap().text
}

pub(super) fn error(body: Body) -> (Code, Error) {
    match body {
        Body::Error(error) => (Code::from_u32(error.code).unwrap(), error),
        other => panic!("an error was due, got {other:?}"),
    }
}

impl Client {
    /// A connection without a word.
    pub(super) fn silent(world: &Arc<World>, open: bool) -> Self {
        let (connection, end) = pipe(open);
        world.edge().serve(connection);
        Self {
            end,
            user: None,
            next: 1,
            stamp: 0,
            unique: 0,
            early: BTreeMap::new(),
            pushes: VecDeque::new(),
        }
    }

    pub(super) async fn hello(world: &Arc<World>, hello: Hello) -> (Self, Welcome) {
        match Self::try_hello(world, hello).await {
            Ok(welcome) => welcome,
            Err(error) => panic!("not welcome: {error:?}"),
        }
    }

    pub(super) async fn try_hello(
        world: &Arc<World>,
        hello: Hello,
    ) -> Result<(Self, Welcome), Error> {
        let mut client = Self::silent(world, true);
        client.unique = u64::from(hello.device as u32) << 32;
        match client.call(Request::Hello(hello)).await {
            Body::Welcome(welcome) => {
                client.stamp = welcome.stamp;
                client.user = Some(UserId::from_slice(&welcome.user).unwrap());
                Ok((client, welcome))
            }
            Body::Error(error) => Err(error),
            other => panic!("neither welcome nor not: {other:?}"),
        }
    }

    pub(super) async fn connect(world: &Arc<World>, subject: &str) -> Self {
        Self::hello(world, hello(subject)).await.0
    }

    pub(super) fn user(&self) -> Bytes {
        self.user.unwrap().to_bytes()
    }

    /// Sends a frame as it is.
    pub(super) async fn raw(&self, frame: Bytes) {
        self.end.tx.send(Ok(frame)).await.unwrap();
    }

    /// Sends a request without waiting for its answer.
    pub(super) async fn ask(&mut self, request: Request) -> u64 {
        let id = self.next;
        self.next += 1;
        let frame = ClientFrame {
            id,
            request: Some(request),
        };
        self.raw(frame.encode_to_vec().into()).await;
        id
    }

    /// The next frame, whatever it is; `None` at the end of the stream.
    pub(super) async fn frame(&mut self) -> Option<ServerFrame> {
        let frame = self.end.rx.recv().await?;
        Some(ServerFrame::decode(frame).unwrap())
    }

    /// The answer to a request.
    pub(super) async fn answer(&mut self, id: u64) -> Body {
        loop {
            if let Some(body) = self.early.remove(&id) {
                return body;
            }
            let frame = self.frame().await.expect("the session ended");
            match (frame.id, frame.body.unwrap()) {
                (0, push) => self.pushes.push_back(push),
                (id, body) => drop(self.early.insert(id, body)),
            }
        }
    }

    pub(super) async fn call(&mut self, request: Request) -> Body {
        let id = self.ask(request).await;
        self.answer(id).await
    }

    /// The next push.
    pub(super) async fn push(&mut self) -> Body {
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return push;
            }
            let frame = self.frame().await.expect("the session ended");
            match (frame.id, frame.body.unwrap()) {
                (0, push) => return push,
                (id, body) => drop(self.early.insert(id, body)),
            }
        }
    }

    /// The next push that `pick` takes; others are passed over.
    pub(super) async fn push_of<T>(&mut self, pick: impl Fn(Body) -> Option<T>) -> T {
        loop {
            if let Some(picked) = pick(self.push().await) {
                return picked;
            }
        }
    }

    pub(super) async fn delivery(&mut self) -> Deliver {
        self.push_of(|push| match push {
            Body::Deliver(deliver) => Some(deliver),
            _ => None,
        })
        .await
    }

    /// The head of the next gap. A delivery before it goes over a hole.
    pub(super) async fn gap(&mut self) -> Head {
        let gap = self.push_of(|push| match push {
            Body::Gap(gap) => Some(gap),
            Body::Deliver(_) => panic!("a delivery over a hole"),
            _ => None,
        });
        gap.await.head.unwrap()
    }

    /// Bans a user; the seq of that.
    pub(super) async fn ban(&mut self, group: GroupId, user: Bytes) -> u64 {
        let mut ban = self.entry(group, Kind::Ban, Bytes::new());
        ban.subject = user;
        self.send(ban).await.seq
    }

    /// Entries delivered up to seq `last`, with a check that none is missing.
    pub(super) async fn delivered(&mut self, from: u64, last: u64) -> Vec<SealedEntry> {
        let (mut next, mut entries) = (from, Vec::new());
        while next <= last {
            let deliver = self.delivery().await;
            let covers = deliver.covers.unwrap();
            assert_eq!(covers.from, next, "a hole or a double");
            next = covers.to + 1;
            entries.extend(deliver.entries);
        }
        entries
    }

    pub(super) fn new_id(&mut self) -> Bytes {
        self.unique += 1;
        ClientMsgId::new(Hlc::from_u64(self.stamp), self.unique).to_bytes()
    }

    pub(super) async fn create(&mut self, name: &str, change: fn(&mut CreateGroup)) -> GroupId {
        let mut create = CreateGroup {
            client_msg_id: self.new_id(),
            name: name.into(),
            open: true,
            nick: "owner".into(),
            ..CreateGroup::default()
        };
        change(&mut create);
        match self.call(Request::CreateGroup(create)).await {
            Body::GroupCreated(created) => GroupId::from_slice(&created.group).unwrap(),
            other => panic!("not created: {other:?}"),
        }
    }

    pub(super) fn entry(&mut self, group: GroupId, kind: Kind, body: Bytes) -> Send {
        Send {
            group: group.to_bytes(),
            client_msg_id: self.new_id(),
            kind: kind as i32,
            body,
            ..Send::default()
        }
    }

    pub(super) async fn send(&mut self, send: Send) -> Sent {
        match self.call(Request::Send(send)).await {
            Body::Sent(sent) => sent,
            other => panic!("not sent: {other:?}"),
        }
    }

    pub(super) async fn say(&mut self, group: GroupId, what: &str) -> u64 {
        let send = self.entry(group, Kind::Message, text(what));
        self.send(send).await.seq
    }

    pub(super) async fn join(&mut self, group: GroupId, nick: &str) -> u64 {
        let body = JoinBody {
            nick: nick.into(),
            ..JoinBody::default()
        };
        let send = self.entry(group, Kind::Join, body.encode_to_vec().into());
        self.send(send).await.seq
    }

    pub(super) async fn activate(&mut self, group: GroupId, seq: u64, chain: Bytes) -> Activated {
        let id = self.ask_to_activate(group, seq, chain).await;
        self.activated(id).await
    }

    /// Does not wait for the answer: that is for [`Self::activated`].
    pub(super) async fn ask_to_activate(&mut self, group: GroupId, seq: u64, chain: Bytes) -> u64 {
        let resume = Resume {
            group: group.to_bytes(),
            seq,
            chain,
        };
        let groups = vec![resume];
        self.ask(Request::Activate(Activate { groups })).await
    }

    pub(super) async fn activated(&mut self, id: u64) -> Activated {
        match self.answer(id).await {
            Body::Activated(activated) => activated,
            other => panic!("not activated: {other:?}"),
        }
    }

    /// How the session was closed: the last push, and the connection's code.
    pub(super) async fn closing(&mut self) -> Code {
        let mut last = None;
        while let Some(frame) = self.frame().await {
            last = frame.body;
        }
        let closed = self.end.closed.wait_for(Option::is_some).await.unwrap();
        let code = closed.clone().unwrap().0;
        drop(closed);
        match last {
            Some(Body::Closing(closing)) => assert_eq!(closing.code, code),
            Some(Body::Error(error)) => assert_eq!(error.code, code),
            other => panic!("no last word, but {other:?}"),
        }
        Code::from_u32(code).unwrap()
    }
}
