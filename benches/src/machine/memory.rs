//! What servers and the kernel hold, by the system's accounts.

#[cfg(test)]
mod tests;

use anyhow::Context;

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Of the processes: pages shared with others count in part (PSS).
    pub(crate) server: u64,
    /// Of the kernel's slabs, sockets among them.
    pub(crate) slab: u64,
}

impl Memory {
    /// Of these processes, now.
    pub(crate) fn of(pids: &[u32]) -> anyhow::Result<Self> {
        let mut server = 0;
        for pid in pids {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
            server += kib(&text, "Pss:").with_context(|| path.clone())? * 1024;
        }
        let text = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
        let slab = kib(&text, "Slab:").context("/proc/meminfo")? * 1024;
        Ok(Self { server, slab })
    }
}

/// The number of the line that begins so.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
