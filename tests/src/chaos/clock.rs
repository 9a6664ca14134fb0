//! A node's clock: the system's, put forward or back by libfaketime, which
//! reads by how much from a file while the node runs. The monotonic clock is
//! the system's own.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::enclosure;

/// The clock of one node.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// One that is right.
    ///
    /// # Errors
    /// When the file cannot be written or libfaketime is not there.
    pub fn new(file: PathBuf) -> anyhow::Result<Self> {
        let library = enclosure::faketime()?;
        let clock = Self { file, library };
        clock.set(0)?;
        Ok(clock)
    }

    /// Puts it so many milliseconds forward; negative: back.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, ahead_ms: i64) -> anyhow::Result<()> {
        // Read whole or not at all.
        let fresh = self.file.with_extension("new");
        let sign = if ahead_ms < 0 { '-' } else { '+' };
        let ahead = ahead_ms.unsigned_abs();
        let text = format!("{sign}{}.{:03}\n", ahead / 1_000, ahead % 1_000);
        fs::write(&fresh, text).context("setting a clock")?;
        fs::rename(&fresh, &self.file).context("setting a clock")
    }

    /// What a process needs in its environment to have this clock.
    #[must_use]
    pub fn environment(&self) -> Vec<String> {
        vec![
            format!("LD_PRELOAD={}", self.library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display()),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "FAKETIME_CACHE_DURATION=1".to_owned(),
            "NO_FAKE_STAT=1".to_owned(),
        ]
    }
}
