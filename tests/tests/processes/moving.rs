//! A group whose home moves while its people talk, and what of it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use folkmoot_client::Carrier;
use serde_json::Value;

use super::log::{check_one_log, said_in};
use super::node::{Cluster, json, until};
use super::people::{connect, make_group, runtime, talk};

fn home(cluster: &Cluster, node: usize, group: &str) -> Option<Value> {
    let shown = cluster.nodes[node].at.get(&format!("/v1/groups/{group}"))?;
    Some(shown["home"].clone())
}

#[test]
fn a_group_moves_while_its_people_talk_and_survives_the_region_it_was_born_in() {
    let mut cluster = Cluster::start(&["eu", "us", "ap"], &["--shards", "2", "--follow", "full"]);
    let (id, group) = make_group(&cluster.nodes[0], "lounge", "eu");
    let runtime = runtime();
    let people = runtime.block_on(async {
        let people = [
            connect(&cluster.nodes[0], "bob", Carrier::Quic).await,
            connect(&cluster.nodes[1], "cat", Carrier::WebSocket).await,
            connect(&cluster.nodes[2], "dan", Carrier::Quic).await,
        ];
        for (client, nick) in people.iter().zip(["Bob", "Cat", "Dan"]) {
            client.group(id).join(nick).await.expect("joined");
        }
        people
    });
    let mut reader = runtime
        .block_on(people[2].group(id).entries())
        .expect("active");
    let stop = Arc::new(AtomicBool::new(false));
    let talks: Vec<_> = people
        .iter()
        .zip(["bob", "cat", "dan"])
        .map(|(client, name)| {
            runtime.spawn(talk(client.clone(), id, name.to_owned(), Arc::clone(&stop)))
        })
        .collect();
    // To and fro, and to the third, each asked for at another node.
    for (asked, to) in [(0, "us"), (1, "eu"), (2, "ap")] {
        let moved = json(&cluster.nodes[asked].ask(&["group", "rehome", &group, to]));
        assert_eq!(moved["to"], to);
        for node in 0..3 {
            until("the other home to be known", || {
                (home(&cluster, node, &group)? == to).then_some(())
            });
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut wanted = runtime.block_on(async {
        let mut wanted = Vec::new();
        for talk in talks {
            wanted.push(talk.await.expect("talked"));
        }
        wanted
    });
    // Of the region it was born in nothing is left, and it goes on.
    cluster.nodes[0].kill();
    let last = "without the birth region";
    let sent = runtime.block_on(people[2].group(id).send(last));
    sent.expect("the home is here");
    wanted.push(vec![last.to_owned()]);
    runtime.block_on(async {
        let mut read: Vec<String> = Vec::new();
        while read.last().is_none_or(|text| text != last) {
            let entry = tokio::time::timeout(Duration::from_secs(60), reader.next()).await;
            let entry = entry.expect("in time").expect("an entry");
            assert!(entry.follows || read.is_empty(), "no gap");
            read.extend(entry.text());
        }
        in_order(&wanted, &read);
        for client in &people {
            client.close().await;
        }
    });
    cluster.nodes[0].again();
    until("the one that was away to have it", || {
        let at = cluster.nodes[0].ask(&["group", "show", &group, "--at", "1"]);
        let seq = |shown: &Value| shown["seq"].as_u64();
        let home = cluster.nodes[2].at.get(&format!("/v1/groups/{group}"))?;
        (at.status.success() && seq(&json(&at)) == seq(&home)).then_some(())
    });
    for node in &mut cluster.nodes {
        assert!(node.stop().success(), "{}", node.log());
    }
    let copies = [0, 1, 2].map(|at: usize| cluster.nodes[at].offline(&group));
    let said: Vec<String> = said_in(&check_one_log(&copies))
        .into_iter()
        .map(|said| said.2)
        .collect();
    in_order(&wanted, &said);
}

/// Every line is there once, and each speaker's are in order.
fn in_order(wanted: &[Vec<String>], said: &[String]) {
    assert_eq!(said.len(), wanted.iter().map(Vec::len).sum::<usize>());
    for lines in wanted {
        let theirs: Vec<&String> = said.iter().filter(|line| lines.contains(line)).collect();
        assert_eq!(theirs, lines.iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_move_to_where_a_group_cannot_be_is_refused() {
    let mut cluster = Cluster::start(&["eu", "us", "us"], &["--shards", "2"]);
    let (_, group) = make_group(&cluster.nodes[0], "lounge", "eu");
    let refused = |cluster: &Cluster, group: &str, to: &str| {
        let asked = cluster.nodes[0].ask(&["group", "rehome", group, to]);
        assert!(!asked.status.success());
        String::from_utf8_lossy(&asked.stderr).into_owned()
    };
    let why = refused(&cluster, &group, "mars");
    assert!(why.contains("no region is called mars"), "{why}");
    // Where it is already it stays, and that is no error.
    let stays = json(&cluster.nodes[0].ask(&["group", "rehome", &group, "eu"]));
    assert_eq!(
        (&stays["home"], &stays["state"]),
        (&"eu".into(), &"here".into())
    );
    let nobody = format!("{}{}", &group[..group.len() - 4], "0000");
    let why = refused(&cluster, &nobody, "us");
    assert!(why.contains("there is no such group"), "{why}");
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    until("the region to be out of reach", || {
        let asked = cluster.nodes[0].ask(&["group", "rehome", &group, "us"]);
        let why = String::from_utf8_lossy(&asked.stderr).into_owned();
        why.contains("region us cannot take the group")
            .then_some(())
    });
    assert_eq!(home(&cluster, 0, &group).expect("shown"), "eu");
}
