//! Three voters in one region as three processes: the shards have a quorum
//! without any one of them.

use std::collections::BTreeSet;
use std::time::Duration;

use folkmoot_client::Carrier;
use serde_json::Value;

use super::log::{check_one_log, said_in};
use super::node::{Cluster, Node, until};
use super::people::{connect, make_group, runtime};

/// The number of the node that leads a group's shard, by its own word: others
/// may be behind.
fn leader(nodes: &[&Node], group: &str) -> usize {
    until("a leader", || {
        let shown = nodes[0].at.get(&format!("/v1/groups/{group}"))?;
        nodes.iter().find_map(|node| {
            let me = node.at.get("/v1/status")?["node"].as_u64()?;
            let shards = node.at.get("/v1/shards")?;
            let mut shards = shards["shards"].as_array()?.iter();
            let leads = shards.any(|s| s["shard"] == shown["shard"] && s["leader"] == me);
            leads.then(|| me.try_into().expect("a small number"))
        })
    })
}

fn voters(node: &Node) -> Vec<BTreeSet<u64>> {
    let shards = node.json(&["shard", "ls"]);
    let voters = |shard: &Value| {
        let voters = shard["voters"].as_array().expect("a list");
        voters.iter().filter_map(Value::as_u64).collect()
    };
    shards
        .as_array()
        .expect("a list")
        .iter()
        .map(voters)
        .collect()
}

/// What the node that leads tells of another's death.
fn shown_to_operators(node: &Node, dead: usize) {
    let changes = node.at.metric("folkmoot_shard_leader_changes_total", &[]);
    assert!(changes.is_some_and(|changes| changes >= 3.0), "{changes:?}");
    let status = node.json(&["status"]);
    assert_eq!(status["leader_changes"].as_f64(), changes);
    let dead = format!("voter=\"{dead}\"");
    let behind = node.at.metric("folkmoot_shard_voter_lag", &[&dead]);
    assert!(behind.is_some_and(|behind| behind > 0.0), "{behind:?}");
    let log = node.log();
    assert!(log.contains("this node leads the shard"), "{log}");
}

#[test]
fn two_of_three_go_on_and_the_third_catches_up() {
    let flags = ["--shards", "2", "--voters", "3", "--follow", "full"];
    let mut cluster = Cluster::start(&["eu", "eu", "eu"], &flags);
    for node in &cluster.nodes {
        until("the shards", || (voters(node).len() == 2).then_some(()));
        for voters in voters(node) {
            assert_eq!(voters, BTreeSet::from([1, 2, 3]));
        }
    }
    let (id, group) = make_group(&cluster.nodes[0], "lounge", "eu");
    let runtime = runtime();
    let mut wanted: Vec<String> = Vec::new();
    // Through each node, so twice through one that does not lead.
    let mut clients = Vec::new();
    for (at, node) in cluster.nodes.iter().enumerate() {
        let carrier = [Carrier::Quic, Carrier::WebSocket][at % 2];
        let client = runtime.block_on(connect(node, "ann", carrier));
        let text = format!("through {at}");
        let sent = runtime.block_on(client.group(id).send(text.clone()));
        sent.expect("sent");
        wanted.push(text);
        clients.push(client);
    }
    let nodes: Vec<&Node> = cluster.nodes.iter().collect();
    let dead = leader(&nodes, &group) - 1;
    cluster.nodes[dead].kill();
    for (at, client) in clients.iter().enumerate() {
        if at == dead {
            continue;
        }
        for n in 0..20 {
            let text = format!("without {dead}, through {at}: {n}");
            let sent = runtime.block_on(client.group(id).send(text.clone()));
            sent.expect("a quorum is there");
            wanted.push(text);
        }
    }
    let left: Vec<&Node> = cluster
        .nodes
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != dead)
        .map(|(_, node)| node)
        .collect();
    let leads = leader(&left, &group) - 1;
    assert_ne!(leads, dead);
    shown_to_operators(&cluster.nodes[leads], dead + 1);
    cluster.nodes[dead].again();
    // Its client carries on by itself.
    let sent = runtime.block_on(clients[dead].group(id).send("back again"));
    sent.expect("sent");
    wanted.push("back again".into());
    let head = |node: &Node, at: usize| -> Option<Value> {
        let number = (at + 1).to_string();
        let shown = node.ask(&["group", "show", &group, "--at", &number]);
        let shown = shown.status.success().then(|| super::node::json(&shown))?;
        Some(Value::from(vec![
            shown["seq"].clone(),
            shown["chain"].clone(),
            shown["rows_digest"].clone(),
        ]))
    };
    until("all three to hold the same", || {
        let heads: Vec<_> = cluster
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| head(node, at))
            .collect();
        (heads[0].is_some() && heads.windows(2).all(|pair| pair[0] == pair[1])).then_some(())
    });
    runtime.block_on(async {
        for client in &clients {
            tokio::time::timeout(Duration::from_secs(5), client.close())
                .await
                .expect("closed");
        }
    });
    for node in &mut cluster.nodes {
        assert!(node.stop().success(), "{}", node.log());
    }
    let copies: Vec<String> = cluster
        .nodes
        .iter()
        .map(|node| node.offline(&group))
        .collect();
    let said: Vec<String> = said_in(&check_one_log(&copies))
        .into_iter()
        .map(|said| said.2)
        .collect();
    assert_eq!(said, wanted);
}
