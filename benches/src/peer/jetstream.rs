//! NATS JetStream: a durable log, replicated by Raft. One stream takes all
//! subjects; each message has an id for dedup.

mod install;
mod lasting;
mod protocol;
mod session;
mod shelf;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use async_trait::async_trait;
use folkmoot_node::demo::ports::Ports;
use serde_json::{Value, json};

use super::{Peer, Publisher, Replicated, Servers, Setup, Subscriber, Tag, target_names};
use crate::process::{self, Server};
use lasting::Lasting;
use session::{Receiver, Sender, Session};
pub(crate) use shelf::JetStreamShelf;

const STREAM: &str = "BENCH";
/// Making a consumer after servers died may take this long.
const CONSUMER: Duration = Duration::from_secs(60);

/// The peer.
pub(crate) struct JetStream {
    program: Option<PathBuf>,
}

impl JetStream {
    pub(crate) fn new(program: Option<PathBuf>) -> Self {
        Self { program }
    }
}

#[async_trait]
impl Peer for JetStream {
    fn name(&self) -> &'static str {
        "jetstream"
    }

    fn replicas(&self) -> &'static [usize] {
        &[1, 3]
    }

    fn durability(&self, replicas: usize) -> String {
        let of = match replicas {
            1 => "its one server",
            _ => "a majority of its servers, each of which syncs every write",
        };
        format!(
            "file storage, sync_interval: always: acknowledged after fsync on {of}; dedup by Nats-Msg-Id"
        )
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        let (program, version) = prepare(self.program.take()).await?;
        self.program = Some(program);
        Ok(version)
    }

    async fn start(&self, setup: &Setup) -> anyhow::Result<Box<dyn Servers>> {
        Ok(Box::new(self.run(setup).await?))
    }

    async fn start_replicated(&self, setup: &Setup) -> anyhow::Result<Box<dyn Replicated>> {
        Ok(Box::new(self.run(setup).await?))
    }
}

/// Finds the server or installs it; gives its path and its version.
pub(crate) async fn prepare(program: Option<PathBuf>) -> anyhow::Result<(PathBuf, String)> {
    let program = match program {
        Some(program) => program,
        None => install::nats_server().await?,
    };
    let said = process::output(&program, &["--version".to_owned()]).await?;
    let version = said.trim().rsplit(' ').next().unwrap_or("unknown");
    Ok((program, version.trim_start_matches('v').to_owned()))
}

impl JetStream {
    async fn run(&self, setup: &Setup) -> anyhow::Result<Running> {
        let program = self.program.as_ref().context("not prepared")?;
        let mut ports = Ports::new(std::process::id());
        let mut addrs = Vec::new();
        for _ in 0..setup.replicas {
            addrs.push((ports.free()?, ports.free()?));
        }
        let mut servers = Vec::new();
        for at in 0..setup.replicas {
            std::fs::write(config_file(at, setup), config(at, &addrs, setup))?;
            servers.push(server(program, at, setup)?);
        }
        let clients: Vec<SocketAddr> = addrs.iter().map(|(client, _)| *client).collect();
        let first = clients[0];
        process::until(&mut servers, || async move { missing(first).await }).await?;
        make_stream(first, &mut servers, setup.replicas).await?;
        Ok(Running {
            servers,
            clients,
            targets: target_names(setup.targets),
            program: program.clone(),
            setup: setup.clone(),
        })
    }
}

fn config_file(at: usize, setup: &Setup) -> PathBuf {
    setup.folder.join(format!("{}.conf", server_name(at)))
}

fn server(program: &Path, at: usize, setup: &Setup) -> anyhow::Result<Server> {
    let config = config_file(at, setup).display().to_string();
    let args = ["--config".to_owned(), config];
    Server::start(&server_name(at), program, &args, &setup.folder, setup.core)
}

fn server_name(at: usize) -> String {
    format!("nats-{}", at + 1)
}

fn config(at: usize, addrs: &[(SocketAddr, SocketAddr)], setup: &Setup) -> String {
    let (client, cluster) = addrs[at];
    let name = server_name(at);
    let store = setup.folder.join(&name);
    let mut text = format!(
        "server_name: {name}\nlisten: \"{client}\"\n\
         jetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
        store.display()
    );
    if addrs.len() > 1 {
        let routes: Vec<String> = addrs
            .iter()
            .map(|(_, cluster)| format!("\"nats://{cluster}\""))
            .collect();
        text += &format!(
            "cluster {{ name: bench, listen: \"{cluster}\", routes: [{}] }}\n",
            routes.join(", ")
        );
    }
    text
}

/// What JetStream still needs to be there.
async fn missing(addr: SocketAddr) -> anyhow::Result<Option<String>> {
    let mut session = Session::connect(addr).await?;
    let answer = session.ask("$JS.API.INFO", b"").await?;
    Ok(refusal(&answer))
}

fn refusal(answer: &Value) -> Option<String> {
    answer
        .get("error")
        .map(|error| error["description"].to_string())
}

/// Makes the stream; in a cluster that takes until enough servers are there.
async fn make_stream(
    addr: SocketAddr,
    servers: &mut [Server],
    replicas: usize,
) -> anyhow::Result<()> {
    let config = json!({
        "name": STREAM,
        "subjects": ["bench.*"],
        "storage": "file",
        "retention": "limits",
        "num_replicas": replicas,
        "allow_direct": true,
    })
    .to_string();
    let config = &config;
    process::until(servers, || async move {
        let mut session = Session::connect(addr).await?;
        let subject = format!("$JS.API.STREAM.CREATE.{STREAM}");
        let answer = session.ask(&subject, config.as_bytes()).await?;
        Ok(refusal(&answer))
    })
    .await?;
    wait_whole(addr, servers, replicas).await
}

/// Waits until the stream has a leader, and all its replicas are up to date.
async fn wait_whole(
    addr: SocketAddr,
    servers: &mut [Server],
    replicas: usize,
) -> anyhow::Result<()> {
    process::until(servers, || async move {
        let info = info(addr).await?;
        if replicas == 1 {
            return Ok(None);
        }
        let others = info["cluster"]["replicas"].as_array().map_or(0, |others| {
            let current = |other: &&Value| other["current"] == true;
            others.iter().filter(current).count()
        });
        let led = info["cluster"]["leader"].is_string();
        Ok((!led || others + 1 < replicas).then(|| format!("stream replicas: {info}")))
    })
    .await
}

async fn info(addr: SocketAddr) -> anyhow::Result<Value> {
    let mut session = Session::connect(addr).await?;
    let answer = session
        .ask(&format!("$JS.API.STREAM.INFO.{STREAM}"), b"")
        .await?;
    match refusal(&answer) {
        Some(why) => bail!("{why}"),
        None => Ok(answer),
    }
}

struct Running {
    servers: Vec<Server>,
    clients: Vec<SocketAddr>,
    targets: Arc<[String]>,
    program: PathBuf,
    setup: Setup,
}

impl Running {
    /// The server that leads the stream: whoever is connected there saves it
    /// the way between servers.
    async fn led_by(&self) -> anyhow::Result<usize> {
        if self.clients.len() == 1 {
            return Ok(0);
        }
        let info = info(self.clients[0]).await?;
        let leader = info["cluster"]["leader"].as_str().context("no leader")?;
        let found = (0..self.clients.len()).find(|at| server_name(*at) == leader);
        found.context("an unknown leader")
    }

    /// One that is pushed the first target's messages.
    async fn consumer(&self, policy: &str) -> anyhow::Result<Receiver> {
        let leader = self.clients[self.led_by().await?];
        let mut session = Session::connect(leader).await?;
        let to = session.subscribe("deliver").await?;
        let consumer = json!({
            "stream_name": STREAM,
            "config": {
                "deliver_subject": to,
                "deliver_policy": policy,
                "ack_policy": "none",
                "replay_policy": "instant",
                "filter_subject": self.targets[0],
            },
        });
        let subject = format!("$JS.API.CONSUMER.CREATE.{STREAM}");
        let answer = session
            .ask(&subject, consumer.to_string().as_bytes())
            .await?;
        match refusal(&answer) {
            Some(why) => bail!("no consumer: {why}"),
            None => Ok(Receiver::new(session)),
        }
    }
}

#[async_trait]
impl Replicated for Running {
    async fn lasting(&mut self, count: usize) -> anyhow::Result<Vec<Box<dyn Publisher>>> {
        let publisher = |number| -> Box<dyn Publisher> {
            let (servers, targets) = (self.clients.clone(), Arc::clone(&self.targets));
            Box::new(Lasting::new(servers, targets, number))
        };
        Ok((0..count).map(publisher).collect())
    }

    async fn leader(&self) -> anyhow::Result<usize> {
        self.led_by().await
    }

    async fn kill(&mut self, at: usize) -> anyhow::Result<()> {
        self.servers[at].kill().await
    }

    async fn again(&mut self, at: usize) -> anyhow::Result<()> {
        self.servers[at] = server(&self.program, at, &self.setup)?;
        let (addr, replicas) = (self.clients[at], self.clients.len());
        wait_whole(addr, &mut self.servers, replicas).await
    }

    async fn stored(&mut self) -> anyhow::Result<Vec<Tag>> {
        let info = info(self.clients[0]).await?;
        let count = info["state"]["messages"].as_u64().context("no count")?;
        // The cluster may still be choosing who makes consumers.
        let give_up = Instant::now() + CONSUMER;
        loop {
            match self.consumer("all").await {
                Ok(consumer) => return consumer.take(count).await,
                Err(error) if Instant::now() > give_up => return Err(error),
                Err(_) => {}
            }
        }
    }
}

#[async_trait]
impl Servers for Running {
    fn pids(&self) -> Vec<u32> {
        self.servers.iter().filter_map(Server::pid).collect()
    }

    async fn publishers(&mut self, _: usize) -> anyhow::Result<Vec<Box<dyn Publisher>>> {
        let leader = self.clients[self.led_by().await?];
        let mut all: Vec<Box<dyn Publisher>> = Vec::new();
        for number in 0..self.setup.publishers {
            let session = Session::connect(leader).await?;
            let targets = Arc::clone(&self.targets);
            all.push(Box::new(Sender::new(session, targets, number)));
        }
        Ok(all)
    }

    async fn subscriber(&mut self) -> anyhow::Result<Box<dyn Subscriber>> {
        Ok(Box::new(self.consumer("new").await?))
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        self.servers.iter_mut().try_for_each(Server::must_run)
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        for server in self.servers {
            server.stop().await?;
        }
        Ok(())
    }
}
