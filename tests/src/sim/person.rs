//! A person with a device, and on it the real SDK.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_client::{Client, ClientError, Group, GroupId, NewGroup, SendOptions};
use folkmoot_node::edge::{Grant, SigningKey, issue};
use folkmoot_transport::sim::{SimHost, SimNet, SimOptions, StreamWindow};
use folkmoot_wire::UserId;
use folkmoot_wire::proto::{JoinBody, Kind, RenameBody};
use prost::Message;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::book::{Act, Book, MessageNo, Outcome, PersonId, message_text};
use super::clock::{EPOCH_MS, SimClock};
use super::draw::{self, Draw};
use super::findings::Findings;
use super::local::Local;
use super::machine::{AUDIENCE, ISSUER, KEY_ID, SECRET};
use super::net::{client_ip, raw_ip};
use super::reader;
use super::sometimes::{Sometimes, State};

/// Between attempts of what did not work.
const AGAIN: Duration = Duration::from_secs(1);
/// What a slow reader takes for one entry.
const SLOW: Duration = Duration::from_millis(120);
/// Entries that a reader has room for.
const ROOM: usize = 256;
const SLOW_ROOM: usize = 4;

/// A person.
pub struct Person {
    pub id: PersonId,
    pub draw: Draw,
    /// Groups that the person is in, by what was answered.
    pub groups: BTreeSet<GroupId>,
    pub book: Arc<Book>,
    pub findings: Findings,
    /// The device's clock.
    pub clock: SimClock,
    pub sometimes: Sometimes,
    seed: u64,
    ip: IpAddr,
    raw_ip: IpAddr,
    net: SimNet,
    /// Addresses of nodes, those of the person's region first.
    edges: Vec<String>,
    local: Local,
    client: Option<Client>,
    readers: BTreeMap<GroupId, JoinHandle<()>>,
    lives: u64,
    renames: u64,
}

/// What a person is made of.
pub struct PersonParts {
    pub seed: u64,
    pub region: usize,
    pub number: usize,
    pub id: PersonId,
    pub net: SimNet,
    pub edges: Vec<String>,
    pub book: Arc<Book>,
    pub findings: Findings,
    pub sometimes: Sometimes,
    /// When the history began.
    pub start: Instant,
}

impl Person {
    /// A person who is not connected yet.
    #[must_use]
    pub fn new(parts: PersonParts) -> Self {
        Self {
            id: parts.id,
            draw: Draw::of(parts.seed, &format!("person {}", parts.id)),
            groups: BTreeSet::new(),
            book: parts.book,
            findings: parts.findings,
            seed: parts.seed,
            ip: client_ip(parts.region, parts.number),
            raw_ip: raw_ip(parts.region, parts.number),
            clock: SimClock::new(parts.start, 0),
            sometimes: parts.sometimes,
            net: parts.net,
            edges: parts.edges,
            local: Local::default(),
            client: None,
            readers: BTreeMap::new(),
            lives: 0,
            renames: 0,
        }
    }

    /// A token for this person.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn token(&self) -> Result<String, folkmoot_wire::Fault> {
        let nick = format!("nick{}", self.id);
        let grant = Grant {
            subject: &format!("person{}", self.id),
            issuer: ISSUER,
            audience: AUDIENCE,
            expires_ms: EPOCH_MS + 24 * 3_600_000,
            not_before_ms: None,
            nick: Some(&nick),
        };
        issue(&SigningKey::Hs256(SECRET.to_vec()), KEY_ID, &grant)
    }

    /// Starts the client, and goes on trying until it has one.
    pub async fn connect(&mut self) {
        loop {
            self.lives += 1;
            let purpose = format!("client {} {}", self.id, self.lives);
            let host = self.net.host(self.ip, None, SimOptions::default());
            let connected = Client::builder()
                .edges(self.edges.clone())
                .token(self.token().unwrap_or_default())
                .dialer(Arc::new(host))
                .rng(Box::new(draw::rng(self.seed, &purpose)))
                .store(self.local.clone())
                // Every second one has several messages under way.
                .pipeline(if self.id.is_multiple_of(2) { 1 } else { 4 })
                .room(if self.is_slow() { SLOW_ROOM } else { ROOM })
                .connect()
                .await;
            match connected {
                Ok(client) => {
                    let user = client.user();
                    self.book.is_user(self.id, user);
                    self.book.pages().present.forget(self.id);
                    let (book, findings) = (Arc::clone(&self.book), self.findings.clone());
                    tokio::spawn(reader::listen(self.id, client.events(), book, findings));
                    self.client = Some(client);
                    for group in self.groups.clone() {
                        self.follow(group);
                    }
                    return;
                }
                Err(_) => sleep(AGAIN).await,
            }
        }
    }

    /// The group, through the client that runs now.
    #[must_use]
    pub fn group(&self, group: GroupId) -> Option<Group> {
        self.client.as_ref().map(|client| client.group(group))
    }

    /// The client that runs now.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// Makes a group.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create(&mut self, group: NewGroup) -> Result<GroupId, ClientError> {
        let client = self.client.as_ref().ok_or(ClientError::Closed)?;
        let id = client.create_group(group).await?.id();
        self.entered(id);
        Ok(id)
    }

    /// The person is in the group from now on, and reads it.
    pub fn entered(&mut self, group: GroupId) {
        self.groups.insert(group);
        self.follow(group);
    }

    /// Every fourth one reads slowly, and so is sent what there is only when
    /// asking for it.
    fn is_slow(&self) -> bool {
        self.id.is_multiple_of(4)
    }

    fn follow(&mut self, group: GroupId) {
        if let Some(handle) = self.group(group) {
            let pause = self.is_slow().then_some(SLOW);
            let reader = tokio::spawn(reader::read(self.id, handle, Arc::clone(&self.book), pause));
            if let Some(old) = self.readers.insert(group, reader) {
                old.abort();
            }
        }
    }

    /// Says something new; whether it got into the log is found out aside.
    pub async fn say(&mut self, group: GroupId) {
        let message = self.book.message();
        let words = "word ".repeat(1 + self.draw.below(20));
        let options = SendOptions {
            mentions: self.whom(message),
            ..SendOptions::text(message_text(message, &words))
        };
        self.submit(group, options, Some(message)).await;
    }

    /// Whom a message mentions: every third two people, now and then the speaker.
    /// Nothing is drawn for it, so that plans stay what they were; 64 bounds how
    /// far it walks round them.
    fn whom(&self, message: MessageNo) -> Vec<UserId> {
        if !message.is_multiple_of(3) {
            return Vec::new();
        }
        let pages = self.book.pages();
        let users = pages.users.values().copied().cycle();
        let named = users.skip(message as usize / 3 % 64).step_by(3);
        named.take(2).collect()
    }

    /// Queues something; what becomes of it is taken down aside.
    pub async fn submit(&self, group: GroupId, options: SendOptions, message: Option<u32>) {
        let Some(handle) = self.group(group) else {
            return;
        };
        let act = self.begin(group, options.kind, message);
        if let Ok(receipt) = handle.submit(options).await {
            let book = Arc::clone(&self.book);
            tokio::spawn(async move {
                if let Some(outcome) = outcome(&receipt.await) {
                    book.settle(act, outcome);
                }
            });
        }
    }

    /// Something that this person wants in a log.
    #[must_use]
    pub fn wish(&self, group: GroupId, kind: Kind, message: Option<u32>) -> Act {
        Act {
            who: self.id,
            group,
            kind,
            about: None,
            message,
            member: self.groups.contains(&group),
            raw: false,
            invoked: Instant::now(),
            settled: None,
            outcome: Outcome::Unknown,
        }
    }

    fn begin(&self, group: GroupId, kind: Kind, message: Option<u32>) -> usize {
        self.book.begin(self.wish(group, kind, message))
    }

    /// Addresses of nodes, the one that is tried first at the front.
    #[must_use]
    pub fn edges(&self) -> &[String] {
        &self.edges
    }

    /// Where the person's other device is.
    #[must_use]
    pub fn raw_host(&self, window: StreamWindow) -> SimHost {
        let options = SimOptions {
            window,
            ..SimOptions::default()
        };
        self.net.host(self.raw_ip, None, options)
    }

    /// Does something and waits for what becomes of it.
    pub async fn act(&self, group: GroupId, options: SendOptions) -> Outcome {
        let Some(handle) = self.group(group) else {
            return Outcome::Unknown;
        };
        let act = self.book.begin(Act {
            about: options.subject,
            ..self.wish(group, options.kind, None)
        });
        let outcome = outcome(&handle.send_with(options).await).unwrap_or(Outcome::Unknown);
        self.book.settle(act, outcome);
        outcome
    }

    /// Joins.
    pub async fn join(&mut self, group: GroupId) -> Outcome {
        let nick = format!("nick{}", self.id);
        let body = JoinBody { nick, role: 0 };
        let outcome = self
            .act(group, SendOptions::of(Kind::Join, body.encode_to_vec()))
            .await;
        if matches!(outcome, Outcome::Acked(_)) {
            self.entered(group);
        }
        outcome
    }

    /// Adds somebody else.
    pub async fn add(
        &self,
        group: GroupId,
        user: folkmoot_client::UserId,
        nick: String,
    ) -> Outcome {
        let body = JoinBody { nick, role: 0 };
        let options = SendOptions {
            subject: Some(user),
            ..SendOptions::of(Kind::Join, body.encode_to_vec())
        };
        self.act(group, options).await
    }

    /// Leaves. What was not answered counts as left: it may have been done.
    pub async fn leave(&mut self, group: GroupId) {
        self.groups.remove(&group);
        self.act(group, SendOptions::of(Kind::Leave, Vec::new()))
            .await;
        // Looking on meanwhile: it is the edge that has to stop.
        if self.draw.one_in(2) {
            let on = self.draw.between(0, 3_000);
            sleep(on).await;
        }
        if let Some(reader) = self.readers.remove(&group) {
            reader.abort();
        }
    }

    /// Takes another nick.
    pub async fn rename(&mut self, group: GroupId) {
        self.renames += 1;
        let body = RenameBody {
            from: String::new(),
            to: format!("nick{}-{}", self.id, self.renames),
        };
        self.act(group, SendOptions::of(Kind::Rename, body.encode_to_vec()))
            .await;
    }

    /// Ends the client in an orderly way and starts it again, at another edge.
    pub async fn reconnect(&mut self) {
        if let Some(client) = self.client.take() {
            client.close().await;
        }
        self.stop_reading();
        self.edges.rotate_left(1);
        self.connect().await;
    }

    /// The device dies, and is switched on again.
    pub async fn die(&mut self) {
        self.net.kill(self.ip);
        let loose = self.local.loose();
        let keep = self.draw.below(loose + 1);
        if keep < loose {
            self.sometimes.saw(State::DeviceForgot);
        }
        self.local = self.local.crash(keep);
        self.stop_reading();
        drop(self.client.take());
        let away = self.draw.between(100, 3_000);
        sleep(away).await;
        // Its people may have gone elsewhere meanwhile.
        if self.draw.one_in(2) {
            self.edges.rotate_left(1);
        }
        self.connect().await;
    }

    fn stop_reading(&mut self) {
        for (_, reader) in std::mem::take(&mut self.readers) {
            reader.abort();
        }
    }

    /// Whether nothing waits to be sent.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.client.is_some() && self.local.unsettled() == 0
    }
}

fn outcome(result: &folkmoot_client::Result<folkmoot_client::Sent>) -> Option<Outcome> {
    match result {
        Ok(sent) => Some(Outcome::Acked(*sent)),
        // An attempt from before may still get in once the mute is over.
        Err(ClientError::Fault(fault)) if fault.code.temporary() => None,
        Err(ClientError::Fault(fault)) => Some(Outcome::Refused(fault.code)),
        Err(_) => None,
    }
}
