//! Disks that lie: a folder put back to an older state, bytes that changed, a
//! folder that was copied.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use folkmoot_client::{Carrier, Client};
use folkmoot_storage::{Batch, RocksOptions, RocksStore, Store, Table, keys, log, value};
use folkmoot_wire::GroupId;
use serde_json::Value;

use super::log::{check_one_log, said_in};
use super::node::{Cluster, Node, command, json, until};
use super::people::{connect, make_group, runtime};

const FLAGS: [&str; 6] = ["--shards", "2", "--voters", "3", "--follow", "full"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for item in fs::read_dir(from).expect("a folder") {
        let item = item.expect("an item");
        let target = to.join(item.file_name());
        match item.file_type().expect("a type").is_dir() {
            true => copy(&item.path(), &target),
            false => drop(fs::copy(item.path(), target).expect("copied")),
        }
    }
}

fn beside(data: &Path, what: &str) -> PathBuf {
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

/// Shards that `node` leads, by the word of `asked`.
fn led_by(node: u64, asked: &Node) -> BTreeSet<u64> {
    let shards = asked.at.get("/v1/shards");
    let shards = shards
        .as_ref()
        .and_then(|shards| shards["shards"].as_array());
    let led = shards.into_iter().flatten();
    led.filter(|shard| shard["leader"] == node)
        .filter_map(|shard| shard["shard"].as_u64())
        .collect()
}

fn troubles(node: &Node) -> String {
    let status = node.at.get("/v1/status");
    status.map_or_else(String::new, |status| status["waits_to_vote"].to_string())
}

#[test]
fn a_folder_put_back_is_found_out_and_votes_only_when_it_has_caught_up() {
    let mut talk = Talk::begin();
    talk.say("before the copy", 5);
    talk.all_hold_the_same();
    assert!(talk.cluster.nodes[2].stop().success());
    let data = talk.cluster.nodes[2].data.clone();
    let (old, later) = (beside(&data, "old"), beside(&data, "later"));
    copy(&data, &old);
    talk.cluster.nodes[2].again();
    talk.say("after the copy", 20);
    talk.all_hold_the_same();
    assert!(talk.cluster.nodes[2].stop().success());

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
        for asked in [0, 2] {
            assert_eq!(led_by(3, &talk.cluster.nodes[asked]), BTreeSet::new());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    talk.cluster.nodes[1].again();
    until("it has caught up", || {
        let led = led_by(3, &talk.cluster.nodes[2]);
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

/// The files of tables in a data folder.
fn tables(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("db/data")).expect("the store");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "sst"));
    files.sort();
    files
}

/// Changes the last byte, of what tells that the file is one.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("a file");
    *bytes.last_mut().expect("not empty") ^= 0x40;
    fs::write(path, bytes).expect("written");
}

#[test]
fn changed_bytes_are_refused_set_aside_and_fetched_anew() {
    let mut talk = Talk::begin();
    talk.say("said before", 20);
    talk.all_hold_the_same();
    // What was in the log of the store is in tables after a start.
    assert!(talk.cluster.nodes[2].stop().success());
    talk.cluster.nodes[2].again();
    until("it is ready", || {
        talk.cluster.nodes[2].at.ready().then_some(())
    });
    assert!(talk.cluster.nodes[2].stop().success());
    let data = talk.cluster.nodes[2].data.clone();
    let path = data.to_string_lossy().into_owned();
    flip(&tables(&data)[0]);

    let said = talk.cluster.nodes[2].refuses();
    assert!(said.contains("the store is damaged"), "{said}");
    assert!(said.contains("folkmoot node repair"), "{said}");
    let said = failed(&offline(&["node", "verify", "--data", &path]));
    assert!(said.contains("node repair --data"), "{said}");
    let repaired = json(&offline(&["node", "repair", "--data", &path]));
    let aside = repaired["aside"].as_str().expect("a path");
    assert!(!tables(&data).iter().any(|table| table.starts_with(aside)));
    assert!(Path::new(aside).join("data").exists());
    talk.say("said meanwhile", 5);
    talk.cluster.nodes[2].again();
    until("it is ready", || {
        talk.cluster.nodes[2].at.ready().then_some(())
    });
    talk.say("said afterwards", 5);
    talk.end();
}

#[test]
fn an_entry_that_was_changed_is_named_and_its_shard_fetched_anew() {
    let mut talk = Talk::begin();
    talk.say("said before", 10);
    talk.all_hold_the_same();
    assert!(talk.cluster.nodes[2].stop().success());
    let data = talk.cluster.nodes[2].data.clone();
    let path = data.to_string_lossy().into_owned();
    {
        let store = RocksStore::open(data.join("db"), &RocksOptions::default()).expect("opened");
        let entry = log::read_entry(&store, &talk.id, 4).expect("read");
        let mut entry = entry.expect("it is there");
        entry.body = Bytes::from_static(b"something else");
        let mut batch = Batch::new();
        let key = keys::log::key(&talk.id, 4);
        batch.put(Table::Log, key, value::encode_value(&entry));
        store.write(batch).expect("written");
        store.close().expect("closed");
    }
    let verified = offline(&["node", "verify", "--data", &path]);
    let said = failed(&verified);
    assert!(said.contains("node repair --data"), "{said}");
    let found: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
    let shards = found["shards"].as_array().expect("a list");
    let wrong: Vec<_> = shards.iter().filter(|shard| shard["wrong"] != 0).collect();
    assert_eq!(wrong.len(), 1, "{found}");
    let problem = wrong[0]["problems"][0].as_str().expect("a problem");
    assert!(
        problem.contains(&talk.group) && problem.contains('4'),
        "{problem}"
    );

    let repaired = json(&offline(&["node", "repair", "--data", &path]));
    assert_eq!(repaired["shards"][0], wrong[0]["shard"]);
    let again = json(&offline(&["node", "repair", "--data", &path]));
    assert!(again["aside"].is_null(), "{again}");
    talk.say("said meanwhile", 5);
    talk.cluster.nodes[2].again();
    until("it is ready", || {
        talk.cluster.nodes[2].at.ready().then_some(())
    });
    talk.say("said afterwards", 5);
    talk.all_hold_the_same();

    // Of the founder's meta shard there is no other copy.
    let founder = &mut talk.cluster.nodes[0];
    assert!(founder.stop().success());
    let kept = beside(&founder.data, "kept");
    copy(&founder.data, &kept);
    fs::remove_dir_all(founder.data.join("db")).expect("removed");
    let said = founder.refuses();
    assert!(said.contains("its meta shard is lost"), "{said}");
    fs::remove_dir_all(&founder.data).expect("removed");
    fs::rename(&kept, &founder.data).expect("moved");
    founder.again();
    until("it is ready", || {
        talk.cluster.nodes[0].at.ready().then_some(())
    });
    talk.end();
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
    // The first folder lacks a start by now.
    talk.say("said meanwhile", 3);
    talk.cluster.nodes[2] = Node::start(&data, &flags, &[]);
    until("it is ready", || {
        talk.cluster.nodes[2].at.ready().then_some(())
    });
    talk.end();
}
