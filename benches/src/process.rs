//! Servers as processes: pinned to their core, and gone when this one is.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::machine::pin_this_thread;

/// A server stops by itself within this time, or it is killed.
const GRACE: Duration = Duration::from_secs(20);
/// What is shown of the log of a server that failed, in bytes.
const LAST_WORDS: u64 = 4_000;
/// Between two looks at a server that is not ready yet.
const EVERY: Duration = Duration::from_millis(50);
/// A server that is not ready after this time has failed.
const READY: Duration = Duration::from_secs(60);

/// A server's process. Killed when dropped, and dropped only when it is gone:
/// nobody writes to its folder any more.
pub(crate) struct Server {
    name: String,
    log: PathBuf,
    process: tokio::process::Child,
}

impl Server {
    /// Starts `program`, with what it prints in a file of `folder`.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        args: &[String],
        folder: &Path,
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| log.display().to_string())?;
        let own = std::env::current_exe().context("the path of this program")?;
        let mut command = clean(&own);
        command.arg("as-server");
        if let Some(core) = core {
            command.arg(format!("--core={core}"));
        }
        let process = command
            .arg(format!("--parent={}", std::process::id()))
            .arg("--")
            .arg(program)
            .args(args)
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self {
            name: name.to_owned(),
            log,
            process,
        })
    }

    /// Its number; `None` when it has ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        let killed = self.process.kill().await;
        killed.with_context(|| format!("killing {}", self.name))
    }

    /// Fails when the process has ended, with the end of its log.
    pub(crate) fn must_run(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status})\n{}", self.name, self.last_words()),
        }
    }

    fn last_words(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(len.saturating_sub(LAST_WORDS)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_else(|error| error.to_string())
    }

    /// Asks it to stop, and kills it when it does not.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // An error: it has ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(GRACE, self.process.wait()).await.is_err() {
            self.process.kill().await?;
            bail!(
                "{} did not stop within {} s and was killed\n{}",
                self.name,
                GRACE.as_secs(),
                self.last_words()
            );
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error: it has ended already.
        let _ = self.process.start_kill();
        let give_up = Instant::now() + GRACE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Waits until `ready` says so, and no server has ended. `ready` gives what is
/// still missing.
pub(crate) async fn until<F>(
    servers: &mut [Server],
    mut ready: impl FnMut() -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Option<String>>>,
{
    let give_up = tokio::time::Instant::now() + READY;
    loop {
        for server in &mut *servers {
            server.must_run()?;
        }
        let missing = match ready().await {
            Ok(None) => return Ok(()),
            Ok(Some(missing)) => missing,
            Err(error) => format!("{error:#}"),
        };
        if tokio::time::Instant::now() > give_up {
            let words: Vec<String> = servers.iter().map(Server::last_words).collect();
            bail!(
                "not ready after {} s: {missing}\n{}",
                READY.as_secs(),
                words.join("\n")
            );
        }
        sleep(EVERY).await;
    }
}

/// Runs a command to its end and gives what it printed.
pub(crate) async fn output(program: &Path, args: &[String]) -> anyhow::Result<String> {
    let output = clean(program)
        .args(args)
        .output()
        .await
        .with_context(|| format!("running {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(anyhow!("{} failed: {said}", program.display()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command that none of our settings leaks into.
fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FOLKMOOT_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// This process becomes a server on `core` that does not outlive `parent`,
/// even when that is killed.
pub(crate) fn become_server(
    core: Option<usize>,
    parent: u32,
    command: &[OsString],
) -> anyhow::Error {
    let become_it = || -> anyhow::Result<std::convert::Infallible> {
        set_parent_process_death_signal(Some(Signal::TERM)).context("following the end")?;
        // It may have ended before.
        let now = getppid().map(|pid| pid.as_raw_nonzero().get());
        if now.and_then(|pid| u32::try_from(pid).ok()) != Some(parent) {
            bail!("the benchmark has ended");
        }
        if let Some(core) = core {
            pin_this_thread(core)?;
        }
        let (program, args) = command.split_first().context("no command")?;
        let error = std::process::Command::new(program).args(args).exec();
        Err(error).with_context(|| program.to_string_lossy().into_owned())
    };
    match become_it() {
        Ok(never) => match never {},
        Err(error) => error,
    }
}
