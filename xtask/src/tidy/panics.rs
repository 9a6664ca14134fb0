//! What comes from outside never panics: where such bytes are handled, an
//! `unwrap` or `expect` needs a comment that says why it cannot fail.

use super::Finding;
use crate::code::without_tests;
use crate::repo::{File, Repo};

const PLACES: &[&str] = &[
    "crdt/src/",
    "wire/src/",
    "replication/src/",
    "storage/src/",
    "transport/src/",
    "gossip/src/",
    "consensus/src/",
    "client-sdk/rust/src/",
    "node/src/edge",
    "node/src/cluster",
];

/// Files that may, each with the reason.
const ALLOWED: &[(&str, &str)] = &[
    (
        "wire/src/hostile.rs",
        "the fuzzer's promises are meant to panic when they are broken",
    ),
    (
        "storage/src/value.rs",
        "encoding into memory that grows cannot fail",
    ),
];

const PANICS: &[&str] = &[".unwrap()", ".expect(", ".unwrap_err()", ".expect_err("];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    repo.files
        .iter()
        .filter(|file| file.is("rs") && !file.test)
        .filter(|file| PLACES.iter().any(|place| file.path.starts_with(place)))
        .filter(|file| !ALLOWED.iter().any(|(path, _)| *path == file.path))
        .flat_map(in_file)
        .collect()
}

fn in_file(file: &File) -> Vec<Finding> {
    let text: Vec<&str> = file.text.lines().collect();
    let says_why = |at: usize| {
        let above = at.checked_sub(1).and_then(|at| text.get(at));
        text.get(at).is_some_and(|line| line.contains("// "))
            || above.is_some_and(|line| line.trim_start().starts_with("// "))
    };
    without_tests(&file.code)
        .lines()
        .enumerate()
        // In a constant it fails when it is compiled, if at all.
        .filter(|(_, line)| !line.contains("const "))
        .filter(|(at, line)| PANICS.iter().any(|panic| line.contains(panic)) && !says_why(*at))
        .map(|(at, _)| {
            let what = "may panic: return an error, or say in a comment why it cannot fail";
            Finding::line(&file.path, at + 1, what)
        })
        .collect()
}
