//! A small edge for tests: one group, a log in memory, and a script of what
//! goes wrong. It serves over the simulated network, under virtual time.

mod serve;
pub mod store;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use folkmoot_client::proto::server_frame::Body;
use folkmoot_client::proto::{
    AccessLost, Activated, Closing, Covers, Deliver, EntryHeader, Error, Gap, Head, Hello, History,
    LogSlice, Resume, SealedEntry, Send, Sent, ServerFrame, Welcome,
};
use folkmoot_client::{
    Backoff, Client, ClientBuilder, ClientMsgId, Code, Fault, GroupId, MemoryStore, UserId,
};
use folkmoot_transport::Listener;
use folkmoot_transport::sim::{SimHost, SimNet, SimOptions};
use folkmoot_wire::entry::{genesis, seal};
use folkmoot_wire::{RegionId, Slot};
use prost::Message;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;

const CLUSTER: [u8; 16] = [7; 16];
const PORT: u16 = 7300;

pub fn group() -> GroupId {
    GroupId::new(RegionId(1), Slot(1), [1; 11])
}

pub fn user() -> UserId {
    UserId::new(RegionId(1), Slot(2), [2; 11])
}

/// What happens to one message that arrives.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// Committed, and the answer is lost with the connection.
    CommitAndCut,
    /// The connection is cut before anything is done.
    Cut,
    /// Refused.
    Refuse(Code),
    /// Not answered at all, and not done.
    Ignore,
    /// Committed, and the edge says nothing more for this long, nor closes
    /// anything.
    CommitAndStall(Duration),
}

/// What is pushed in place of an entry.
#[derive(Debug, Clone, Copy)]
pub enum Push {
    Nothing,
    Gap,
    Twice,
}

#[derive(Default)]
pub struct State {
    pub log: Vec<SealedEntry>,
    dedup: BTreeMap<Bytes, u64>,
    /// What happens to the next messages; then all is well.
    pub fates: VecDeque<Fate>,
    /// How the next entries are pushed; then as they should.
    pub pushes: VecDeque<Push>,
    /// What the next Hellos are answered with; then with a Welcome.
    pub refusals: VecDeque<Code>,
    /// Ids of messages, in order of arrival.
    pub arrived: Vec<ClientMsgId>,
    pub hellos: Vec<Hello>,
    /// The `after` of each page asked for.
    pub fetches: Vec<u64>,
    /// The next pages are refused, to be asked for again in so many
    /// milliseconds.
    pub busy: VecDeque<u64>,
    /// Most entries in a page.
    pub page: usize,
}

#[derive(Clone)]
pub struct Edge {
    state: Arc<Mutex<State>>,
    /// Length of the log.
    grown: watch::Sender<u64>,
    /// Said to all sessions.
    said: watch::Sender<Option<ServerFrame>>,
    client: Arc<SimHost>,
}

impl Edge {
    pub fn start(latency: Duration) -> Self {
        let net = SimNet::new(move |_, _| latency);
        let host = |n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
        let servers = [1, 3].map(|n| net.host(host(n), None, SimOptions::default()));
        let edge = Self {
            state: Arc::default(),
            grown: watch::Sender::new(0),
            said: watch::Sender::new(None),
            client: Arc::new(net.host(host(2), None, SimOptions::default())),
        };
        edge.state().page = 100;
        for server in servers {
            let listener = server.listen(PORT).expect("the port is free");
            let serving = edge.clone();
            tokio::spawn(async move {
                let _host = server;
                while let Some(connection) = listener.accept().await {
                    tokio::spawn(serving.clone().serve(connection));
                }
            });
        }
        edge
    }

    /// Another way in. To host 3 there is one; others are not there.
    pub fn address(host: u8) -> String {
        SocketAddr::from(([10, 0, 0, host], PORT)).to_string()
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the lock")
    }

    pub fn builder(&self, store: &MemoryStore) -> ClientBuilder {
        Client::builder()
            .edge(Self::address(1))
            .token("token")
            .dialer(self.client.clone())
            .store(store.clone())
            .rng(Box::new(StdRng::seed_from_u64(11)))
            .backoff(Backoff {
                base: Duration::from_millis(50),
                cap: Duration::from_secs(2),
            })
    }

    /// Bodies in the log, as text.
    pub fn texts(&self) -> Vec<String> {
        let decode = |entry: &SealedEntry| {
            let content = folkmoot_client::proto::Content::decode(entry.body.clone());
            content.expect("content").text
        };
        self.state().log.iter().map(decode).collect()
    }

    /// Somebody else says something.
    pub fn say(&self, text: &str) {
        let body = folkmoot_client::proto::Content { text: text.into() };
        let send = Send {
            kind: 1,
            body: body.encode_to_vec().into(),
            ..Send::default()
        };
        self.commit(&send);
    }

    /// The same push to all sessions.
    pub fn tell(&self, body: Body) {
        self.said.send_replace(Some(ServerFrame {
            id: 0,
            body: Some(body),
        }));
    }

    pub fn lose_access(&self) {
        self.tell(Body::AccessLost(AccessLost {
            group: group().to_bytes(),
            code: Code::Banned as u32,
        }));
    }

    pub fn drain(&self) {
        self.tell(Body::Closing(Closing {
            code: Code::Draining as u32,
            ..Closing::default()
        }));
    }

    fn commit(&self, send: &Send) -> u64 {
        let mut state = self.state();
        let seq = state.log.len() as u64 + 1;
        let previous = match state.log.last() {
            Some(last) => last.chain[..].try_into().expect("32 bytes"),
            None => genesis(&CLUSTER, &group()),
        };
        let header = EntryHeader {
            seq,
            hlc: seq << 16,
            kind: send.kind,
            sender: user().to_bytes(),
            nick: "ann".into(),
            client_msg_id: send.client_msg_id.clone(),
            ..EntryHeader::default()
        };
        let salt = Bytes::from(vec![seq as u8; 16]);
        let entry = seal(&previous, &header, salt, send.body.clone());
        state.log.push(entry);
        drop(state);
        self.grown.send_replace(seq);
        seq
    }

    fn head(&self) -> Head {
        let state = self.state();
        Head {
            seq: state.log.len() as u64,
            chain: state
                .log
                .last()
                .map(|e| e.chain.clone())
                .unwrap_or_default(),
            ..Head::default()
        }
    }

    fn chain(&self, seq: u64) -> Bytes {
        match seq {
            0 => Bytes::copy_from_slice(&genesis(&CLUSTER, &group())),
            seq => self.state().log[seq as usize - 1].chain.clone(),
        }
    }

    fn activate(&self, resume: &Resume, live: &mut Option<u64>) -> Activated {
        let head = self.head();
        if resume.group != group().to_bytes() {
            return Activated {
                group: resume.group.clone(),
                error: Some(Error::from(Fault::from(Code::NotFound))),
                ..Activated::default()
            };
        }
        let resumed =
            resume.seq > 0 && resume.seq <= head.seq && resume.chain == self.chain(resume.seq);
        let live_from = if resumed { resume.seq } else { head.seq };
        *live = Some(live_from);
        Activated {
            group: group().to_bytes(),
            head: Some(head),
            resumed,
            live_from,
            ..Activated::default()
        }
    }

    fn history(&self, history: &History) -> Body {
        let head = self.head();
        let mut state = self.state();
        state.fetches.push(history.after);
        if let Some(retry_after) = state.busy.pop_front() {
            let busy = Fault::from(Code::Busy).retry_after(retry_after);
            return Body::Error((&busy).into());
        }
        let after = history.after.min(head.seq);
        let limit = u64::from(history.limit).min(state.page as u64);
        let to = head.seq.min(after + limit);
        let entries = state.log[after as usize..to as usize].to_vec();
        drop(state);
        Body::Log(LogSlice {
            group: group().to_bytes(),
            covers: Some(Covers {
                from: after + 1,
                to,
            }),
            chain_before: self.chain(after),
            entries,
            head: Some(head),
            gone: false,
        })
    }

    /// The pushes for what came behind `live`.
    fn pushes(&self, live: &mut Option<u64>) -> Vec<Body> {
        let Some(from) = *live else {
            return Vec::new();
        };
        let head = self.head();
        *live = Some(head.seq);
        let mut state = self.state();
        let mut out = Vec::new();
        for seq in from + 1..=head.seq {
            let deliver = Body::Deliver(Deliver {
                group: group().to_bytes(),
                covers: Some(Covers { from: seq, to: seq }),
                entries: vec![state.log[seq as usize - 1].clone()],
            });
            match state.pushes.pop_front() {
                None => out.push(deliver),
                Some(Push::Twice) => out.extend([deliver.clone(), deliver]),
                Some(Push::Nothing) => {}
                Some(Push::Gap) => out.push(Body::Gap(Gap {
                    group: group().to_bytes(),
                    head: Some(head.clone()),
                })),
            }
        }
        out
    }

    /// The answer to a message, and after how long; `None`: the connection is
    /// cut; `Some(None)`: none.
    fn message(&self, send: &Send) -> Option<Option<(Duration, Body)>> {
        let id = ClientMsgId::from_slice(&send.client_msg_id).expect("an id");
        let fate = {
            let mut state = self.state();
            state.arrived.push(id);
            state.fates.pop_front()
        };
        match fate {
            Some(Fate::Cut) => return None,
            Some(Fate::Ignore) => return Some(None),
            Some(Fate::Refuse(code)) => {
                let refused = Body::Error(Error::from(Fault::from(code)));
                return Some(Some((Duration::ZERO, refused)));
            }
            Some(Fate::CommitAndCut | Fate::CommitAndStall(_)) | None => {}
        }
        let known = self.state().dedup.get(&send.client_msg_id).copied();
        let seq = known.unwrap_or_else(|| self.commit(send));
        self.state().dedup.insert(send.client_msg_id.clone(), seq);
        let answer = Body::Sent(Sent {
            seq,
            hlc: seq << 16,
            id: Bytes::new(),
            duplicate: known.is_some(),
            accepted: false,
        });
        match fate {
            Some(Fate::CommitAndStall(stall)) => Some(Some((stall, answer))),
            Some(_) => None,
            None => Some(Some((Duration::ZERO, answer))),
        }
    }

    fn welcome(&self, hello: &Hello, live: &mut Option<u64>) -> Body {
        let (refusal, session) = {
            let mut state = self.state();
            state.hellos.push(hello.clone());
            (state.refusals.pop_front(), state.hellos.len() as u64)
        };
        if let Some(code) = refusal {
            return Body::Error(Error::from(Fault::from(code)));
        }
        Body::Welcome(Welcome {
            version: 1,
            user: user().to_bytes(),
            node: 1,
            region: "here".into(),
            stamp: session << 16,
            heartbeat_ms: 30_000,
            active: hello
                .active
                .iter()
                .map(|r| self.activate(r, live))
                .collect(),
            cluster: "07".repeat(16),
            ..Welcome::default()
        })
    }
}
