//! `folkmoot-bench compare`: the workloads that others can do, over many sizes
//! and paces, with all of them beside us: tables and plots in a folder.

mod page;
mod plots;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::child::report::Report;
use crate::child::{self, Said};
use crate::flags::Common;
use crate::progress::Progress;
use crate::run;

/// Flags of `folkmoot-bench compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Tables and plots are written to this folder, which is made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Few sizes and short runs, to see that it works; the figures mean little
    #[arg(long)]
    quick: bool,
    /// Only workloads of these names: fanout, herd, connections, path
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// One workload, and what is run for it.
struct Workload {
    name: &'static str,
    quick: &'static [&'static str],
    long: &'static [&'static str],
}

/// Paces rise: what a host could not take at one is not still under way at the
/// next.
const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "fanout",
        quick: &[
            "fanout --listeners 100,400 --rates 10,100 --seconds 2",
            "fanout --listeners 400 --rates 30 --no-most --seconds 2",
        ],
        long: &[
            "fanout --listeners 250,1000,4000 --rates 10,100 --seconds 8",
            "fanout --listeners 1000 --rates 1,30,300 --no-most --seconds 8",
        ],
    },
    Workload {
        name: "herd",
        quick: &[
            "herd --clients 100 --rounds 1",
            "herd --clients 400 --rounds 1",
        ],
        long: &[
            "herd --clients 250 --rounds 5",
            "herd --clients 1000 --rounds 5",
            "herd --clients 4000 --rounds 3",
        ],
    },
    Workload {
        name: "connections",
        quick: &["connections --quick"],
        long: &["connections"],
    },
    Workload {
        name: "path",
        quick: &["path --quick"],
        long: &["path --runs 3 --seconds 3"],
    },
];

/// Measures and writes.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let chosen = chosen(&options.only)?;
    std::fs::create_dir_all(&options.out).with_context(|| options.out.display().to_string())?;
    let said = run::until_interrupted(measure(options, &chosen))?;
    let written = write(&options.out, &said)?;
    match options.common.json {
        true => println!("{}", serde_json::to_string_pretty(&said)?),
        false => {
            for name in written {
                println!("{}", options.out.join(name).display());
            }
        }
    }
    Ok(())
}

fn chosen(only: &[String]) -> anyhow::Result<Vec<&'static Workload>> {
    if let Some(other) = only
        .iter()
        .find(|name| !WORKLOADS.iter().any(|workload| workload.name == *name))
    {
        let names = WORKLOADS.map(|workload| workload.name);
        bail!(
            "there is no workload {other:?}; there are {}",
            names.join(", ")
        );
    }
    let wanted =
        |workload: &&Workload| only.is_empty() || only.iter().any(|it| it == workload.name);
    Ok(WORKLOADS.iter().filter(wanted).collect())
}

async fn measure(options: &Options, workloads: &[&Workload]) -> anyhow::Result<Vec<Said>> {
    let runs: Vec<&str> = workloads
        .iter()
        .flat_map(|workload| match options.quick {
            true => workload.quick,
            false => workload.long,
        })
        .copied()
        .collect();
    let progress = Progress::show(runs.len());
    let mut said = Vec::new();
    for words in runs {
        progress.step(words);
        said.push(child::run(words, &options.common).await?);
    }
    Ok(said)
}

/// Gives the names of the files.
fn write(out: &Path, said: &[Said]) -> anyhow::Result<Vec<String>> {
    let report = Report::read(said)?;
    let mut written = vec!["compare.json".to_owned(), "compare.md".to_owned()];
    std::fs::write(out.join(&written[0]), serde_json::to_string_pretty(said)?)?;
    let charts = plots::charts(&report);
    let shown = charts
        .iter()
        .map(|(name, chart)| (*name, chart.title.as_str()));
    std::fs::write(out.join(&written[1]), page::page(&report, shown))?;
    for (name, chart) in &charts {
        chart.write(&out.join(name))?;
        written.push((*name).to_owned());
    }
    Ok(written)
}
