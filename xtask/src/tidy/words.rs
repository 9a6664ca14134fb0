//! What must not be in the repository at all: names of machines, and what
//! was meant to be done later.

use super::Finding;
use crate::repo::{File, Repo};

/// Written apart, so that this file may hold them.
const PLACES: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/tmp/", "team"),
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("deb.debian", ".org"),
];

/// In code, tests included.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("db", "g!("),
    concat!("#[ig", "nore"),
];

/// In scripts of tests.
const SKIPPED: &[&str] = &[
    concat!("test.sk", "ip("),
    concat!("test.on", "ly("),
    concat!("it.sk", "ip("),
    concat!("it.on", "ly("),
    concat!("sk", "ip: true"),
];

/// Written by package managers, who name where they fetched from, and what
/// people said in the channels that the demo replays.
const QUOTED: &[&str] = &["Cargo.lock", "package-lock.json", ".txt"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &repo.files {
        if !QUOTED.iter().any(|end| file.path.ends_with(end)) {
            find(file, &file.text, PLACES, &mut findings);
        }
        if file.is("rs") {
            find(file, &file.code, UNFINISHED, &mut findings);
        }
        if file.is("ts") || file.is("mjs") {
            find(file, &file.text, SKIPPED, &mut findings);
        }
    }
    findings
}

fn find(file: &File, text: &str, forbidden: &[&str], findings: &mut Vec<Finding>) {
    for (at, line) in text.lines().enumerate() {
        for word in forbidden.iter().filter(|word| line.contains(**word)) {
            let what = format!("`{word}` does not belong in the repository");
            findings.push(Finding::line(&file.path, at + 1, what));
        }
    }
}
