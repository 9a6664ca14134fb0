use super::{Finding, check, cores, docs, edges, panics, size, unused, words};
use crate::repo::Repo;

fn repo(files: &[(&str, &str)]) -> Repo {
    Repo::of(
        files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect(),
    )
}

fn lines(findings: &[Finding]) -> Vec<(&str, usize)> {
    findings
        .iter()
        .map(|finding| (finding.path.as_str(), finding.line))
        .collect()
}

const TABLE: &str = "\
| folder | crate | what | may use |
|---|---|---|---|
| `a/` | `folkmoot-a` | first | |
| `b/` | `folkmoot-b` | second | `folkmoot-a` |
";

fn manifest(name: &str, uses: &str) -> String {
    format!("[package]\nname = \"{name}\"\n[dependencies]\n{uses}\n")
}

#[test]
fn a_long_file_is_found_and_a_generated_one_is_not() {
    let long = "x\n".repeat(401);
    let most = "x\n".repeat(400);
    let repo = repo(&[
        ("a/src/long.rs", &long),
        ("a/src/most.rs", &most),
        ("client-sdk/web/src/gen/schema.ts", &long),
        ("docs/long.md", &long),
    ]);
    assert_eq!(lines(&size::check(&repo)), [("a/src/long.rs", 0)]);
}

#[test]
fn an_edge_that_is_not_in_the_table_is_found() {
    let a = manifest("folkmoot-a", "folkmoot-b.workspace = true");
    let b = manifest("folkmoot-b", "folkmoot-a.workspace = true\nserde = \"1\"");
    let files = [
        ("ARCHITECTURE.md", TABLE),
        ("a/Cargo.toml", a.as_str()),
        ("b/Cargo.toml", b.as_str()),
    ];
    let findings = edges::check(&repo(&files)).unwrap();
    assert_eq!(lines(&findings), [("a/Cargo.toml", 0)]);
    assert!(findings[0].what.contains("may not use `folkmoot-b`"));
}

#[test]
fn crates_and_lines_of_the_table_belong_together() {
    let a = manifest("folkmoot-a", "");
    let c = manifest("folkmoot-c", "");
    let files = [
        ("ARCHITECTURE.md", TABLE),
        ("elsewhere/Cargo.toml", a.as_str()),
        ("c/Cargo.toml", c.as_str()),
    ];
    let findings = edges::check(&repo(&files)).unwrap();
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "c/Cargo.toml: crate `folkmoot-c` has no line in the table of ARCHITECTURE.md",
            "ARCHITECTURE.md:3: `folkmoot-a` is said to be in `a`, and is not",
            "ARCHITECTURE.md:4: there is no crate `folkmoot-b`",
        ]
    );
}

#[test]
fn the_table_cannot_allow_a_circle() {
    let table = TABLE.replace("first | |", "first | `folkmoot-b` |");
    let (a, b) = (manifest("folkmoot-a", ""), manifest("folkmoot-b", ""));
    let files = [
        ("ARCHITECTURE.md", table.as_str()),
        ("a/Cargo.toml", a.as_str()),
        ("b/Cargo.toml", b.as_str()),
    ];
    let findings = edges::check(&repo(&files)).unwrap();
    assert_eq!(lines(&findings), [("ARCHITECTURE.md", 3)]);
}

#[test]
fn a_core_that_reads_a_clock_or_a_disk_is_found() {
    for line in [
        "let now = std::time::Instant::now();",
        "use std::time::{Duration, SystemTime};",
        "use std::{fmt, fs};",
        "let x = rand::rng().next_u64();",
        "tokio::spawn(f());",
        "use std::collections::HashMap;",
    ] {
        let text = format!("// Why not.\n{line}\n");
        let found = repo(&[("wire/src/x.rs", &text)]);
        assert_eq!(
            lines(&cores::check(&found)),
            [("wire/src/x.rs", 2)],
            "{line}"
        );
    }
}

#[test]
fn a_core_may_talk_of_clocks_and_test_with_them() {
    let text = "//! Reads no Instant.\nuse std::time::Duration;\n#[cfg(test)]\nmod tests { fn f() { tokio::spawn(g()); } }\n#[cfg(test)]\nmod net;\n#[cfg(test)]\nmod tests;\n";
    let repo = repo(&[
        ("wire/src/lib.rs", text),
        ("wire/src/net.rs", "use std::fs;"),
        ("wire/src/tests.rs", "use std::fs;"),
        ("wire/src/tests/deep.rs", "use std::fs;"),
        ("transport/src/lib.rs", "use tokio::net;"),
    ]);
    assert_eq!(cores::check(&repo), []);
}

#[test]
fn replication_knows_no_engine_and_the_node_takes_time_at_its_ports() {
    let clock = "fn now() { SystemTime::now(); }";
    let repo = repo(&[
        ("replication/src/x.rs", "use folkmoot_storage::RocksStore;"),
        ("node/src/edge/x.rs", clock),
        ("node/src/ports.rs", clock),
    ]);
    assert_eq!(
        lines(&cores::check(&repo)),
        [("node/src/edge/x.rs", 1), ("replication/src/x.rs", 1)]
    );
}

#[test]
fn places_and_unfinished_work_are_found() {
    let place = format!("see {}shared", concat!("/wo", "rk/"));
    let undone = format!("fn f() {{\n    {}) }}\n", concat!("to", "do!("));
    let asleep = format!("{}]\nfn f() {{}}\n", concat!("#[ig", "nore"));
    let talk = format!("// no {}) here\n", concat!("to", "do!("));
    let alone = format!("{}\"x\", f);", concat!("test.on", "ly("));
    let repo = repo(&[
        ("Cargo.lock", &place),
        ("README.md", &place),
        ("a/src/asleep.rs", &asleep),
        ("a/src/talk.rs", &talk),
        ("a/src/undone.rs", &undone),
        ("web/test/alone.mjs", &alone),
    ]);
    assert_eq!(
        lines(&words::check(&repo)),
        [
            ("README.md", 1),
            ("a/src/asleep.rs", 1),
            ("a/src/undone.rs", 2),
            ("web/test/alone.mjs", 1),
        ]
    );
}

#[test]
fn a_panic_without_a_reason_is_found() {
    let text = "fn f() {\n    x.unwrap();\n    // The length was checked above.\n    y.unwrap();\n    z.expect(\"why\"); // never empty\n    w\n        .expect(\"why\");\n}\n#[cfg(test)]\nmod tests;\n";
    let repo = repo(&[
        ("wire/src/x.rs", text),
        ("wire/src/x/tests.rs", text),
        ("node/src/cli/x.rs", text),
    ]);
    assert_eq!(
        lines(&panics::check(&repo)),
        [("wire/src/x.rs", 2), ("wire/src/x.rs", 7)]
    );
}

#[test]
fn what_a_manual_leaves_out_is_found() {
    let keys = "    key(\"data\", \"x\", \"folder\"),\n    secret(\n        \"token\",\n        \"of\",\n    ),\n";
    let codes = "    NotFound = 300, \"not_found\", false, \"no\";\n    Gone = 407, \"gone\", false, \"no\";\n";
    let repo = repo(&[
        ("docs/operating.md", "| `data` | folder |"),
        ("docs/protocol.md", "| 407 | `gone` | no |"),
        ("node/src/config.rs", keys),
        ("wire/src/error.rs", codes),
    ]);
    assert_eq!(
        lines(&docs::check(&repo)),
        [("node/src/config.rs", 2), ("wire/src/error.rs", 1)]
    );
}

#[test]
fn a_path_that_leads_nowhere_is_found() {
    let manual = "See `wire/src/a.rs`, `wire/src/{a,b}.rs`, `wire/`.\n`wire/src/gone.rs`\n[a](../wire/src/a.rs#x) and [b](b.md)\n[c](https://example.org/c)\n";
    let repo = repo(&[("docs/manual.md", manual), ("wire/src/a.rs", "//! A.\n")]);
    assert_eq!(
        lines(&docs::check(&repo)),
        [("docs/manual.md", 2), ("docs/manual.md", 3)]
    );
}

#[test]
fn a_dependency_that_nothing_uses_is_found() {
    let root = "[workspace.dependencies]\nserde-x = \"1\"\nother = \"1\"\n";
    let a = manifest("folkmoot-a", "serde-x.workspace = true\nunused = \"1\"");
    let repo = repo(&[
        ("Cargo.toml", root),
        ("a/Cargo.toml", &a),
        ("a/src/lib.rs", "use serde_x::A; // unused\n"),
    ]);
    let findings = unused::check(&repo).unwrap();
    assert_eq!(lines(&findings), [("a/Cargo.toml", 0), ("Cargo.toml", 0)]);
    assert!(findings[0].what.contains("`unused`") && findings[1].what.contains("`other`"));
}

#[test]
fn a_tidy_repository_has_no_findings() {
    let (a, b) = (
        manifest("folkmoot-a", ""),
        manifest("folkmoot-b", "folkmoot-a.workspace = true"),
    );
    let repo = repo(&[
        ("ARCHITECTURE.md", TABLE),
        ("a/Cargo.toml", &a),
        ("a/src/lib.rs", "//! First.\n"),
        ("b/Cargo.toml", &b),
        ("b/src/lib.rs", "//! Second.\nuse folkmoot_a;\n"),
    ]);
    assert_eq!(check(&repo).unwrap(), []);
}
