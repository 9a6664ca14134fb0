//! Bytes that changed on a disk: refused, set aside, fetched anew.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use folkmoot_client::Carrier;
use folkmoot_storage::{Batch, RocksOptions, RocksStore, Store, Table, keys, log, value};
use folkmoot_wire::GroupId;
use serde_json::Value;

use super::super::node::{Node, json, until};
use super::super::people::{connect, make_group, runtime};
use super::{Talk, beside, copy, failed, offline};

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

/// Changes what was said in the fourth entry of a group, checksums and all.
fn change_entry(data: &Path, group: &GroupId) {
    let store = RocksStore::open(data.join("db"), &RocksOptions::default()).expect("opened");
    let entry = log::read_entry(&store, group, 4).expect("read");
    let mut entry = entry.expect("it is there");
    entry.body = Bytes::from_static(b"something else");
    let mut batch = Batch::new();
    let key = keys::log::key(group, 4);
    batch.put(Table::Log, key, value::encode_value(&entry));
    store.write(batch).expect("written");
    store.close().expect("closed");
}

#[test]
fn what_nobody_else_has_is_set_aside_only_when_the_loss_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("alone");
    let path = data.to_string_lossy().into_owned();
    let mut node = Node::start(&data, &[], &[]);
    until("it is ready", || node.at.ready().then_some(()));
    let (id, group) = make_group(&node, "lounge", "local");
    let runtime = runtime();
    let client = runtime.block_on(connect(&node, "ann", Carrier::Quic));
    let lounge = client.group(id);
    for n in 0..5 {
        let sent = lounge.send(format!("said {n}"));
        runtime.block_on(sent).expect("sent");
    }
    assert!(node.stop().success());
    change_entry(&data, &id);

    let repair = ["node", "repair", "--data", &path];
    let said = failed(&offline(&repair));
    assert!(said.contains("this node is its only voter"), "{said}");
    assert!(said.contains("--accept-loss"), "{said}");
    assert!(!node.offline(&group).is_empty(), "nothing was changed");
    let accepted = json(&offline(&[&repair[..], &["--accept-loss"]].concat()));
    assert!(accepted["aside"].is_string(), "{accepted}");
    let said = json(&offline(&["node", "verify", "--data", &path]));
    assert_eq!(said["opens"], true);
    node.again();
    until("it is ready", || node.at.ready().then_some(()));
    let shown = node.ask(&["group", "show", &group]);
    assert!(!shown.status.success(), "the group was lost");
    assert!(node.stop().success());
}

#[test]
fn an_entry_that_was_changed_is_named_and_its_shard_fetched_anew() {
    let mut talk = Talk::begin();
    talk.say("said before", 10);
    talk.all_hold_the_same();
    assert!(talk.cluster.nodes[2].stop().success());
    let data = talk.cluster.nodes[2].data.clone();
    let path = data.to_string_lossy().into_owned();
    change_entry(&data, &talk.id);
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

    // Only the founder makes a cluster, and not a second time.
    let founder = &mut talk.cluster.nodes[0];
    assert!(founder.stop().success());
    let kept = beside(&founder.data, "kept");
    copy(&founder.data, &kept);
    fs::remove_dir_all(founder.data.join("db")).expect("removed");
    let said = founder.refuses();
    assert!(said.contains("it would make it a second time"), "{said}");
    fs::remove_dir_all(&founder.data).expect("removed");
    fs::rename(&kept, &founder.data).expect("moved");
    founder.again();
    until("it is ready", || {
        talk.cluster.nodes[0].at.ready().then_some(())
    });
    talk.end();
}
