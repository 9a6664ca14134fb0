//! Chores of the repository that a shell script would do badly.
//! `cargo xtask tidy` checks the rules that no compiler knows.

mod code;
mod repo;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args != ["tidy"] {
        bail!("usage: cargo xtask tidy");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in the repository")?;
    let repo = repo::Repo::read(root)?;
    let findings = tidy::check(&repo)?;
    for finding in &findings {
        println!("{finding}");
    }
    println!(
        "tidy: {} files, {} findings",
        repo.files.len(),
        findings.len()
    );
    Ok(findings.is_empty())
}
