//! Manuals that say what there is: each configuration key, each error code
//! with its name, and no path that leads nowhere.

use super::Finding;
use crate::repo::Repo;

const KEYS: &str = "node/src/config.rs";
const OPERATING: &str = "docs/operating.md";
const CODES: &str = "wire/src/error.rs";
const PROTOCOL: &str = "docs/protocol.md";

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let said = |path| repo.file(path).map_or("", |file| file.text.as_str());
    for (line, key) in keys(said(KEYS)) {
        if !said(OPERATING).contains(&format!("| `{key}` |")) {
            let what = format!("`{key}` is missing in {OPERATING}");
            findings.push(Finding::line(KEYS, line, what));
        }
    }
    for (line, code, name) in codes(said(CODES)) {
        if !said(PROTOCOL).contains(&format!("| {code} | `{name}` |")) {
            let what = format!("{code} `{name}` is missing in {PROTOCOL}");
            findings.push(Finding::line(CODES, line, what));
        }
    }
    for file in repo.files.iter().filter(|file| file.is("md")) {
        for (line, path) in paths(&file.path, &file.text) {
            let inside = format!("{path}/");
            let exists = path.is_empty()
                || (repo.files.iter())
                    .any(|known| known.path == path || known.path.starts_with(&inside));
            if !exists {
                let what = format!("there is no `{path}`");
                findings.push(Finding::line(&file.path, line, what));
            }
        }
    }
    findings
}

/// Folders whose paths are written from the root, between backquotes.
const ROOTS: &[&str] = &[
    "benches/",
    "client-sdk/",
    "consensus/",
    "crdt/",
    "deploy/",
    "docs/",
    "gossip/",
    "node/",
    "replication/",
    "scripts/",
    "storage/",
    "tests/",
    "transport/",
    "web/",
    "wire/",
    "xtask/",
];

/// Paths between backquotes in manuals of the root and of `docs/`, and targets
/// of links anywhere, from the root of the repository.
fn paths(file: &str, text: &str) -> Vec<(usize, String)> {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let from_root = folder.is_empty() || folder.starts_with("docs");
    let mut paths = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        for path in quoted.filter(|_| from_root) {
            // Of `a/{b,c}.rs` and `a/*.rs` the folder is looked at.
            let open = path.find(['{', '*']).map(|end| &path[..end]);
            let path = open.map_or(path, |start| start.rsplit_once('/').map_or("", |p| p.0));
            let known = ROOTS.iter().any(|root| path.starts_with(root));
            if known && !path.contains(' ') && !path.contains("/dist") {
                paths.push((at + 1, path.trim_end_matches('/').to_owned()));
            }
        }
        for target in line.split("](").skip(1) {
            let target = target.split([')', '#']).next().unwrap_or_default();
            if !target.contains(':') && !target.is_empty() {
                paths.push((at + 1, resolve(folder, target)));
            }
        }
    }
    paths
}

/// `target` as seen from `folder`.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Lines as `key("data", ...` or `secret("token", ...`; rustfmt may put the
/// name on the next line.
fn keys(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut keys = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let rest = ["key(", "secret("]
            .iter()
            .find_map(|call| line.strip_prefix(call));
        let rest = match rest {
            Some("") => lines.get(at + 1).copied(),
            rest => rest,
        };
        let name = rest
            .and_then(|rest| rest.strip_prefix('"'))
            .and_then(|rest| rest.split('"').next());
        keys.extend(name.map(|name| (at + 1, name)));
    }
    keys
}

/// Lines as `NotFound = 300, "not_found", ...`.
fn codes(text: &str) -> Vec<(usize, &str, &str)> {
    text.lines()
        .enumerate()
        .filter_map(|(at, line)| {
            let (_, rest) = line.split_once(" = ")?;
            let (code, rest) = rest.split_once(", \"")?;
            let (name, _) = rest.split_once('"')?;
            code.parse::<u32>().ok()?;
            Some((at + 1, code, name))
        })
        .collect()
}
