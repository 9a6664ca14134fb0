//! One node's process.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

/// What is shown of the log of a node that failed, in bytes.
const LAST_WORDS: u64 = 4_000;

/// A node's process.
pub(super) struct Child {
    program: PathBuf,
    name: String,
    /// Of `start`, without how to join.
    flags: Vec<String>,
    log: PathBuf,
    process: tokio::process::Child,
    starts: u32,
}

impl Child {
    /// With its flags, and those that only its first start has.
    pub(super) fn start(
        program: &Path,
        name: &str,
        (flags, extra): (&[String], &[String]),
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let all: Vec<String> = flags.iter().chain(extra).cloned().collect();
        Ok(Self {
            program: program.to_owned(),
            name: name.to_owned(),
            flags: flags.to_vec(),
            process: spawn(program, "start", &all, &log)?,
            log,
            starts: 1,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Fails when the process has ended, with the end of its log.
    pub(super) fn must_run(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.ended(status)),
        }
    }

    /// Starts the node again when it was killed, and gives what killed it;
    /// fails when it stopped by itself, which it does only when it cannot go
    /// on.
    pub(super) fn keep_alive(&mut self, starts_max: u32) -> anyhow::Result<Option<ExitStatus>> {
        let Some(status) = self.process.try_wait()? else {
            return Ok(None);
        };
        if status.signal().is_none() || self.starts >= starts_max {
            return Err(self.ended(status));
        }
        self.starts += 1;
        self.process = spawn(&self.program, "start", &self.flags, &self.log)?;
        Ok(Some(status))
    }

    fn ended(&self, status: ExitStatus) -> anyhow::Error {
        anyhow!("{} ended ({status})\n{}", self.name, self.last_words())
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(len.saturating_sub(LAST_WORDS)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_else(|error| error.to_string());
        format!("--- {} ---\n{text}\n", self.log.display())
    }

    /// Asks it to stop.
    pub(super) fn terminate(&self) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // An error: it has ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Whether it stopped before `deadline`; else it is killed.
    pub(super) async fn stopped_by(&mut self, deadline: Instant) -> anyhow::Result<bool> {
        if timeout_at(deadline, self.process.wait()).await.is_ok() {
            return Ok(true);
        }
        self.process.kill().await?;
        Ok(false)
    }
}

/// A command of the program, on its own in every way: no setting of ours
/// leaks in, and Ctrl-C in the terminal is ours to pass on.
fn command(program: &Path, what: &str, flags: &[String]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FOLKMOOT_") {
            command.env_remove(name);
        }
    }
    command
        .args([
            "demo",
            "--as-node",
            &std::process::id().to_string(),
            "--",
            what,
        ])
        .args(flags)
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    command
}

fn spawn(
    program: &Path,
    what: &str,
    flags: &[String],
    log: &PathBuf,
) -> anyhow::Result<tokio::process::Child> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| log.display().to_string())?;
    let child = command(program, what, flags)
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn();
    child.context("starting a node")
}

/// Runs a command to its end.
pub(super) async fn run(program: &Path, what: &str, flags: &[String]) -> anyhow::Result<()> {
    let output = command(program, what, flags)
        .output()
        .await
        .context("starting a node")?;
    if !output.status.success() {
        bail!("{what} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// This process becomes a node that does not outlive the demo, even when that
/// is killed.
pub(in super::super) fn become_node(demo: u32, args: &[String]) -> anyhow::Error {
    let become_it = || -> anyhow::Result<std::convert::Infallible> {
        set_parent_process_death_signal(Some(Signal::TERM)).context("following the demo's end")?;
        // It may have ended before.
        let parent = getppid().map(|pid| pid.as_raw_nonzero().get());
        if parent.and_then(|pid| u32::try_from(pid).ok()) != Some(demo) {
            bail!("the demo has ended");
        }
        let program = std::env::current_exe().context("the path of this program")?;
        Err(std::process::Command::new(program).args(args).exec().into())
    };
    match become_it() {
        Ok(never) => match never {},
        Err(error) => error,
    }
}
