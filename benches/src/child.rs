//! A measurement as a process of this program of its own, as it is when it is
//! run alone.

pub(crate) mod report;

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;
use tokio::process::Command;

use crate::flags::Common;

/// What it says.
#[derive(Debug, Serialize)]
pub(crate) struct Said {
    pub(crate) command: String,
    pub(crate) seconds: f64,
    pub(crate) report: Value,
}

#[cfg(test)]
impl Said {
    /// As if a command had said this.
    pub(crate) fn made(command: &str, mut report: Value) -> Self {
        report["machine"] = serde_json::json!({
            "cpu": "a machine", "cores": 2, "kernel": "6", "server_core": 0,
            "generator_core": 1, "on_disk": true,
        });
        Self {
            command: command.to_owned(),
            seconds: 1.0,
            report,
        }
    }
}

/// Runs it with these words and `--json`, and with the flags that all have.
pub(crate) async fn run(words: &str, common: &Common) -> anyhow::Result<Said> {
    let program = std::env::current_exe().context("the path of this program")?;
    let mut args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let given = |flag: &str, path: Option<&Path>| {
        let path = path.map(|path| [flag.to_owned(), path.display().to_string()]);
        path.into_iter().flatten()
    };
    args.extend(given("--data", common.data.as_deref()));
    args.extend(given("--folkmoot", common.folkmoot.as_deref()));
    let start = Instant::now();
    let ran = Command::new(program)
        .args(&args)
        .arg("--json")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    let command = format!("folkmoot-bench {}", args.join(" "));
    if !ran.status.success() {
        bail!("{command} ended with {}", ran.status);
    }
    let report = serde_json::from_slice(&ran.stdout);
    Ok(Said {
        seconds: start.elapsed().as_secs_f64(),
        report: report.with_context(|| format!("what {command} says"))?,
        command,
    })
}
