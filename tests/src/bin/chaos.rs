//! `make chaos`: a cluster of real nodes under faults.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use folkmoot_tests::chaos::options::Options;
use folkmoot_tests::chaos::report::Report;
use folkmoot_tests::chaos::{enclosure, run};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    match chaos() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn chaos() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    options.check()?;
    let seed = options.seed.unwrap_or_else(rand::random);
    enclosure::enter()?;
    folkmoot_node::demo::ports::raise_open_files()?;
    // Fails only when a provider is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = Folder::make(options.report.as_deref())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            biased;
            _ = terminate.recv() => anyhow::bail!("interrupted"),
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            report = run::run(&options, seed, folder.path()) => report,
        }
    });
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let kept = folder.keep();
            return Err(error).with_context(|| format!("seed {seed}; logs: {}", kept.display()));
        }
    };
    tell(report, folder, options.json)
}

/// Prints the report and keeps it beside the logs, unless all went well and
/// nobody asked for them.
fn tell(mut report: Report, folder: Folder, json: bool) -> anyhow::Result<ExitCode> {
    let ok = report.ok;
    let kept = (!ok || folder.is_wanted()).then(|| folder.keep());
    report.evidence = kept.as_ref().map(|kept| kept.display().to_string());
    let as_json = serde_json::to_string_pretty(&report)?;
    if let Some(kept) = kept {
        std::fs::write(kept.join("report.json"), &as_json).context("the report")?;
        std::fs::write(kept.join("report.txt"), report.to_string()).context("the report")?;
    }
    match json {
        true => println!("{as_json}"),
        false => print!("{report}"),
    }
    Ok(ExitCode::from(u8::from(!ok)))
}

/// Where logs and disks lie.
enum Folder {
    Asked(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn make(asked: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = asked else {
            let folder = tempfile::Builder::new().prefix("folkmoot-chaos-").tempdir();
            return Ok(Self::Temporary(folder.context("a temporary folder")?));
        };
        std::fs::create_dir_all(path).with_context(|| path.display().to_string())?;
        if std::fs::read_dir(path)?.next().is_some() {
            anyhow::bail!("{} is not empty: name a new folder", path.display());
        }
        Ok(Self::Asked(std::fs::canonicalize(path)?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Asked(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    fn is_wanted(&self) -> bool {
        matches!(self, Self::Asked(_))
    }

    fn keep(self) -> PathBuf {
        match self {
            Self::Asked(path) => path,
            Self::Temporary(folder) => folder.keep(),
        }
    }
}
