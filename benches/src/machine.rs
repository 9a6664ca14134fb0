//! The machine: which core is whose, and what was used of it.

mod cores;
mod cpu;
mod memory;

pub(crate) use cores::{Cores, pin_this_thread};
pub(crate) use cpu::{Limit, Meter, Usage};
pub(crate) use memory::Memory;

use std::path::Path;

use serde::{Deserialize, Serialize};

/// `f_type` of a file system in memory: nothing there is ever synced.
const TMPFS: i64 = 0x0102_1994;

/// What the figures were measured on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Core of all servers; none: not pinned.
    pub(crate) server_core: Option<usize>,
    /// Core of the load generator.
    pub(crate) generator_core: Option<usize>,
    /// Whether the servers' folders are on a disk at all.
    pub(crate) on_disk: bool,
}

impl Machine {
    /// This one, with the servers' data in `folder`.
    pub(crate) fn here(cores: &Cores, folder: &Path) -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == "model name").then(|| value.trim().to_owned())
        });
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: cores.usable,
            kernel: kernel.trim().to_owned(),
            server_core: cores.server,
            generator_core: cores.generator,
            on_disk: rustix::fs::statfs(folder).is_ok_and(|found| found.f_type != TMPFS),
        }
    }
}
