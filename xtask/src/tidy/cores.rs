//! Cores do no I/O and read neither clock nor randomness (D15), so that the
//! simulator runs the very code that production runs.

use super::Finding;
use crate::code::{has_name, is_word, without_tests};
use crate::repo::{File, Repo};

/// Sources that are functions of their input.
const CORES: &[&str] = &[
    "crdt/src/",
    "wire/src/",
    "replication/src/",
    "gossip/src/membership",
    "gossip/src/seal",
    "client-sdk/rust/src/core",
];

/// What would make them something else.
const IMPURE: &[&str] = &[
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "tokio",
    "quinn",
    "reqwest",
    "getrandom",
    "OsRng",
    "thread_rng",
    "rand::rng",
    "rand::random",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "UdpSocket",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
];

/// Their order differs from run to run.
const UNORDERED: &[&str] = &["HashMap", "HashSet"];
/// Files with such maps that are looked into by key and never walked.
const NEVER_WALKED: &[&str] = &["replication/src/apply/view.rs"];

/// Of storage the cores know the port, not the engines.
const ENGINES: &[&str] = &[
    "RocksStore",
    "MemStore",
    "ThreadCommit",
    "TaskCommit",
    "rocksdb",
];

/// Also run by the simulator: time and chance come in through ports.
const SIMULATED: &[&str] = &["node/src/", "consensus/src/", "gossip/src/", "storage/src/"];
const SIMULATED_IMPURE: &[&str] = &[
    "SystemTime",
    "std::time::Instant",
    "rand::rng",
    "rand::random",
    "thread_rng",
    "getrandom",
    "OsRng",
];
/// Where the system's clock and chance are taken, and what never runs there.
const OUTSIDE: &[&str] = &["node/src/ports.rs", "node/src/cli", "node/src/demo"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let sources = || repo.files.iter().filter(|file| file.is("rs") && !file.test);
    let mut findings = Vec::new();
    for file in sources() {
        if starts(file, CORES) {
            find(file, IMPURE, "a core", &mut findings);
            if !NEVER_WALKED.contains(&file.path.as_str()) {
                find(file, UNORDERED, "a core", &mut findings);
            }
        }
        if file.path.starts_with("replication/src/") {
            find(
                file,
                ENGINES,
                "replication, which knows the port only,",
                &mut findings,
            );
        }
        if starts(file, SIMULATED) && !starts(file, OUTSIDE) && !starts(file, CORES) {
            let who = "code that runs in the simulator";
            find(file, SIMULATED_IMPURE, who, &mut findings);
        }
    }
    findings
}

fn starts(file: &File, places: &[&str]) -> bool {
    places.iter().any(|place| file.path.starts_with(place))
}

fn find(file: &File, forbidden: &[&str], who: &str, findings: &mut Vec<Finding>) {
    for (at, line) in without_tests(&file.code).lines().enumerate() {
        let line = flat(line);
        for name in forbidden.iter().filter(|name| has_name(&line, name)) {
            let what = format!("{who} may not use `{name}`: see \"Cores\" in ARCHITECTURE.md");
            findings.push(Finding::line(&file.path, at + 1, what));
        }
    }
}

/// `use std::{fs, net}` as `use std::fs, std::net`: one level is what
/// rustfmt leaves on a line that matters here.
fn flat(line: &str) -> String {
    let Some((head, rest)) = line.split_once("::{") else {
        return line.to_owned();
    };
    let prefix: String = head
        .chars()
        .rev()
        .take_while(|c| is_word(*c) || *c == ':')
        .collect();
    let prefix: String = prefix.chars().rev().collect();
    let items: Vec<String> = rest
        .split([',', '{', '}'])
        .map(|item| format!("{prefix}::{}", item.trim()))
        .collect();
    format!("{head}; {}", items.join(", "))
}
