//! Nodes that die, drain and leave: others vote in their place, and nothing
//! that was said is lost.

use std::collections::BTreeSet;

use folkmoot_client::Carrier;
use serde_json::Value;

use super::log::{check_one_log, said_in};
use super::node::{Cluster, Node, until};
use super::people::{connect, make_group, runtime};

/// The voters of each shard, once no change is under way.
fn settled(node: &Node) -> Option<Vec<BTreeSet<u64>>> {
    let shards = node.at.get("/v1/shards")?;
    let mut voters = Vec::new();
    for shard in shards["shards"].as_array()? {
        if !shard["next"].as_array()?.is_empty() {
            return None;
        }
        let of_shard = shard["voters"].as_array()?.iter();
        voters.push(of_shard.filter_map(Value::as_u64).collect());
    }
    Some(voters)
}

/// Waits until `judge` likes the voters.
fn placed(node: &Node, what: &str, judge: impl Fn(&[BTreeSet<u64>]) -> bool) {
    until(what, || {
        settled(node).filter(|voters| judge(voters)).map(|_| ())
    });
}

fn none_of(node: u64) -> impl Fn(&[BTreeSet<u64>]) -> bool {
    move |voters| voters.iter().all(|voters| !voters.contains(&node))
}

fn holds(node: &Node, group: &str, number: u64) -> Option<(Value, Value)> {
    let at = number.to_string();
    let shown = node.ask(&["group", "show", group, "--at", &at]);
    let shown = shown.status.success().then(|| super::node::json(&shown))?;
    Some((shown["seq"].clone(), shown["chain"].clone()))
}

/// Three vote; one dies for good, and the fourth takes its place. Then another
/// dies: without the replacement that would have been the end.
#[test]
fn a_dead_voter_is_replaced_and_the_region_survives_another_loss() {
    let flags = [
        "--shards",
        "2",
        "--voters",
        "3",
        "--follow",
        "full",
        "--replace-after",
        "2",
    ];
    let mut cluster = Cluster::start(&["eu", "eu", "eu", "eu"], &flags);
    placed(&cluster.nodes[0], "the shards", |voters| {
        voters.len() == 2 && voters.iter().all(|voters| voters.len() == 3)
    });
    let (id, group) = make_group(&cluster.nodes[0], "lounge", "eu");
    let runtime = runtime();
    let client = runtime.block_on(connect(&cluster.nodes[0], "ann", Carrier::Quic));
    let mut wanted: Vec<String> = Vec::new();
    let mut say = |text: String| {
        let sent = runtime.block_on(client.group(id).send(text.clone()));
        sent.expect("a quorum is there");
        wanted.push(text);
    };
    (0..20).for_each(|n| say(format!("all are there: {n}")));
    cluster.nodes[3].kill();
    (0..20).for_each(|n| say(format!("without one: {n}")));
    placed(&cluster.nodes[0], "the dead one replaced", none_of(4));
    (0..20).for_each(|n| say(format!("with another in its place: {n}")));
    cluster.nodes[2].kill();
    (0..20).for_each(|n| say(format!("without two: {n}")));
    cluster.nodes[3].again();
    placed(&cluster.nodes[0], "the other one replaced", none_of(3));
    (0..20).for_each(|n| say(format!("the first is back: {n}")));
    until("all three to hold the same", || {
        let heads = [1, 2, 4].map(|node| holds(&cluster.nodes[0], &group, node));
        (heads[0].is_some() && heads.windows(2).all(|pair| pair[0] == pair[1])).then_some(())
    });
    runtime.block_on(client.close());
    let copies: Vec<String> = [0, 1, 3]
        .into_iter()
        .map(|at| {
            let node = &mut cluster.nodes[at];
            assert!(node.stop().success(), "{}", node.log());
            node.offline(&group)
        })
        .collect();
    let said = said_in(&check_one_log(&copies));
    let said: Vec<String> = said.into_iter().map(|said| said.2).collect();
    assert_eq!(said, wanted);
}

/// A node that joins gets its share; drained it has none; decommissioned it is
/// gone. People talk all the while, also through it.
#[test]
fn a_node_gets_its_share_drains_and_leaves() {
    let flags = ["--shards", "4", "--voters", "1", "--follow", "full"];
    let mut cluster = Cluster::start(&["eu", "eu"], &flags);
    let (id, group) = make_group(&cluster.nodes[0], "lounge", "eu");
    let runtime = runtime();
    let clients = [0, 1].map(|at| {
        let carrier = [Carrier::Quic, Carrier::WebSocket][at];
        runtime.block_on(connect(&cluster.nodes[at], "ann", carrier))
    });
    let mut wanted: Vec<String> = Vec::new();
    let mut say = |what: &str| {
        for n in 0..20 {
            let text = format!("{what}: {n}");
            let talk = clients[n % 2].group(id);
            let sent = talk.send(text.clone());
            runtime.block_on(sent).expect("sent");
            wanted.push(text);
        }
    };
    say("at first");
    placed(&cluster.nodes[0], "its share", |voters| {
        let count = |node| voters.iter().filter(|v| v.contains(&node)).count();
        (count(1), count(2)) == (2, 2)
    });
    say("each has its share");

    // Refused, and it says what would be lost.
    let refused = cluster.nodes[1].ask(&["node", "decommission", "1"]);
    assert!(!refused.status.success());
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        why.contains("node 1 is needed") && why.contains("the cluster's CA"),
        "{why}"
    );
    let unknown = cluster.nodes[1].ask(&["node", "drain", "9"]);
    assert!(!unknown.status.success());

    let drained = cluster.nodes[0].json(&["node", "drain", "2"]);
    assert_eq!(drained["replicas"], 0);
    placed(&cluster.nodes[1], "nothing on it", none_of(2));
    say("one is drained");
    cluster.nodes[0].json(&["node", "drain", "2", "--undo"]);
    placed(&cluster.nodes[0], "its share again", |voters| {
        voters.iter().filter(|v| v.contains(&2)).count() == 2
    });
    say("both are in use again");

    // A drain that nobody waits for goes on, over restarts too.
    let (status, body) = cluster.nodes[0]
        .at
        .http("POST /v1/nodes/2/drain", "{}")
        .expect("it answers");
    assert_eq!(status, 200, "{body}");
    cluster.nodes[1].kill();
    cluster.nodes[0].kill();
    cluster.nodes[0].again();
    cluster.nodes[1].again();
    placed(&cluster.nodes[0], "the drain to go on", none_of(2));
    let left = cluster.nodes[0].json(&["node", "decommission", "2"]);
    assert_eq!(left["left"], true);
    say("one has left");
    let nodes = cluster.nodes[0].json(&["node", "ls"]);
    assert_eq!(nodes.as_array().expect("a list").len(), 1);
    runtime.block_on(async {
        for client in &clients {
            client.close().await;
        }
    });
    let node = &mut cluster.nodes[0];
    assert!(node.stop().success(), "{}", node.log());
    let copies = [node.offline(&group)];
    let said = said_in(&check_one_log(&copies));
    let said: Vec<String> = said.into_iter().map(|said| said.2).collect();
    assert_eq!(said, wanted);
}
