//! `folkmoot-bench all`: every figure that is wanted, beside what others and
//! the bare loops take in the same run. Each part is a process of this program
//! of its own, as it is when it is run alone.

mod parts;
mod rows;
mod table;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;
use tokio::process::Command;

use crate::flags::Common;
use crate::progress::Progress;
use crate::run;
use parts::Part;
use rows::Row;

/// Flags of `folkmoot-bench all`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Short runs: under ten minutes in all; figures of long ones vary less
    #[arg(long)]
    quick: bool,
    /// Only parts of these names
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Everything.
#[derive(Debug, Serialize)]
struct Report {
    quick: bool,
    seconds: f64,
    rows: Vec<Row>,
    /// What each part says by itself, with the machine and all settings.
    parts: Vec<Said>,
}

/// What a part says.
#[derive(Debug, Serialize)]
struct Said {
    part: &'static str,
    command: String,
    seconds: f64,
    report: Value,
}

/// Measures and prints. This process is pinned nowhere: its parts would find no
/// second core. A figure that is not reached is no failure of the
/// program; a part that does not run is.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let report = run::until_interrupted(measure(options))?;
    match options.common.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => table::print(&report),
    }
    Ok(())
}

async fn measure(options: &Options) -> anyhow::Result<Report> {
    let parts = chosen(options)?;
    let program = std::env::current_exe().context("the path of this program")?;
    let start = Instant::now();
    let progress = Progress::show(parts.len());
    let (mut rows, mut said) = (Vec::new(), Vec::new());
    for part in parts {
        progress.step(part.name);
        let one = run_part(&program, part, options).await;
        let one = one.with_context(|| format!("the part {}", part.name))?;
        let found = (part.rows)(&one.report);
        rows.extend(found.with_context(|| format!("the report of {}", part.name))?);
        said.push(one);
    }
    drop(progress);
    Ok(Report {
        quick: options.quick,
        seconds: start.elapsed().as_secs_f64(),
        rows,
        parts: said,
    })
}

fn chosen(options: &Options) -> anyhow::Result<Vec<&'static Part>> {
    for name in &options.only {
        if !parts::ALL.iter().any(|part| part.name == name) {
            let names: Vec<_> = parts::ALL.iter().map(|part| part.name).collect();
            bail!("there is no part {name:?}; there are {}", names.join(", "));
        }
    }
    let wanted =
        |part: &&Part| options.only.is_empty() || options.only.iter().any(|only| only == part.name);
    Ok(parts::ALL.iter().filter(wanted).collect())
}

async fn run_part(program: &PathBuf, part: &Part, options: &Options) -> anyhow::Result<Said> {
    let mut args: Vec<String> = part.args(options.quick).map(str::to_owned).collect();
    let common = [
        ("--data", &options.common.data),
        ("--folkmoot", &options.common.folkmoot),
    ];
    for (flag, path) in common {
        if let Some(path) = path {
            args.extend([flag.to_owned(), path.display().to_string()]);
        }
    }
    let start = Instant::now();
    let ran = Command::new(program)
        .args(&args)
        .arg("--json")
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !ran.status.success() {
        bail!("it ended with {}", ran.status);
    }
    Ok(Said {
        part: part.name,
        command: format!("folkmoot-bench {}", args.join(" ")),
        seconds: start.elapsed().as_secs_f64(),
        report: serde_json::from_slice(&ran.stdout).context("its answer")?,
    })
}
