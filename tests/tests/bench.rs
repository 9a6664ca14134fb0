//! The benchmark as a process, against a node as a process.

use std::process::Command;

use serde_json::Value;

/// A report of the benchmark `args`, in JSON.
fn report(args: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_folkmoot-bench-under-test"))
        .args(args)
        .arg("--json")
        .arg("--folkmoot")
        .arg(env!("CARGO_BIN_EXE_folkmoot-under-test"))
        .arg("--data")
        .arg(folder.path())
        .output()
        .expect("the benchmark runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let left = std::fs::read_dir(folder.path()).expect("the folder");
    assert_eq!(left.count(), 0, "the benchmark leaves nothing behind");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Small, and the whole way: a cluster is made, groups, sixteen users; every
/// message is committed and delivered once; nothing is left behind.
#[test]
fn the_benchmark_measures_a_real_node() {
    let args = ["path", "--only", "folkmoot", "--replicas", "1"];
    let size = ["--runs", "1", "--seconds", "0.3", "--groups", "3"];
    let report = report(&[&args[..], &size].concat());
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
}

#[test]
fn all_who_listen_hear_all_that_is_said() {
    let hosts = "websocket,websocket-no-window,quic,floor-tcp,floor-tls,floor-quic";
    let args = ["fanout", "--only", hosts, "--listeners", "20"];
    let report = report(&[&args[..], &["--rates", "50", "--seconds", "1"]].concat());
    let cells = report["cells"].as_array().expect("measurements");
    assert_eq!(cells.len(), 12);
    for cell in cells {
        assert_eq!(cell["lost"], 0, "{cell}");
        assert!(cell["deliveries_per_second"].as_f64() > Some(0.0), "{cell}");
        assert!(cell["delay_ms"]["p99"].as_f64() > Some(0.0), "{cell}");
    }
}

#[test]
fn connections_that_do_nothing_stay_and_are_weighed() {
    let args = [
        "connections",
        "--quick",
        "--only",
        "websocket,quic,floor-tcp",
    ];
    let report = report(&[&args[..], &["--connections", "30", "--groups", "3"]].concat());
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert!(row["empty"].as_u64() > Some(0), "{row}");
    }
}
