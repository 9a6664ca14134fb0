//! A home that cannot be reached: its group's people elsewhere talk on, and in
//! the end every line is there once and in order.

use std::time::Duration;

use folkmoot_client::{Carrier, Client, Entries, Event, Events, Group, Receipt};
use prost::Message;
use tokio::time::timeout;

use super::log::{check_one_log, said_in};
use super::node::{Cluster, until};
use super::people::{connect, make_group, runtime};

const SAID: [&str; 5] = ["before", "one", "two", "three", "after"];
const PATIENCE: Duration = Duration::from_secs(60);

struct Person {
    client: Client,
    group: Group,
    events: Events,
    entries: Entries,
}

impl Person {
    async fn new(client: Client, id: folkmoot_client::GroupId, nick: &str) -> Self {
        let group = client.group(id);
        group.join(nick).await.expect("joined");
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
    async fn say(&mut self, text: &str) -> Receipt {
        let receipt = self.group.submit(text).await.expect("queued");
        self.see(|event| matches!(event, Event::Accepted { .. }).then_some(()))
            .await;
        receipt
    }

    /// Waits until `text` is shown as tentative.
    async fn hear(&mut self, text: &str) {
        let shown = |event: Event| match event {
            Event::Tentative { entries, .. } => entries
                .iter()
                .any(|entry| content(&entry.body) == text && !entry.header.nick.is_empty())
                .then_some(()),
            _ => None,
        };
        self.see(shown).await;
    }

    /// Everything that was said, up to `last`.
    async fn read(&mut self, last: &str) -> Vec<String> {
        let mut said = Vec::new();
        while said.last().is_none_or(|text| text != last) {
            let entry = timeout(PATIENCE, self.entries.next()).await;
            said.extend(entry.expect("in time").expect("an entry").text());
        }
        said
    }

    async fn see<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
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
