//! One core for all servers, another for the load generator.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Whose core is which. Nobody is pinned where there is only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cores {
    pub(crate) server: Option<usize>,
    pub(crate) generator: Option<usize>,
    /// How many this process may use.
    pub(crate) usable: usize,
}

impl Cores {
    /// The first two that this process may use.
    pub(crate) fn choose() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None).context("asking which cores may be used")?;
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|core| allowed.is_set(*core))
            .collect();
        let (server, generator) = match allowed[..] {
            [first, second, ..] => (Some(first), Some(second)),
            _ => (None, None),
        };
        Ok(Self {
            server,
            generator,
            usable: allowed.len(),
        })
    }
}

/// Pins the calling thread, and with it the threads and processes that it
/// starts later.
pub(crate) fn pin_this_thread(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("pinning to core {core}"))
}
