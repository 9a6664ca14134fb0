//! One node as a real process: it starts on defaults, keeps what it
//! committed over `kill -9`, and says what is wrong when something is.

use std::net::TcpListener;

use serde_json::Value;

use super::node::{Node, command, json, until};

#[test]
fn a_killed_node_keeps_what_it_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(&folder.path().join("node"), &[], &[]);
    let made = node.json(&["group", "create", "lounge"]);
    let group = made["group"].as_str().expect("an id").to_owned();
    let before = node.json(&["group", "show", &group]);
    node.kill();
    node.again();
    let after = node.json(&["group", "show", &group]);
    assert_eq!(before, after);
    assert_eq!(after["name"], "lounge");
    node.kill();
    let line: Value = serde_json::from_str(&node.offline(&group)).expect("one line");
    assert_eq!(line["kind"], "create");
    assert_eq!(line["chain"], after["chain"]);
}

#[test]
fn a_node_that_is_asked_to_stop_leaves_nothing_behind_that_says_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(&folder.path().join("node"), &[], &[]);
    assert!(node.stop().success(), "{}", node.log());
    assert!(!node.data.join("running.json").exists());
    node.again();
    until("the node to be ready", || node.at.ready().then_some(()));
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("node");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("bound").to_string();
    let other = "127.0.0.1:0";
    let output = command()
        .args(["start", "--data"])
        .arg(&data)
        .args(["--listen", other, "--gossip", other, "--admin", &addr])
        .output()
        .expect("the command runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&addr), "{said}");
    assert!(!data.exists(), "nothing was made");
}

#[test]
fn a_development_cluster_takes_no_nodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder.path().join("node"), &[], &[]);
    let refused = node.ask(&["token", "create"]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("init"), "{said}");
}

#[test]
fn a_group_that_is_not_there_is_not_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder.path().join("node"), &[], &[]);
    let missing = node.ask(&["group", "show", "g000800000000000000000000"]);
    assert!(!missing.status.success());
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(said.contains("no such group"), "{said}");
}

#[test]
fn a_group_in_a_region_without_nodes_enough_is_told_to_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("node");
    let made = command().args(["init", "--data"]).arg(&data).output();
    assert!(made.expect("the command runs").status.success());
    let node = Node::start(&data, &["--voters", "3"], &[]);
    assert_eq!(
        json(&node.ask(&["shard", "ls"])).as_array().map(Vec::len),
        Some(0)
    );
    let refused = node.ask(&["group", "create", "lounge"]);
    assert!(!refused.status.success());
}
