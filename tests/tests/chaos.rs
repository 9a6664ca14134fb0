//! A slice of `make chaos`: real nodes in namespaces of their own. Without the
//! privileges for that this fails, and says what to do.

use std::process::Command;

#[test]
fn nine_nodes_under_faults_lose_and_double_nothing() {
    let output = Command::new(env!("CARGO_BIN_EXE_folkmoot-chaos"))
        .args(["--node", env!("CARGO_BIN_EXE_folkmoot-under-test")])
        .args(["--seconds", "20", "--seed", "5", "--json"])
        .args([
            "--faults",
            "kill,pause,isolate,mute,loss,no-routes,region-cut,clock-far,disk-full",
        ])
        .output()
        .expect("chaos runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(report["violations"], serde_json::json!([]));
    for seen in [
        "/faults/0/count",
        "/messages/acknowledged",
        "/replay/entries",
        "/entries_read",
    ] {
        let count = report.pointer(seen).and_then(serde_json::Value::as_u64);
        assert!(count.is_some_and(|count| count > 0), "{seen} in {said}");
    }
}
