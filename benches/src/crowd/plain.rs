//! What the plain TCP peers have in common: all but their language.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::records::{Aside, Form, Records};
use super::{AT_ONCE, Listener, Room, Setup, Speaker};
use crate::load::payload::Payloads;
use crate::peer::Tag;
use crate::process::{self, Server};

/// How a server is spoken to. The room is called `room`.
pub(super) struct Language {
    /// What a listener says, by its number.
    pub(super) listen: fn(usize) -> Vec<u8>,
    /// What one says who is in so many rooms and listens to none.
    pub(super) idle: fn(usize, usize) -> Vec<u8>,
    /// What a listener is told.
    pub(super) form: fn() -> Form,
    /// What the speaker says first.
    pub(super) greet: fn() -> Vec<u8>,
    /// What is before and after a payload that is said.
    pub(super) before: fn() -> Vec<u8>,
    pub(super) after: &'static [u8],
}

/// A running server.
pub(super) struct Plain {
    server: Server,
    addr: SocketAddr,
    listeners: usize,
    language: &'static Language,
}

impl Plain {
    /// Waits until a server takes connections.
    pub(super) async fn room(
        server: Server,
        addr: SocketAddr,
        setup: &Setup,
        language: &'static Language,
    ) -> anyhow::Result<Box<dyn Room>> {
        let mut servers = [server];
        process::until(&mut servers, || async move {
            TcpStream::connect(addr).await?;
            Ok(None)
        })
        .await?;
        let [server] = servers;
        Ok(Box::new(Self {
            server,
            addr,
            listeners: setup.listeners,
            language,
        }))
    }
}

#[async_trait]
impl Room for Plain {
    fn pids(&self) -> Vec<u32> {
        self.server.pid().into_iter().collect()
    }

    async fn listeners(&mut self) -> anyhow::Result<Vec<Box<dyn Listener>>> {
        let (form, addr) = (Arc::new((self.language.form)()), self.addr);
        let connect = |greeting: Vec<u8>| {
            let form = Arc::clone(&form);
            async move { Records::connect(addr, &greeting, form).await }
        };
        stream::iter((0..self.listeners).map(self.language.listen))
            .map(connect)
            .buffered(AT_ONCE)
            .map_ok(|records| Box::new(records) as Box<dyn Listener>)
            .try_collect()
            .await
    }

    async fn idlers(&mut self, rooms: usize) -> anyhow::Result<Vec<Box<dyn Listener>>> {
        let (addr, idle) = (self.addr, self.language.idle);
        stream::iter((0..self.listeners).map(|number| idle(number, rooms)))
            .map(|greeting| async move { Idler::connect(addr, &greeting).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn speaker(&mut self) -> anyhow::Result<Box<dyn Speaker>> {
        let Language {
            greet,
            before,
            after,
            ..
        } = self.language;
        let greeting = greet();
        let mouth = Mouth::connect(self.addr, &greeting, before(), after);
        Ok(Box::new(mouth.await?))
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        self.server.must_run()
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.server.stop().await
    }
}

/// The one who speaks.
pub(super) struct Mouth {
    lines: Lines,
    payloads: Payloads,
    before: Vec<u8>,
    after: &'static [u8],
}

impl Mouth {
    /// Says what is `before` and `after` a payload with each.
    pub(super) async fn connect(
        addr: SocketAddr,
        greeting: &[u8],
        before: Vec<u8>,
        after: &'static [u8],
    ) -> anyhow::Result<Self> {
        Ok(Self {
            lines: Lines::connect(addr, greeting).await?,
            payloads: Payloads::new(),
            before,
            after,
        })
    }
}

#[async_trait]
impl Speaker for Mouth {
    async fn say(&mut self, tag: Tag) -> anyhow::Result<()> {
        let payload = self.payloads.of(tag).as_bytes();
        self.lines.write(&[&self.before, payload, self.after]).await
    }
}

/// Which of these things the input begins with; each with its answer.
pub(super) fn known(
    input: &[u8],
    things: &[(&'static [u8], &'static [u8])],
) -> anyhow::Result<Aside> {
    for (thing, answer) in things {
        if input.starts_with(thing) {
            return Ok(match answer.is_empty() {
                true => Aside::Skip(thing.len()),
                false => Aside::Answer(thing.len(), answer),
            });
        }
        if thing.starts_with(input) {
            return Ok(Aside::Part);
        }
    }
    let begin = &input[..input.len().min(80)];
    bail!("the server says {:?}", String::from_utf8_lossy(begin))
}

/// A connection that only stays: what it is told is thrown away, and it answers
/// a NATS server that asks whether it is there.
pub(super) struct Idler(TcpStream);

impl Idler {
    pub(super) async fn connect(
        addr: SocketAddr,
        greeting: &[u8],
    ) -> anyhow::Result<Box<dyn Listener>> {
        let mut stream = TcpStream::connect(addr)
            .await
            .with_context(|| addr.to_string())?;
        stream.write_all(greeting).await?;
        Ok(Box::new(Self(stream)))
    }
}

#[async_trait]
impl Listener for Idler {
    async fn hear(&mut self, _: &mut Vec<Tag>) -> anyhow::Result<()> {
        self.0.readable().await?;
        let mut said = [0; 4_096];
        match self.0.try_read(&mut said) {
            Ok(0) => bail!("the server has closed the connection"),
            Ok(len) if said[..len].ends_with(b"PING\r\n") => {
                Ok(self.0.write_all(b"PONG\r\n").await?)
            }
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// A connection that is written to; what comes back is read and thrown away.
struct Lines {
    stream: OwnedWriteHalf,
    output: Vec<u8>,
}

impl Lines {
    async fn connect(addr: SocketAddr, greeting: &[u8]) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr)
            .await
            .with_context(|| addr.to_string())?;
        stream.set_nodelay(true)?;
        let (mut read, mut stream) = stream.into_split();
        stream.write_all(greeting).await?;
        tokio::spawn(async move {
            let mut answers = vec![0; 16 * 1024];
            while read.read(&mut answers).await.is_ok_and(|len| len > 0) {}
        });
        Ok(Self {
            stream,
            output: Vec::new(),
        })
    }

    async fn write(&mut self, parts: &[&[u8]]) -> anyhow::Result<()> {
        self.output.clear();
        for part in parts {
            self.output.extend_from_slice(part);
        }
        Ok(self.stream.write_all(&self.output).await?)
    }
}
