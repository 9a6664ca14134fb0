//! The benchmark as a process, against a node as a process.

use std::process::Command;

use serde_json::Value;

/// Small, and the whole way: a cluster is made, groups, sixteen users; every
/// message is committed and delivered once; nothing is left behind.
#[test]
fn the_benchmark_measures_a_real_node() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_folkmoot-bench-under-test"))
        .args(["path", "--json", "--only", "folkmoot", "--replicas", "1"])
        .args(["--runs", "1", "--seconds", "0.3", "--groups", "3"])
        .arg("--folkmoot")
        .arg(env!("CARGO_BIN_EXE_folkmoot-under-test"))
        .arg("--data")
        .arg(folder.path())
        .output()
        .expect("the benchmark runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let row = &report["rows"][0];
    assert_eq!(row["peer"], "folkmoot");
    assert_eq!(row["replicas"], 1);
    let cells = row["cells"].as_array().expect("measurements");
    assert_eq!(cells.len(), 5);
    for cell in cells {
        for figure in cell["figures"].as_array().expect("figures") {
            assert!(figure["median"].as_f64() > Some(0.0), "{cell}");
        }
        assert!(cell["server_cpu"]["median"].as_f64().is_some(), "{cell}");
    }
    let left = std::fs::read_dir(folder.path())
        .expect("the folder")
        .count();
    assert_eq!(left, 0, "the benchmark leaves nothing behind");
}
