//! One machine: a place in the network, a disk, a clock, and a real node.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_node::cli::Api;
use folkmoot_node::demo::cluster::Place;
use folkmoot_node::demo::regions;
use folkmoot_node::demo::wan::Wan;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::clock::Clock;
use super::disk::Disk;
use super::lab::Space;
use super::wide::Front;

/// Every node has all ports to itself.
pub const SERVICE: u16 = 7443;
const GOSSIP: u16 = 7444;
const ADMIN: u16 = 7445;
const LOOK: Duration = Duration::from_millis(50);
/// A node answers its admin API within this time, or is not there.
const ANSWER: Duration = Duration::from_secs(2);
const ENDS: Duration = Duration::from_secs(30);

/// A machine.
pub struct Machine {
    /// Where it stands.
    pub space: Space,
    /// Its disk.
    pub disk: Disk,
    /// Its clock.
    pub clock: Clock,
    /// What its node says.
    pub log: PathBuf,
    front: Front,
    /// Where the certificate for clients is kept, apart from the data.
    certificate: [PathBuf; 2],
    process: Mutex<Option<Child>>,
    /// Bytes of its data were changed, and it has not been joined anew.
    damaged: AtomicBool,
}

impl Machine {
    /// Makes one; nothing runs on it yet.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn make(space: Space, folder: &Path, wan: &Arc<Wan>) -> anyhow::Result<Self> {
        let own = folder.join(&space.name);
        fs::create_dir_all(&own)?;
        let at = |port| SocketAddr::from((space.ip, port));
        wan.place(at(SERVICE), space.region);
        wan.place(at(GOSSIP), space.region);
        Ok(Self {
            disk: Disk::make(own.join("disk"))?,
            clock: Clock::new(own.join("clock"))?,
            log: folder.join(format!("{}.log", space.name)),
            front: Front::open(wan, &space, at(SERVICE), at(GOSSIP))?,
            certificate: [own.join("edge.crt"), own.join("edge.key")],
            process: Mutex::default(),
            damaged: AtomicBool::new(false),
            space,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.space.name
    }

    fn at(&self, port: u16) -> SocketAddr {
        (self.space.ip, port).into()
    }

    /// Whether bytes of its data were changed.
    pub fn set_damaged(&self, damaged: bool) {
        self.damaged.store(damaged, Ordering::Relaxed);
    }

    /// Whether its node has found changed bytes and ended.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        let failed = |ended: Option<ExitStatus>| ended.is_some_and(|status| !status.success());
        self.damaged.load(Ordering::Relaxed) && self.ended().is_ok_and(failed)
    }

    /// For clients.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.at(SERVICE)
    }

    /// As the people know it.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn place(&self) -> anyhow::Result<Place> {
        Ok(Place {
            name: self.space.name.clone(),
            region: self.space.region,
            folder: self.disk.data(),
            listen: self.listen(),
            gossip: self.at(GOSSIP),
            admin: self.at(ADMIN),
            api: Api::at(self.at(ADMIN), true)?,
        })
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("--data={}", self.disk.data().display()),
            format!("--name={}", self.space.name),
            format!("--region={}", regions::NAMES[self.space.region]),
            format!("--listen={}", self.listen()),
            format!("--gossip={}", self.at(GOSSIP)),
            format!("--admin={}", self.at(ADMIN)),
            format!("--advertise={}", self.front.quic),
            format!("--advertise-gossip={}", self.front.gossip),
            "--swim=lan".to_owned(),
            "--follow=full".to_owned(),
            "--shards=2".to_owned(),
            "--voters=3".to_owned(),
            "--replace-after=10".to_owned(),
        ];
        let [certificate, key] = &self.certificate;
        if certificate.exists() {
            flags.push(format!("--certificate={}", certificate.display()));
            flags.push(format!("--certificate-key={}", key.display()));
        }
        flags
    }

    fn command(&self, node: &Path, what: &str, extra: &[String]) -> anyhow::Result<Command> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.space.file().display()));
        command.arg("env").args(self.clock.environment());
        command.arg(node).arg(what).args(self.flags()).args(extra);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FOLKMOOT_") {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }

    /// `folkmoot init`.
    ///
    /// # Errors
    /// When it fails.
    pub fn init(&self, node: &Path) -> anyhow::Result<()> {
        let status = self.command(node, "init", &[])?.status()?;
        if !status.success() {
            bail!("init: {status}; see {}", self.log.display());
        }
        Ok(())
    }

    /// Starts `node` on it.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn start(&self, node: &Path, extra: &[String]) -> anyhow::Result<()> {
        // An error: there was none.
        let _ = fs::remove_file(self.disk.data().join("running.json"));
        let child = self.command(node, "start", extra)?.spawn()?;
        *self.process.lock() = Some(child);
        Ok(())
    }

    /// Keeps the certificate that it made for itself, so that clients know it
    /// again after its data is gone.
    ///
    /// # Errors
    /// When there is none.
    pub fn keep_certificate(&self) -> anyhow::Result<()> {
        for path in &self.certificate {
            let name = path.file_name().context("a file's name")?;
            fs::copy(self.disk.data().join(name), path).context("the node's certificate")?;
        }
        Ok(())
    }

    /// Sends its node a signal.
    ///
    /// # Errors
    /// When none runs.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let held = self.process.lock();
        let child = held.as_ref().context("no node runs")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process without number")?, signal)?;
        Ok(())
    }

    /// The binary that its node is.
    ///
    /// # Errors
    /// When none runs.
    pub fn runs(&self) -> anyhow::Result<PathBuf> {
        let held = self.process.lock();
        let child = held.as_ref().context("no node runs")?;
        Ok(fs::read_link(format!("/proc/{}/exe", child.id()))?)
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&self) -> anyhow::Result<()> {
        if self.ended()?.is_none() {
            self.signal(Signal::KILL)?;
        }
        self.end().await.map(drop)
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.end().await
    }

    /// How its node ended, if it has.
    ///
    /// # Errors
    /// When none was started.
    pub fn ended(&self) -> anyhow::Result<Option<ExitStatus>> {
        let mut held = self.process.lock();
        let child = held.as_mut().context("no node was started")?;
        Ok(child.try_wait()?)
    }

    /// Waits until its node has ended.
    ///
    /// # Errors
    /// When it does not.
    pub async fn end(&self) -> anyhow::Result<ExitStatus> {
        self.ends_within(ENDS)
            .await?
            .with_context(|| format!("{} does not end", self.name()))
    }

    /// How its node ends within some time; `None`: it does not.
    ///
    /// # Errors
    /// When none was started.
    pub async fn ends_within(&self, time: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let end = Instant::now() + time;
        loop {
            let ended = self.ended()?;
            if ended.is_some() || Instant::now() > end {
                return Ok(ended);
            }
            sleep(LOOK).await;
        }
    }

    /// Whether it says that it is ready; else what it says.
    pub async fn ready(&self) -> Result<(), String> {
        let asked = timeout(ANSWER, get(self.at(ADMIN), "/readyz")).await;
        let answer = asked.map_err(|_| "no answer".to_owned())?;
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.split(' ').nth(1) {
            Some("200") => Ok(()),
            _ => Err(answer.lines().last().unwrap_or_default().to_owned()),
        }
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it has ended, or is not within this time, with what it says.
    pub async fn becomes_ready(&self, within: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + within;
        loop {
            if let Some(status) = self.ended()? {
                bail!("{} ended ({status}): {}", self.name(), self.last_words());
            }
            match self.ready().await {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() > end => {
                    bail!("{} is not ready within {within:?}: {why}", self.name());
                }
                Err(_) => sleep(LOOK).await,
            }
        }
    }

    /// Waits until it says that it is not ready, and why.
    ///
    /// # Errors
    /// When it does not within this time.
    pub async fn becomes_unready(&self, within: Duration) -> anyhow::Result<String> {
        let end = Instant::now() + within;
        loop {
            match self.ready().await {
                Err(why) => return Ok(why),
                Ok(()) if Instant::now() > end => {
                    bail!("{} is ready all the same after {within:?}", self.name());
                }
                Ok(()) => sleep(LOOK).await,
            }
        }
    }

    /// The last line of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().last().unwrap_or_default().to_owned()
    }
}

async fn get(addr: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET {path} HTTP/1.0\r\nhost: node\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
