//! Programs of the system that this is made with.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};

/// Runs a program to its end and gives what it printed.
///
/// # Errors
/// When it is not there or fails, with what it said.
pub fn run<S: AsRef<str>>(program: &str, args: &[S]) -> anyhow::Result<String> {
    let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
    let output = Command::new(program)
        .args(&args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {program}"))?;
    judged(&format!("{program} {}", args.join(" ")), &output)
}

/// Runs a program in a network namespace, and gives it `input` to read.
///
/// # Errors
/// As [`run`].
pub fn feed_inside(space: &Path, program: &str, args: &[&str], input: &str) -> anyhow::Result<()> {
    let mut child = Command::new("nsenter")
        .arg(format!("--net={}", space.display()))
        .arg(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("running nsenter")?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    judged(program, &child.wait_with_output()?).map(drop)
}

fn judged(what: &str, output: &Output) -> anyhow::Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{what}: {} ({})", said.trim(), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
