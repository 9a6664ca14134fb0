//! One run of this program beside servers: on its own core, in a folder of its
//! own, and nothing left of either when it is interrupted.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::machine::{Cores, pin_this_thread};

/// Measures on the generator's core, which is one thread, until that is done
/// or the program is interrupted. What is dropped on the way kills its servers
/// and removes its folder.
pub(crate) fn on_its_core<R>(
    measure: impl AsyncFnOnce(Cores) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    let cores = Cores::choose()?;
    if let Some(core) = cores.generator {
        pin_this_thread(core)?;
    }
    folkmoot_node::demo::ports::raise_open_files()?;
    until_interrupted(measure(cores))
}

/// Does it on one thread, until it is done or the program is interrupted.
pub(crate) fn until_interrupted<R>(
    measure: impl Future<Output = anyhow::Result<R>>,
) -> anyhow::Result<R> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            biased;
            _ = terminate.recv() => bail!("interrupted"),
            _ = interrupt.recv() => bail!("interrupted"),
            report = measure => report,
        }
    })
}

/// The same, and what came of it: as JSON, or for people.
pub(crate) fn printed<R: Serialize>(
    json: bool,
    measure: impl AsyncFnOnce(Cores) -> anyhow::Result<R>,
    print: impl FnOnce(&R),
) -> anyhow::Result<R> {
    let report = on_its_core(measure)?;
    match json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print(&report),
    }
    Ok(report)
}

/// A new folder for all servers, inside `base` or where temporary files go.
pub(crate) fn folder(base: Option<&Path>) -> anyhow::Result<TempDir> {
    let base = base.map_or_else(std::env::temp_dir, Path::to_owned);
    tempfile::Builder::new()
        .prefix("folkmoot-bench-")
        .tempdir_in(&base)
        .with_context(|| base.display().to_string())
}

/// A folder of one peer that goes when its turn ends.
pub(crate) struct Clean<'a>(pub(crate) &'a Path);

impl Drop for Clean<'_> {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(self.0) {
            eprintln!("{} could not be removed: {error}", self.0.display());
        }
    }
}
