//! Redis Streams as a shelf: XREVRANGE, which gives the newest first. All who
//! ask get the same bytes, so only the first answer is read.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Line, Redis, Running, resp};
use crate::crowd::{Archive, Product, Reader, Setup, Shelf};
use crate::load::payload::tag_of;
use crate::peer::{self, Peer, Servers, Tag, fill};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// The peer.
pub(crate) struct RedisShelf(Redis);

impl RedisShelf {
    pub(crate) fn new(program: Option<PathBuf>) -> Self {
        Self(Redis::new(program))
    }
}

#[async_trait]
impl Product for RedisShelf {
    fn name(&self) -> String {
        "redis streams".to_owned()
    }

    fn notes(&self) -> String {
        "XREVRANGE COUNT over TCP without TLS; all of it in memory; no accounts, no receipts"
            .to_owned()
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        Peer::prepare(&mut self.0).await
    }
}

#[async_trait]
impl Archive for RedisShelf {
    async fn shelf(
        &self,
        setup: &Setup,
        messages: Tag,
        newest: usize,
    ) -> anyhow::Result<Box<dyn Shelf>> {
        let mut running = self.0.run(&peer::Setup::of_one(setup)).await?;
        fill(&mut running, messages).await?;
        let page = Page::of(&running, newest).await?;
        Ok(Box::new(Kept {
            running,
            readers: setup.listeners,
            page: Arc::new(page),
        }))
    }
}

struct Kept {
    running: Running,
    readers: usize,
    page: Arc<Page>,
}

#[async_trait]
impl Shelf for Kept {
    fn pids(&self) -> Vec<u32> {
        self.running.pids()
    }

    async fn readers(&mut self) -> anyhow::Result<Vec<Box<dyn Reader>>> {
        let mut all: Vec<Box<dyn Reader>> = Vec::new();
        for _ in 0..self.readers {
            all.push(Box::new(Comer {
                stream: connect(self.running.addr).await?,
                page: Arc::clone(&self.page),
            }));
        }
        Ok(all)
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        self.running.must_run()
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        Box::new(self.running).stop().await
    }
}

async fn connect(addr: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(addr)
        .await
        .with_context(|| addr.to_string())?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What all ask for, and are told.
struct Page {
    question: BytesMut,
    answer: Vec<u8>,
    /// Oldest first.
    tags: Vec<Tag>,
}

impl Page {
    async fn of(running: &Running, newest: usize) -> anyhow::Result<Self> {
        let (mut question, count) = (BytesMut::new(), newest.to_string());
        let stream = running.targets[0].as_bytes();
        let words = [b"XREVRANGE", stream, b"+", b"-", b"COUNT", count.as_bytes()];
        resp::command(&mut question, &words);
        let mut line = Line::connect(running.addr).await?;
        line.command(&words);
        loop {
            let input = line.socket.input.clone();
            if let Some(value) = line.ready()? {
                let len = input.len() - line.socket.input.len();
                return Ok(Self {
                    question,
                    answer: input[..len].to_vec(),
                    tags: tags(&value)?,
                });
            }
            line.socket.fill().await?;
        }
    }
}

fn tags(value: &resp::Value) -> anyhow::Result<Vec<Tag>> {
    let resp::Value::Array(entries) = value else {
        bail!("a strange answer to XREVRANGE: {value:?}");
    };
    let tag = |value| {
        let entry = resp::entry(value).context("a strange entry")?;
        tag_of(&entry.payload).context("an entry that was not sent")
    };
    entries.iter().rev().map(tag).collect()
}

struct Comer {
    stream: TcpStream,
    page: Arc<Page>,
}

#[async_trait]
impl Reader for Comer {
    async fn catch_up(&mut self, read: &mut Vec<Tag>) -> anyhow::Result<()> {
        self.stream.write_all(&self.page.question).await?;
        let mut left = &self.page.answer[..];
        let mut input = vec![0; CHUNK];
        while !left.is_empty() {
            let len = self.stream.read(&mut input).await?;
            if len == 0 {
                bail!("the server has closed the connection");
            }
            left = left
                .strip_prefix(&input[..len])
                .context("an answer that others did not get")?;
        }
        read.extend_from_slice(&self.page.tags);
        Ok(())
    }
}
