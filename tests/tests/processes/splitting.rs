//! Shards that are split while people talk, and what of it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use folkmoot_client::{Carrier, Client, GroupId};
use serde_json::Value;

use super::log::{check_one_log, said_in};
use super::node::{Cluster, Node, json, until};
use super::people::{connect, make_group, runtime, talk};

fn shard_of(node: &Node, group: &str) -> Option<u64> {
    node.at.get(&format!("/v1/groups/{group}"))?["shard"].as_u64()
}

fn shards(node: &Node) -> Vec<Value> {
    let listed = node.json(&["shard", "ls"]);
    listed.as_array().expect("a list").clone()
}

/// What each of a kind said is there once, in its order.
fn in_order(wanted: &[Vec<String>], said: &[String], group: &str) {
    let of_group = wanted.iter().map(Vec::len).sum::<usize>();
    assert_eq!(said.len(), of_group, "{group}");
    for lines in wanted {
        let theirs: Vec<&String> = said.iter().filter(|line| lines.contains(line)).collect();
        assert_eq!(theirs, lines.iter().collect::<Vec<_>>(), "{group}");
    }
}

#[test]
fn shards_are_split_while_people_talk() {
    let flags = ["--shards", "1", "--voters", "3", "--follow", "full"];
    let mut cluster = Cluster::start(&["eu", "eu", "eu", "us"], &flags);
    let runtime = runtime();
    until("the shards", || {
        (shards(&cluster.nodes[0]).len() == 1).then_some(())
    });
    let groups: Vec<(GroupId, String)> = (0..4)
        .map(|n| make_group(&cluster.nodes[0], &format!("room {n}"), "eu"))
        .collect();
    let carriers = [Carrier::Quic, Carrier::WebSocket];
    let people: Vec<Client> = runtime.block_on(async {
        let mut people = Vec::new();
        for (at, node) in cluster.nodes.iter().enumerate() {
            let client = connect(node, &format!("p{at}"), carriers[at % 2]).await;
            for (id, _) in &groups {
                client
                    .group(*id)
                    .join(&format!("P{at}"))
                    .await
                    .expect("joined");
            }
            people.push(client);
        }
        people
    });
    // From the other region somebody looks on, at all of them.
    let readers: Vec<_> = groups
        .iter()
        .map(|(id, _)| {
            runtime
                .block_on(people[3].group(*id).entries())
                .expect("active")
        })
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let mut talks = Vec::new();
    for (at, (id, _)) in groups.iter().enumerate() {
        for who in [at % 3, 3] {
            let talk = talk(
                people[who].clone(),
                *id,
                format!("{at}/{who}"),
                Arc::clone(&stop),
            );
            talks.push((at, runtime.spawn(talk)));
        }
    }

    // Twice, the second time what came out of the first; asked for at a voter and
    // from the other region.
    let first = json(&cluster.nodes[1].ask(&["shard", "split", "1"]));
    let child = first["new_shard"].as_u64().expect("a number");
    assert_eq!(first["slots"], "32768-65535");
    let second =
        json(&cluster.nodes[3].ask(&["shard", "split", &child.to_string(), "--at", "50000"]));
    assert_eq!(second["keeps"], "32768-49999");
    for node in &cluster.nodes {
        until("all to know", || {
            let slots: Vec<Value> = shards(node).iter().map(|s| s["slots"].clone()).collect();
            (slots == ["0-32767", "32768-49999", "50000-65535"]).then_some(())
        });
    }
    let seq_of = |name: &str| {
        let shown = cluster.nodes[0].at.get(&format!("/v1/groups/{name}"))?;
        shown["seq"].as_u64()
    };
    for (_, name) in &groups {
        let at_split = until("the group", || seq_of(name));
        until("the talk to go on behind the splits", || {
            (seq_of(name)? > at_split + 50).then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    let mut wanted: Vec<Vec<Vec<String>>> = vec![Vec::new(); groups.len()];
    for (at, talk) in talks {
        wanted[at].push(runtime.block_on(talk).expect("talked"));
    }

    // A voter dies, each of the shards goes on without it, and it comes back to
    // all of them.
    cluster.nodes[2].kill();
    for (at, (id, _)) in groups.iter().enumerate() {
        let text = format!("{at} without one");
        runtime
            .block_on(people[0].group(*id).send(text.clone()))
            .expect("a quorum");
        wanted[at].push(vec![text]);
    }
    cluster.nodes[2].again();
    for ((at, (_, name)), mut reader) in groups.iter().enumerate().zip(readers) {
        let last = format!("{at} without one");
        let read = runtime.block_on(async {
            let mut read: Vec<String> = Vec::new();
            while read.last() != Some(&last) {
                let entry = tokio::time::timeout(Duration::from_secs(60), reader.next()).await;
                let entry = entry.expect("in time").expect("an entry");
                assert!(entry.follows || read.is_empty(), "no gap");
                read.extend(entry.text());
            }
            read
        });
        in_order(&wanted[at], &read, name);
    }
    for (_, name) in &groups {
        let seq = |shown: &Value| shown["seq"].as_u64();
        until("the one that was away to have it", || {
            let at = cluster.nodes[0].ask(&["group", "show", name, "--at", "3"]);
            let home = cluster.nodes[1].at.get(&format!("/v1/groups/{name}"))?;
            (at.status.success() && seq(&json(&at)) == seq(&home)).then_some(())
        });
    }
    let at_home: Vec<_> = groups
        .iter()
        .map(|(_, name)| shard_of(&cluster.nodes[0], name))
        .collect();
    runtime.block_on(async {
        for client in &people {
            client.close().await;
        }
    });
    for node in &mut cluster.nodes {
        assert!(node.stop().success(), "{}", node.log());
    }
    for (at, (_, name)) in groups.iter().enumerate() {
        let copies = [0, 1, 2, 3].map(|node: usize| cluster.nodes[node].offline(name));
        let said: Vec<String> = said_in(&check_one_log(&copies))
            .into_iter()
            .map(|said| said.2)
            .collect();
        in_order(&wanted[at], &said, name);
    }
    assert!(at_home.iter().all(Option::is_some), "{at_home:?}");
}

#[test]
fn a_split_that_cannot_be_is_refused() {
    let mut cluster = Cluster::start(&["eu"], &["--shards", "2"]);
    let node = &cluster.nodes[0];
    let refused = |args: &[&str]| {
        let asked = node.ask(args);
        assert!(!asked.status.success(), "{args:?}");
        String::from_utf8_lossy(&asked.stderr).into_owned()
    };
    let why = refused(&["shard", "split", "77"]);
    assert!(why.contains("no shard has the number 77"), "{why}");
    let why = refused(&["shard", "split", "0"]);
    assert!(why.contains("the meta shard has no slots"), "{why}");
    let why = refused(&["shard", "split", "1", "--at", "40000"]);
    assert!(why.contains("at a slot of 1 to 32767"), "{why}");
    let why = refused(&["shard", "split", "1", "--at", "0"]);
    assert!(why.contains("at a slot of 1 to 32767"), "{why}");
    // Down to one slot, and no further.
    json(&node.ask(&["shard", "split", "1", "--at", "1"]));
    let why = refused(&["shard", "split", "1"]);
    assert!(why.contains("one slot and cannot be split"), "{why}");
    // What is left is what a restart finds.
    let before: Vec<Value> = shards(node).iter().map(|s| s["slots"].clone()).collect();
    assert_eq!(before, ["0-0", "32768-65535", "1-32767"]);
    assert!(cluster.nodes[0].stop().success());
    cluster.nodes[0].again();
    let node = &cluster.nodes[0];
    until("it to be ready", || node.at.ready().then_some(()));
    let after: Vec<Value> = shards(node).iter().map(|s| s["slots"].clone()).collect();
    assert_eq!(after, before);
    let (_, group) = make_group(node, "room", "eu");
    assert!(shard_of(node, &group).is_some());
}
