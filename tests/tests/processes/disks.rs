//! Disks that lie: a folder put back to an older state, or copied.

mod damage;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use folkmoot_client::{Carrier, Client};
use folkmoot_wire::GroupId;
use serde_json::Value;

use super::log::{check_one_log, said_in};
use super::node::{Cluster, Node, command, json, until};
use super::people::{connect, make_group, runtime};

const FLAGS: [&str; 6] = ["--shards", "2", "--voters", "3", "--follow", "full"];

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for item in fs::read_dir(from).expect("a folder") {
        let item = item.expect("an item");
        let target = to.join(item.file_name());
        if item.file_type().expect("a type").is_dir() {
            copy(&item.path(), &target);
        } else if let Err(error) = fs::copy(item.path(), target) {
            // A store that is open removes files that it needs no more.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
}

pub fn beside(data: &Path, what: &str) -> PathBuf {
    data.with_extension(what)
}

/// Three voters, a group, and somebody who talks in it.
struct Talk {
    cluster: Cluster,
    runtime: tokio::runtime::Runtime,
    client: Client,
    id: GroupId,
    group: String,
    said: Vec<String>,
}

impl Talk {
    fn begin() -> Self {
        let cluster = Cluster::start(&["eu", "eu", "eu"], &FLAGS);
        for node in &cluster.nodes {
            until("the shards", || {
                let shards = node.json(&["shard", "ls"]);
                (shards.as_array()?.len() == 2).then_some(())
            });
        }
        let (id, group) = make_group(&cluster.nodes[0], "lounge", "eu");
        let runtime = runtime();
        let client = runtime.block_on(connect(&cluster.nodes[0], "ann", Carrier::Quic));
        Self {
            cluster,
            runtime,
            client,
            id,
            group,
            said: Vec::new(),
        }
    }

    fn say(&mut self, what: &str, times: u32) {
        let group = self.client.group(self.id);
        for n in 0..times {
            let text = format!("{what} {n}");
            let sent = group.send(text.clone());
            self.runtime.block_on(sent).expect("sent");
            self.said.push(text);
        }
    }

    fn head(&self, at: usize) -> Option<Value> {
        let number = (at + 1).to_string();
        let shown = self.cluster.nodes[at].ask(&["group", "show", &self.group, "--at", &number]);
        let shown = shown.status.success().then(|| json(&shown))?;
        Some(Value::from(vec![
            shown["seq"].clone(),
            shown["chain"].clone(),
            shown["rows_digest"].clone(),
        ]))
    }

    fn all_hold_the_same(&self) {
        until("all three to hold the same", || {
            let heads: Vec<_> = (0..3).map(|at| self.head(at)).collect();
            (heads[0].is_some() && heads.windows(2).all(|pair| pair[0] == pair[1])).then_some(())
        });
    }

    /// Stops all and compares what they hold with what was said.
    fn end(mut self) {
        self.all_hold_the_same();
        self.runtime.block_on(async {
            let closed = self.client.close();
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), closed).await;
        });
        for node in &mut self.cluster.nodes {
            assert!(node.stop().success(), "{}", node.log());
            let data = node.data.to_string_lossy().into_owned();
            let verified = offline(&["node", "verify", "--data", &data]);
            let found = json(&verified);
            let shards = found["shards"].as_array().expect("a list");
            assert_eq!(shards.len(), 3);
            let entries: u64 = shards.iter().filter_map(|s| s["entries"].as_u64()).sum();
            assert!(entries as usize >= self.said.len(), "{found}");
        }
        let nodes = &self.cluster.nodes;
        let copies: Vec<String> = nodes.iter().map(|n| n.offline(&self.group)).collect();
        let said = said_in(&check_one_log(&copies));
        let said: Vec<String> = said.into_iter().map(|said| said.2).collect();
        assert_eq!(said, self.said);
    }
}

fn offline(args: &[&str]) -> std::process::Output {
    let output = command().arg("--json").args(args).output();
    output.expect("the command runs")
}

fn failed(output: &std::process::Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Shards that a node leads, by its own word: others may remember what was.
fn led_by(node: &Node) -> BTreeSet<u64> {
    let me = node
        .at
        .get("/v1/status")
        .map(|status| status["node"].clone());
    let shards = node.at.get("/v1/shards");
    let shards = shards
        .as_ref()
        .and_then(|shards| shards["shards"].as_array());
    let led = shards.into_iter().flatten();
    // Without a replica here the leader is hearsay, and there is no term.
    led.filter(|shard| Some(&shard["leader"]) == me.as_ref() && shard["term"] != 0)
        .filter_map(|shard| shard["shard"].as_u64())
        .collect()
}

fn troubles(node: &Node) -> String {
    let status = node.at.get("/v1/status");
    status.map_or_else(String::new, |status| status["waits_to_vote"].to_string())
}

/// A copy of node 3's folder is put back after more was said. `live`: it was
/// made while the node ran, so it knows the node's last start, and only what
/// the node said of its log tells that it is older.
fn put_back(live: bool) {
    let mut talk = Talk::begin();
    talk.say("before the copy", 5);
    talk.all_hold_the_same();
    let data = talk.cluster.nodes[2].data.clone();
    let (old, later) = (beside(&data, "old"), beside(&data, "later"));
    if !live {
        assert!(talk.cluster.nodes[2].stop().success());
    }
    copy(&data, &old);
    if !live {
        talk.cluster.nodes[2].again();
    }
    talk.say("after the copy", 20);
    talk.all_hold_the_same();
    talk.cluster.nodes[2].kill();

    fs::rename(&data, &later).expect("moved");
    fs::rename(&old, &data).expect("moved");
    // Its word is needed for what it forgot: one of the two that have it.
    talk.cluster.nodes[1].kill();
    talk.cluster.nodes[2].again();
    until("it says so", || {
        let said = troubles(&talk.cluster.nodes[2]);
        (said.contains("older than what this node had") && said.contains("until node 2"))
            .then_some(())
    });
    assert!(!talk.cluster.nodes[2].at.ready());
    // With it and without the one it waits for there is no quorum.
    for _ in 0..20 {
        assert_eq!(led_by(&talk.cluster.nodes[2]), BTreeSet::new());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    talk.cluster.nodes[1].again();
    until("it has caught up", || {
        let led = led_by(&talk.cluster.nodes[2]);
        let said = troubles(&talk.cluster.nodes[2]);
        for shard in led {
            assert!(
                !said.contains(&format!("shard {shard} ")),
                "it leads: {said}"
            );
        }
        (said == "[]" && talk.cluster.nodes[2].at.ready()).then_some(())
    });
    talk.say("after it is back", 5);
    until("it says that it has", || {
        let log = talk.cluster.nodes[2].log();
        let said = ["the data folder is older", "the replica holds again"];
        said.iter().all(|said| log.contains(said)).then_some(())
    });
    // A start later it is as any other.
    assert!(talk.cluster.nodes[2].stop().success());
    talk.cluster.nodes[2].again();
    until("it is ready", || {
        talk.cluster.nodes[2].at.ready().then_some(())
    });
    talk.end();
}

#[test]
fn a_folder_put_back_is_found_out_and_votes_only_when_it_has_caught_up() {
    put_back(false);
}

#[test]
fn a_copy_of_a_running_node_put_back_is_found_out_by_what_the_node_said() {
    put_back(true);
}

#[test]
fn of_two_processes_on_one_copied_folder_the_earlier_stops() {
    let mut talk = Talk::begin();
    talk.say("said before", 3);
    talk.all_hold_the_same();
    assert!(talk.cluster.nodes[2].stop().success());
    let data = talk.cluster.nodes[2].data.clone();
    // Its log is another too.
    let copied = data.with_file_name("twin");
    copy(&data, &copied);
    talk.cluster.nodes[2].again();
    until("it is ready", || {
        talk.cluster.nodes[2].at.ready().then_some(())
    });
    let flags = [&["--region", "eu", "--swim", "lan"], &FLAGS[..]].concat();
    let mut twin = Node::start(&copied, &flags, &[]);
    let ended = talk.cluster.nodes[2].ended();
    assert!(!ended.success());
    let log = talk.cluster.nodes[2].log();
    assert!(
        log.contains("another process has started as node 3"),
        "{log}"
    );
    until("the other has caught up", || twin.at.ready().then_some(()));
    assert!(twin.stop().success(), "{}", twin.log());
    // It stays stopped until somebody says that the other is gone; its folder
    // lacks a start by then.
    let said = talk.cluster.nodes[2].refuses();
    assert!(said.contains("join this machine as a new node"), "{said}");
    let path = data.to_string_lossy().into_owned();
    let done = json(&offline(&["node", "repair", "--data", &path]));
    assert!(
        done["done"]
            .as_str()
            .expect("a text")
            .contains("may start again")
    );
    talk.say("said meanwhile", 3);
    talk.cluster.nodes[2] = Node::start(&data, &flags, &[]);
    until("it is ready", || {
        talk.cluster.nodes[2].at.ready().then_some(())
    });
    talk.end();
}
