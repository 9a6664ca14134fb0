//! `folkmoot-bench all`: every figure that is wanted, beside what others and
//! the bare loops take in the same run. Each part is a process of this program
//! of its own, as it is when it is run alone.

mod parts;
mod rows;
mod table;

use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::child;
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
    #[serde(flatten)]
    said: child::Said,
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
    let start = Instant::now();
    let progress = Progress::show(parts.len());
    let (mut rows, mut said) = (Vec::new(), Vec::new());
    for part in parts {
        progress.step(part.name);
        let one = child::run(part.words(options.quick), &options.common).await;
        let one = one.with_context(|| format!("the part {}", part.name))?;
        let found = (part.rows)(&one.report);
        rows.extend(found.with_context(|| format!("the report of {}", part.name))?);
        said.push(Said {
            part: part.name,
            said: one,
        });
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
