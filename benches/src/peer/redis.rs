//! Redis Streams with `appendfsync always`: a durable log on one machine. It
//! knows no idempotent publishing, and its replicas acknowledge nothing by
//! their disks, so there is no mode with three.

mod resp;
mod shelf;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use folkmoot_node::demo::ports::Ports;

use super::socket::Socket;
use super::{Peer, Publisher, Servers, Setup, Subscriber, Tag, target_names};
use crate::load::payload::{Payloads, tag_of};
use crate::process::{self, Server};
use resp::Value;
pub(crate) use shelf::RedisShelf;

/// Entries of one answer.
const ENTRIES: usize = 1_000;

/// The peer.
pub(crate) struct Redis {
    program: PathBuf,
}

impl Redis {
    pub(crate) fn new(program: Option<PathBuf>) -> Self {
        Self {
            program: program.unwrap_or_else(|| PathBuf::from("redis-server")),
        }
    }
}

#[async_trait]
impl Peer for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn replicas(&self) -> &'static [usize] {
        &[1]
    }

    fn durability(&self, _: usize) -> String {
        "XADD, appendonly, appendfsync always: acknowledged after fsync; no dedup; no mode with three durable replicas"
            .to_owned()
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        version(&self.program).await
    }

    async fn start(&self, setup: &Setup) -> anyhow::Result<Box<dyn Servers>> {
        if setup.replicas != 1 {
            bail!("there is no mode of {} durable replicas", setup.replicas);
        }
        Ok(Box::new(self.run(setup).await?))
    }
}

impl Redis {
    async fn run(&self, setup: &Setup) -> anyhow::Result<Running> {
        let addr = Ports::new(std::process::id()).free()?;
        let args = [
            ("--bind", "127.0.0.1".to_owned()),
            ("--port", addr.port().to_string()),
            ("--dir", setup.folder.display().to_string()),
            ("--appendonly", "yes".to_owned()),
            ("--appendfsync", "always".to_owned()),
            ("--save", String::new()),
            ("--daemonize", "no".to_owned()),
        ];
        let args: Vec<String> = args
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect();
        let server = Server::start("redis", &self.program, &args, &setup.folder, setup.core)?;
        let mut servers = [server];
        process::until(&mut servers, || async move {
            let mut line = Line::connect(addr).await?;
            line.command(&[b"PING"]);
            line.answer().await?;
            Ok(None)
        })
        .await?;
        let [server] = servers;
        Ok(Running {
            server,
            addr,
            publishers: setup.publishers,
            targets: target_names(setup.targets),
        })
    }
}

/// The version of a Redis server.
pub(crate) async fn version(program: &Path) -> anyhow::Result<String> {
    let said = process::output(program, &["--version".to_owned()])
        .await
        .context(
            "no redis-server: `apt-get install redis-server`, or --redis-server PATH, or leave it out with --only",
        )?;
    let mut words = said.split_whitespace();
    let version = words.find_map(|word| word.strip_prefix("v="));
    Ok(version.unwrap_or("unknown").to_owned())
}

struct Running {
    server: Server,
    addr: SocketAddr,
    publishers: usize,
    targets: Arc<[String]>,
}

#[async_trait]
impl Servers for Running {
    fn pids(&self) -> Vec<u32> {
        self.server.pid().into_iter().collect()
    }

    async fn publishers(&mut self, _: usize) -> anyhow::Result<Vec<Box<dyn Publisher>>> {
        let mut all: Vec<Box<dyn Publisher>> = Vec::new();
        for _ in 0..self.publishers {
            all.push(Box::new(Sender {
                line: Line::connect(self.addr).await?,
                targets: Arc::clone(&self.targets),
                outstanding: VecDeque::new(),
                payloads: Payloads::new(),
            }));
        }
        Ok(all)
    }

    async fn subscriber(&mut self) -> anyhow::Result<Box<dyn Subscriber>> {
        let mut line = Line::connect(self.addr).await?;
        let stream = self.targets[0].clone();
        // Whatever is newer than the last one there is.
        line.command(&[b"XREVRANGE", stream.as_bytes(), b"+", b"-", b"COUNT", b"1"]);
        let last = match line.answer().await? {
            Value::Array(entries) => entries.first().and_then(resp::entry).map(|entry| entry.id),
            _ => None,
        };
        let mut reader = Reader {
            line,
            stream,
            last: last.unwrap_or_else(|| "0-0".into()),
        };
        reader.ask();
        reader.line.socket.flush().await?;
        Ok(Box::new(reader))
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        self.server.must_run()
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.server.stop().await
    }
}

/// A connection that speaks RESP.
struct Line {
    socket: Socket,
}

impl Line {
    async fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        let socket = Socket::connect(addr).await?;
        Ok(Self { socket })
    }

    fn command(&mut self, words: &[&[u8]]) {
        resp::command(&mut self.socket.output, words);
    }

    /// The next answer, if it is there. An error of the server's is one.
    fn ready(&mut self) -> anyhow::Result<Option<Value>> {
        match resp::take(&mut self.socket.input)? {
            Some(Value::Error(text)) => bail!("redis: {text}"),
            other => Ok(other),
        }
    }

    async fn answer(&mut self) -> anyhow::Result<Value> {
        loop {
            if let Some(value) = self.ready()? {
                return Ok(value);
            }
            self.socket.fill().await?;
        }
    }
}

struct Sender {
    line: Line,
    targets: Arc<[String]>,
    /// Answers come in the order of the commands.
    outstanding: VecDeque<Tag>,
    payloads: Payloads,
}

#[async_trait]
impl Publisher for Sender {
    async fn send(&mut self, target: usize, tag: Tag) -> anyhow::Result<()> {
        let stream = self.targets[target].as_bytes();
        let payload = self.payloads.of(tag).as_bytes();
        let words = [b"XADD", stream, b"*", b"m", payload];
        resp::command(&mut self.line.socket.output, &words);
        self.outstanding.push_back(tag);
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.line.socket.flush().await
    }

    async fn done(&mut self, tags: &mut Vec<Tag>) -> anyhow::Result<()> {
        loop {
            while let Some(value) = self.line.ready()? {
                match (value, self.outstanding.pop_front()) {
                    (Value::Bulk(_), Some(tag)) => tags.push(tag),
                    (other, _) => bail!("a strange answer to XADD: {other:?}"),
                }
            }
            if !tags.is_empty() {
                return Ok(());
            }
            self.line.socket.fill().await?;
        }
    }

    async fn close(self: Box<Self>) {}
}

struct Reader {
    line: Line,
    stream: String,
    /// Id of the last entry received.
    last: String,
}

impl Reader {
    fn ask(&mut self) {
        let count = ENTRIES.to_string();
        self.line.command(&[
            b"XREAD",
            b"COUNT",
            count.as_bytes(),
            b"BLOCK",
            b"0",
            b"STREAMS",
            self.stream.as_bytes(),
            self.last.as_bytes(),
        ]);
    }
}

#[async_trait]
impl Subscriber for Reader {
    async fn next(&mut self, tags: &mut Vec<Tag>) -> anyhow::Result<()> {
        let answer = self.line.answer().await?;
        for entry in resp::entries(&answer).context("a strange answer to XREAD")? {
            tags.push(tag_of(&entry.payload).context("an entry that was not sent")?);
            self.last = entry.id;
        }
        // Written when there is time to wait for the answer.
        self.ask();
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}
