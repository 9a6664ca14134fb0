//! One node as a real process: it starts on defaults, keeps what it
//! committed over `kill -9`, and says what is wrong when something is.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_folkmoot-under-test"))
}

/// Addresses of one node: listen, gossip, admin.
struct Ports([u16; 3]);

impl Ports {
    /// Free ones, told by the system.
    fn free() -> Self {
        let held = [0; 3].map(|_: u8| TcpListener::bind("127.0.0.1:0").expect("a port"));
        Self(held.map(|listener| listener.local_addr().expect("bound").port()))
    }

    fn flags(&self) -> Vec<String> {
        ["--listen", "--gossip", "--admin"]
            .iter()
            .zip(self.0)
            .flat_map(|(flag, port)| [(*flag).to_owned(), format!("127.0.0.1:{port}")])
            .collect()
    }

    fn ask(&self, args: &[&str]) -> Output {
        command()
            .args(["--json", "--at-admin"])
            .arg(format!("127.0.0.1:{}", self.0[2]))
            .args(args)
            .output()
            .expect("the command runs")
    }
}

struct Node(Child);

impl Node {
    fn start(data: &Path, ports: &Ports) -> Self {
        let child = command()
            .arg("start")
            .arg("--data")
            .arg(data)
            .args(ports.flags())
            .stderr(Stdio::null())
            .spawn()
            .expect("the node runs");
        let node = Self(child);
        let end = Instant::now() + Duration::from_secs(60);
        while !ports.ask(&["status"]).status.success() {
            assert!(Instant::now() < end, "the node does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        node
    }
}

impl Drop for Node {
    /// SIGKILL.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn json(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_killed_node_keeps_what_it_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("node");
    let ports = Ports::free();
    let node = Node::start(&data, &ports);
    let group = json(&ports.ask(&["group", "create", "lounge"]))["group"]
        .as_str()
        .expect("an id")
        .to_owned();
    let before = json(&ports.ask(&["group", "show", &group]));
    drop(node);
    let node = Node::start(&data, &ports);
    let after = json(&ports.ask(&["group", "show", &group]));
    assert_eq!(before, after);
    assert_eq!(after["name"], "lounge");
    drop(node);
    let offline = command()
        .args(["--json", "log", &group, "--data"])
        .arg(&data)
        .output()
        .expect("the command runs");
    let line: Value = serde_json::from_slice(&offline.stdout).expect("one line");
    assert_eq!(line["kind"], "create");
    assert_eq!(line["chain"], after["chain"]);
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = Ports::free();
    let taken = TcpListener::bind(("127.0.0.1", ports.0[2])).expect("a port");
    let output = command()
        .args(["start", "--data"])
        .arg(folder.path().join("node"))
        .args(ports.flags())
        .output()
        .expect("the command runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    let addr = taken.local_addr().expect("bound").to_string();
    assert!(said.contains(&addr), "{said}");
}

#[test]
fn a_development_cluster_takes_no_nodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = Ports::free();
    let _node = Node::start(&folder.path().join("node"), &ports);
    let refused = ports.ask(&["token", "create"]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("init"), "{said}");
}

#[test]
fn a_group_that_is_not_there_is_not_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = Ports::free();
    let _node = Node::start(&folder.path().join("node"), &ports);
    let missing = ports.ask(&["group", "show", "g000800000000000000000000"]);
    assert!(!missing.status.success());
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(said.contains("no such group"), "{said}");
}
