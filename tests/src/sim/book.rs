//! What people did and were told: the oracle that the end is judged by.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use folkmoot_client::{Code, Entry, GroupId, Sent, UserId};
use folkmoot_transport::sim::Delivery;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{Kind, ServerFrame};
use parking_lot::{Mutex, MutexGuard};
use prost::Message;
use tokio::time::Instant;

use super::findings::Findings;
use super::invariants::timelines::{self, Reading};
use super::net::ClientAt;
use super::present::Told;
use super::sometimes::{Sometimes, State};

/// A person's number: region by region.
pub type PersonId = usize;
/// A message's number; its text carries it.
pub type MessageNo = u32;

/// What became of something that changes a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody was told.
    Unknown,
    /// Committed.
    Acked(Sent),
    /// Refused for good.
    Refused(Code),
}

/// Something that a person wanted in a log.
#[derive(Debug, Clone)]
pub struct Act {
    pub who: PersonId,
    pub group: GroupId,
    pub kind: Kind,
    /// Whom it is about, if that is somebody else.
    pub about: Option<UserId>,
    /// Of messages.
    pub message: Option<MessageNo>,
    /// The person had been told of joining, and had not left.
    pub member: bool,
    /// Sent by a device that repeats itself, and contradicts itself.
    pub raw: bool,
    pub invoked: Instant,
    /// When the outcome was known.
    pub settled: Option<Instant>,
    pub outcome: Outcome,
}

/// Everything taken down.
#[derive(Default)]
pub struct Pages {
    pub acts: Vec<Act>,
    pub readings: BTreeMap<(PersonId, GroupId), Reading>,
    /// Messages whose text crossed the network to a person's device.
    pub crossed: BTreeSet<(PersonId, MessageNo)>,
    /// Messages that were shown as tentative on a person's device, and where.
    pub shown: BTreeSet<(PersonId, GroupId, MessageNo)>,
    /// Names of groups that did, by the groups' numbers.
    pub named: BTreeSet<(PersonId, usize)>,
    /// Groups that a person's client told of in events.
    pub told: BTreeSet<(PersonId, GroupId)>,
    /// Whom somebody tried to put out of which group.
    pub put_out: BTreeSet<(PersonId, GroupId)>,
    /// Whom they were told to be there.
    pub present: Told,
    /// Who a person is.
    pub users: BTreeMap<PersonId, UserId>,
    /// From where a person's device heard last: its edge.
    pub edges: BTreeMap<PersonId, IpAddr>,
    messages: MessageNo,
}

/// The book.
pub struct Book {
    people: usize,
    findings: Findings,
    sometimes: Sometimes,
    pages: Mutex<Pages>,
}

impl Book {
    /// An empty one; so many people live in each region.
    #[must_use]
    pub fn new(people: usize, findings: Findings, sometimes: Sometimes) -> Self {
        Self {
            people,
            findings,
            sometimes,
            pages: Mutex::default(),
        }
    }

    /// What is in it.
    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock()
    }

    /// Who a person is: the same for ever.
    pub fn is_user(&self, who: PersonId, user: UserId) {
        let before = self.pages.lock().users.insert(who, user);
        self.findings
            .check(before.is_none_or(|before| before == user), || {
                format!("person {who} was {before:?} and is {user}")
            });
    }

    /// A number for a new message.
    pub fn message(&self) -> MessageNo {
        let mut pages = self.pages.lock();
        pages.messages += 1;
        pages.messages
    }

    /// Takes down what somebody is about to do.
    pub fn begin(&self, act: Act) -> usize {
        let mut pages = self.pages.lock();
        pages.acts.push(act);
        pages.acts.len() - 1
    }

    /// Takes down what became of it.
    pub fn settle(&self, act: usize, outcome: Outcome) {
        match outcome {
            Outcome::Acked(sent) if sent.duplicate => {
                self.sometimes.saw(State::RetryDeduplicated);
            }
            Outcome::Refused(Code::Conflict) => self.sometimes.saw(State::ConflictRefused),
            Outcome::Refused(Code::Banned) => self.sometimes.saw(State::BannedRefused),
            _ => {}
        }
        let mut pages = self.pages.lock();
        let act = &mut pages.acts[act];
        act.outcome = outcome;
        act.settled = Some(Instant::now());
    }

    /// Things begun whose outcome is not known yet.
    #[must_use]
    pub fn under_way(&self) -> bool {
        let pages = self.pages.lock();
        pages.acts.iter().any(|act| act.settled.is_none())
    }

    /// A person's client gave an entry. `fresh`: the first of its stream.
    pub fn read(&self, who: PersonId, entry: &Entry, fresh: bool) {
        let mut pages = self.pages.lock();
        let reading = pages.readings.entry((who, entry.group)).or_default();
        if let Err(wrong) = timelines::follows(reading, entry, fresh) {
            self.findings
                .add(format!("person {who} in {}: {wrong}", entry.group));
        }
    }

    /// A person left a group that shows newcomers nothing of before.
    pub fn left(&self, who: PersonId, group: GroupId) {
        let mut pages = self.pages.lock();
        pages.readings.entry((who, group)).or_default().left();
    }

    /// A client says that what was read of a group is not its history.
    pub fn replaced(&self, who: PersonId, group: GroupId) {
        let pages = self.pages.lock();
        let reading = pages.readings.get(&(who, group));
        let expected = reading.is_some_and(Reading::may_begin_anew);
        self.findings.check(expected, || {
            format!("person {who}: the history of {group} was replaced")
        });
    }

    /// Bytes came to a client's device.
    pub fn crossed(&self, client: ClientAt, delivery: &Delivery<'_>) {
        let who = client.region * self.people + client.number;
        if !client.raw {
            self.pages.lock().edges.insert(who, delivery.from.ip());
        }
        let tentative = tentative_in(delivery);
        let mut rest = delivery.bytes;
        while let Some(at) = rest.windows(2).position(|two| two == b"<<") {
            rest = &rest[at + 2..];
            match mark(rest) {
                Some(Mark::Message(message)) => match tentative {
                    Some(group) => drop(self.pages.lock().shown.insert((who, group, message))),
                    None => drop(self.pages.lock().crossed.insert((who, message))),
                },
                Some(Mark::Group(group)) => {
                    self.pages.lock().named.insert((who, group));
                }
                None => {}
            }
        }
    }
}

/// The group whose messages a push shows as tentative.
fn tentative_in(delivery: &Delivery<'_>) -> Option<GroupId> {
    match ServerFrame::decode(delivery.bytes).ok()?.body? {
        Body::Tentative(push) => GroupId::from_slice(&push.group).ok(),
        _ => None,
    }
}

enum Mark {
    Message(MessageNo),
    Group(usize),
}

/// The text of a message: what it is known by wherever it turns up.
#[must_use]
pub fn message_text(message: MessageNo, words: &str) -> String {
    format!("<<m{message:06}>> {words}")
}

/// The name of a group, likewise.
#[must_use]
pub fn group_name(number: usize) -> String {
    format!("<<g{number:06}>>")
}

fn mark(bytes: &[u8]) -> Option<Mark> {
    let text = std::str::from_utf8(bytes.get(..9)?).ok()?;
    let (kind, rest) = text.split_at_checked(1)?;
    let number = rest.strip_suffix(">>")?;
    match kind {
        "m" => Some(Mark::Message(number.parse().ok()?)),
        "g" => Some(Mark::Group(number.parse().ok()?)),
        _ => None,
    }
}

/// The number of a message, of its text.
#[must_use]
pub fn message_of(text: &str) -> Option<MessageNo> {
    match mark(text.strip_prefix("<<")?.as_bytes())? {
        Mark::Message(message) => Some(message),
        Mark::Group(_) => None,
    }
}
