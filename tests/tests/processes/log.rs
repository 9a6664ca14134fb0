//! Logs of channels, as files and as exports, and what holds for them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Kind, nick and text of something said.
pub type Said = (String, String, String);

/// The log that comes with the demo.
pub fn bundled() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/irc");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the bundled log")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    files.remove(0)
}

/// Messages and actions of a log file, in its order. A reading of the format
/// of its own, so that it can disagree with the demo's.
pub fn said(path: &Path) -> Vec<Said> {
    let text = String::from_utf8(fs::read(path).expect("the log")).expect("UTF-8");
    let mut said = Vec::new();
    for line in text.split('\n') {
        let Some(rest) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
            continue;
        };
        let rest = rest.1;
        if let Some((nick, text)) = rest.strip_prefix(" <").and_then(|r| r.split_once('>')) {
            let text = text.strip_prefix(' ').unwrap_or(text);
            said.push(("message".into(), nick.to_owned(), text.to_owned()));
        } else if let Some(rest) = rest.strip_prefix("  * ") {
            let (nick, text) = rest.split_once(' ').unwrap_or((rest, ""));
            said.push(("action".into(), nick.to_owned(), text.to_owned()));
        }
    }
    said
}

pub fn entries(export: &str) -> Vec<Value> {
    export
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

pub fn said_in(entries: &[Value]) -> Vec<Said> {
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .filter(|entry| matches!(entry["kind"].as_str(), Some("message" | "action")))
        .map(|entry| {
            (
                text(entry, "kind"),
                text(entry, "nick"),
                text(entry, "body"),
            )
        })
        .collect()
}

/// What holds for every export: dense seqs, rising HLCs, one log everywhere.
pub fn check_one_log(copies: &[String]) -> Vec<Value> {
    let log = entries(&copies[0]);
    for (at, entry) in log.iter().enumerate() {
        assert_eq!(entry["seq"].as_u64(), Some(at as u64 + 1));
    }
    for pair in log.windows(2) {
        assert!(pair[0]["hlc"].as_str() < pair[1]["hlc"].as_str());
    }
    for copy in copies {
        assert_eq!(copy, &copies[0], "all hold the same log");
    }
    log
}

/// Each line of the file once, and each speaker's in the file's order.
pub fn check_speakers(log: &[Said], file: &[Said]) {
    let mut nicks: Vec<&String> = file.iter().map(|(_, nick, _)| nick).collect();
    nicks.sort();
    nicks.dedup();
    assert_eq!(log.len(), file.len());
    for nick in nicks {
        let of = |all: &[Said]| -> Vec<(String, String)> {
            all.iter()
                .filter(|(_, n, _)| n == nick)
                .map(|(kind, _, text)| (kind.clone(), text.clone()))
                .collect()
        };
        assert_eq!(of(log), of(file), "what {nick} said");
    }
}

/// Exports of all regions of one group.
pub fn regions(export: &Path, group: &str) -> Vec<String> {
    let mut folders: Vec<PathBuf> = fs::read_dir(export)
        .expect("the export")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
        .iter()
        .map(|folder| {
            let path = folder.join(format!("{group}.jsonl"));
            fs::read_to_string(path).expect("a region's log")
        })
        .collect()
}
