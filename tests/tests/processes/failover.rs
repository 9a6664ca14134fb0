//! A node is killed in the middle of a pipelined replay and started again:
//! clients carry on, it catches up by itself, and every line is there once.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, ExitStatus};

use serde_json::Value;

use super::log::{bundled, check_one_log, check_speakers, regions, said, said_in};
use super::node::{Running, command, until};

/// One group for each region.
const GROUPS: [&str; 3] = ["first", "second", "third"];
/// The node is killed when so many entries are there: some of all three
/// groups are said then, and most are not.
const KILL_AT: u64 = 600;

struct Demo {
    child: Child,
    folder: tempfile::TempDir,
}

impl Demo {
    fn start(extra: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let logs = GROUPS.map(|group| at(&format!("{group}.txt")));
        for log in &logs {
            fs::copy(bundled(), log).expect("a copy");
        }
        let out = File::create(at("out")).expect("a file");
        let child = command()
            .args([
                "demo",
                "--headless",
                "--exit",
                "--pipelined",
                "--wan",
                "0.2",
            ])
            .arg("--replay")
            .args(&logs)
            .arg("--export")
            .arg(at("export"))
            .arg("--data")
            .arg(at("data"))
            .args(extra)
            .stdout(out.try_clone().expect("the same file"))
            .stderr(out)
            .spawn()
            .expect("the demo runs");
        Self { child, folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("out")).unwrap_or_default()
    }

    /// Entries of all groups, as a node sees them.
    fn entries(&self, node: &Path) -> Option<u64> {
        let answer = Running::read(node)?.get("/v1/groups")?;
        let groups = answer["groups"].as_array()?;
        Some(
            groups
                .iter()
                .filter_map(|group| group["seq"].as_u64())
                .sum(),
        )
    }

    fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the demo's end", || child.try_wait().expect("a child"))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills `name` half way, and judges what all nodes hold in the end.
fn survives(name: &str, extra: &[&str]) {
    let mut demo = Demo::start(extra);
    let data = demo.path("data");
    let node = data.join(name);
    until("the middle of the replay", || {
        let ended = demo.child.try_wait().expect("a child");
        assert!(ended.is_none(), "{}", demo.said());
        (demo.entries(&node)? >= KILL_AT).then_some(())
    });
    let killed = Running::read(&node).expect("it runs");
    let total = (said(&bundled()).len() * GROUPS.len()) as u64;
    let before = demo.entries(&node).unwrap_or_default();
    killed.kill();
    assert!(before < total, "the replay was over before the kill");
    let again = until("the node to be started again", || {
        Running::read(&node).filter(|now| now.pid != killed.pid)
    });
    assert_eq!(again.listen, killed.listen);
    let status = demo.ended();
    assert!(status.success(), "{}", demo.said());
    assert!(
        demo.said().contains(&format!("{name} was killed")),
        "{}",
        demo.said()
    );
    let report = fs::read(demo.path("export/report.json")).expect("the report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    for group in report["groups"].as_array().expect("groups") {
        let mut copies = regions(
            &demo.path("export"),
            group["name"].as_str().expect("a name"),
        );
        assert_eq!(copies.len(), 3);
        // Of a region's second node too: the export takes the first.
        let id = group["id"].as_str().expect("an id");
        copies.push(offline(&node, id));
        check_speakers(&said_in(&check_one_log(&copies)), &said(&bundled()));
    }
}

fn offline(data: &Path, group: &str) -> String {
    let output = command()
        .args(["--json", "log", group, "--data"])
        .arg(data)
        .output()
        .expect("the command runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// It keeps the directory and the meta shard, and is home of one group.
#[test]
fn the_founder_is_killed_and_comes_back() {
    survives("eu-1", &[]);
}

/// Home of one group, and an edge that follows the two others.
#[test]
fn a_node_of_another_region_is_killed_and_comes_back() {
    survives("us-1", &[]);
}

/// Through it or beside it its neighbour follows the other regions.
#[test]
fn one_of_two_nodes_of_a_region_is_killed_and_comes_back() {
    survives("ap-2", &["--nodes-per-region", "2"]);
}
