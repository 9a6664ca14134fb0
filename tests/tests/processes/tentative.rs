//! A home that cannot be reached: its group's people elsewhere talk on, and in
//! the end every line is there once and in order.

use std::time::Duration;

use folkmoot_client::{
    Carrier, Client, Entries, Event, Events, Group, Receipt, SendOptions, TentativeEntry,
};
use folkmoot_crdt::profile::Profile;
use folkmoot_wire::limits;
use folkmoot_wire::proto::{JoinBody, Kind, ProfileBody};
use prost::Message;
use tokio::time::timeout;

use super::log::{check_one_log, said_in};
use super::node::{Cluster, until};
use super::people::{connect, make_group, runtime};

const SAID: [&str; 5] = ["before", "one", "two", "three", "after"];
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Person {
    pub client: Client,
    pub group: Group,
    events: Events,
    entries: Entries,
}

impl Person {
    pub async fn new(client: Client, id: folkmoot_client::GroupId, nick: &str) -> Self {
        client.group(id).join(nick).await.expect("joined");
        Self::of(client, id).await
    }

    /// Somebody who is in the group.
    pub async fn of(client: Client, id: folkmoot_client::GroupId) -> Self {
        let group = client.group(id);
        let entries = group.entries().await.expect("active");
        let events = client.events();
        Self {
            client,
            group,
            events,
            entries,
        }
    }

    /// Says something, and waits until it is durable in the region.
    pub async fn say(&mut self, text: &str) -> Receipt {
        self.act(SendOptions::text(text)).await
    }

    /// Does something, and waits until it is durable in the region.
    async fn act(&mut self, what: SendOptions) -> Receipt {
        let receipt = self.group.submit(what).await.expect("queued");
        self.see(|event| matches!(event, Event::Accepted { .. }).then_some(()))
            .await;
        receipt
    }

    /// Waits until `text` is shown as tentative.
    async fn hear(&mut self, text: &str) -> TentativeEntry {
        self.hear_of(|entry| content(&entry.body) == text && !entry.header.nick.is_empty())
            .await
    }

    /// Waits until such a thing is shown as tentative.
    async fn hear_of(&mut self, wanted: impl Fn(&TentativeEntry) -> bool) -> TentativeEntry {
        let shown = |event: Event| match event {
            Event::Tentative { entries, .. } => entries.into_iter().find(&wanted),
            _ => None,
        };
        self.see(shown).await
    }

    /// Everything that was said, up to `last`.
    pub async fn read(&mut self, last: &str) -> Vec<String> {
        let mut said = Vec::new();
        while said.last().is_none_or(|text| text != last) {
            let entry = timeout(PATIENCE, self.entries.next()).await;
            said.extend(entry.expect("in time").expect("an entry").text());
        }
        said
    }

    /// Waits for such an event.
    pub async fn see<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let look = async {
            loop {
                let event = self.events.next().await.expect("the client is open");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, look).await.expect("it happens")
    }
}

fn content(body: &[u8]) -> String {
    let content = folkmoot_wire::proto::Content::decode(body);
    content.map(|content| content.text).unwrap_or_default()
}

#[test]
fn a_region_talks_on_while_the_home_is_gone_and_loses_nothing_with_an_edge() {
    let mut cluster = Cluster::start(&["eu", "us", "ap", "ap"], &["--shards", "2"]);
    let (id, group) = make_group(&cluster.nodes[0], "lounge", "us");
    let runtime = runtime();
    let (mut bob, mut cat) = runtime.block_on(async {
        let bob = connect(&cluster.nodes[2], "bob", Carrier::Quic).await;
        let cat = connect(&cluster.nodes[3], "cat", Carrier::WebSocket).await;
        let bob = Person::new(bob, id, "Bob").await;
        let cat = Person::new(cat, id, "Cat").await;
        bob.group.send("before").await.expect("committed");
        (bob, cat)
    });
    cluster.nodes[1].kill();
    let receipts = runtime.block_on(async {
        let one = bob.say("one").await;
        cat.hear("one").await;
        let two = cat.say("two").await;
        bob.hear("two").await;
        let three = bob.say("three").await;
        cat.hear("three").await;
        [one, two, three]
    });
    // The edge that took two of them dies; another node of the region has them.
    cluster.nodes[2].kill();
    cluster.nodes[1].again();
    let shown = || {
        let shown = cluster.nodes[1].at.get(&format!("/v1/groups/{group}"))?;
        (shown["count"].as_u64()? >= 4).then_some(())
    };
    until("what was accepted to be committed", shown);
    cluster.nodes[2].again();
    runtime.block_on(async {
        let mut last = 0;
        for receipt in receipts {
            let sent = timeout(PATIENCE, receipt).await.expect("settled");
            let sent = sent.expect("committed");
            assert!(sent.seq > last, "in the order they were said");
            last = sent.seq;
        }
        bob.group.send("after").await.expect("committed");
        for person in [&mut bob, &mut cat] {
            assert_eq!(person.read("after").await, SAID);
        }
        bob.client.close().await;
        cat.client.close().await;
    });
    for node in &mut cluster.nodes {
        assert!(node.stop().success(), "{}", node.log());
    }
    let copies = [1, 2].map(|at: usize| cluster.nodes[at].offline(&group));
    let said: Vec<String> = said_in(&check_one_log(&copies))
        .into_iter()
        .map(|said| said.2)
        .collect();
    assert_eq!(said, SAID);
}

/// A new topic, as Automerge changes behind `document`.
fn topic(document: &[u8], topic: &str) -> ProfileBody {
    let mut profile = Profile::load(document, limits::PROFILE_MAX).expect("a profile");
    let edited = profile.edit(&[7; 16], |edit| edit.set_topic(topic));
    let changes = edited.expect("an edit").into_iter().map(Into::into);
    ProfileBody {
        changes: changes.collect(),
    }
}

#[test]
fn people_come_and_go_while_the_home_is_gone() {
    let mut cluster = Cluster::start(&["eu", "us", "ap", "ap"], &["--shards", "2"]);
    let (id, _) = make_group(&cluster.nodes[0], "lounge", "us");
    let runtime = runtime();
    let (mut ann, mut bob, cat, document) = runtime.block_on(async {
        let ann = connect(&cluster.nodes[2], "ann", Carrier::Quic).await;
        let bob = connect(&cluster.nodes[3], "bob", Carrier::WebSocket).await;
        // Not in the group yet.
        let cat = connect(&cluster.nodes[3], "cat", Carrier::Quic).await;
        let ann = Person::of(ann, id).await;
        let bob = Person::new(bob, id, "Bob").await;
        let document = ann.group.profile().await.expect("a member");
        (ann, bob, cat, document)
    });
    cluster.nodes[1].kill();
    let receipts = runtime.block_on(async {
        let group = cat.group(id);
        let mut events = cat.events();
        let body = JoinBody {
            nick: "Cat".into(),
            role: 0,
        };
        let join = SendOptions::of(Kind::Join, body.encode_to_vec());
        let join = group.submit(join).await.expect("queued");
        // Behind the join, on the same device.
        let hello = group.submit("hello").await.expect("queued");
        let joins = |entry: &TentativeEntry| entry.header.kind() == Kind::Join;
        let joined = ann.hear_of(joins).await;
        assert_eq!(joined.header.nick, "Cat");
        assert_eq!(ann.hear("hello").await.header.nick, "Cat");
        let tea = topic(&document, "tea").encode_to_vec();
        let tea = ann.act(SendOptions::of(Kind::Profile, tea)).await;
        let leave = bob.act(SendOptions::of(Kind::Leave, Vec::new())).await;
        // Who has left says nothing: that waits for the home to refuse it.
        let late = bob.group.submit("too late").await.expect("queued");
        ann.hear_of(|entry| entry.header.kind() == Kind::Leave)
            .await;
        let mut accepted = 0;
        while accepted < 2 {
            let event = timeout(PATIENCE, events.next()).await.expect("in time");
            accepted += u32::from(matches!(event, Some(Event::Accepted { .. })));
        }
        [join, hello, tea, leave, late]
    });
    cluster.nodes[1].again();
    runtime.block_on(async {
        let [join, hello, tea, leave, late] = receipts;
        let seq = async |receipt: Receipt| {
            let sent = timeout(PATIENCE, receipt).await.expect("settled");
            sent.map(|sent| sent.seq)
        };
        let joined = seq(join).await.expect("the group is open");
        // Told only once the edge has it too.
        let group = cat.group(id);
        group.activate().await.expect("a member");
        assert!(joined < seq(hello).await.expect("a member"));
        let changed = seq(tea).await.expect("an owner");
        let left = seq(leave).await.expect("a member");
        assert!(
            joined < changed && changed < left,
            "in the order of their stamps"
        );
        assert!(seq(late).await.is_err(), "he had left");
        let held = group.profile().await.expect("a member");
        let profile = Profile::load(&held, limits::PROFILE_MAX).expect("a profile");
        assert_eq!(profile.topic(), "tea");
        assert!(bob.group.info().await.is_err(), "he has left");
        for client in [&ann.client, &bob.client, &cat] {
            client.close().await;
        }
    });
    for node in &mut cluster.nodes {
        assert!(node.stop().success(), "{}", node.log());
    }
}
