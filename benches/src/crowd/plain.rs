//! What the plain TCP peers have in common: all but their language.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use folkmoot_transport::Trust;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::net::TcpStream;

use super::records::{Aside, Form, Records};
use super::tls;
use super::{AT_ONCE, Listener, Room, Setup, Speaker};
use crate::load::payload::Payloads;
use crate::peer::Tag;
use crate::process::{self, Server};

/// Most that a server says at one step of a login, in bytes.
const LOGIN: usize = 256 * 1024;

/// How a server is spoken to. The room is called `room`.
pub(super) struct Language {
    /// What everybody says first, each when the server has said what stands
    /// beside the one before.
    pub(super) login: fn(&str) -> Vec<(String, &'static str)>,
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
    /// Over TLS, with whose certificate.
    trust: Option<Trust>,
    listeners: usize,
    language: &'static Language,
}

impl Plain {
    /// Waits until a server takes connections.
    pub(super) async fn room(
        server: Server,
        addr: SocketAddr,
        trust: Option<Trust>,
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
            trust,
            listeners: setup.listeners,
            language,
        }))
    }

    /// A line of somebody's, that has logged in.
    async fn line(&self, who: &str) -> anyhow::Result<Line> {
        let mut line = dial(self.addr, self.trust.as_ref()).await?;
        for (said, answer) in (self.language.login)(who) {
            line.write_all(said.as_bytes()).await?;
            line.flush().await?;
            until(&mut line, answer).await?;
        }
        Ok(line)
    }
}

/// Reads until the server has said this.
async fn until(line: &mut Line, answer: &str) -> anyhow::Result<()> {
    let (mut heard, mut chunk) = (Vec::new(), [0; 4_096]);
    let is_there = |heard: &[u8]| {
        let mut windows = heard.windows(answer.len());
        windows.any(|window| window == answer.as_bytes())
    };
    while !is_there(&heard) {
        match line.read(&mut chunk).await? {
            0 => bail!("closed at {:?}", String::from_utf8_lossy(&heard)),
            len => heard.extend_from_slice(&chunk[..len]),
        }
        if heard.len() > LOGIN {
            bail!("no {answer} in {} bytes", heard.len());
        }
    }
    Ok(())
}

/// A connection, of whatever it is made.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}
pub(super) type Line = Box<dyn Duplex>;

/// Connects, over TLS where there is something to trust.
pub(super) async fn dial(addr: SocketAddr, trust: Option<&Trust>) -> anyhow::Result<Line> {
    let stream = TcpStream::connect(addr)
        .await
        .with_context(|| addr.to_string())?;
    stream.set_nodelay(true)?;
    Ok(match trust {
        None => Box::new(stream),
        Some(trust) => Box::new(tls::client(stream, trust).await?),
    })
}

#[async_trait]
impl Room for Plain {
    fn pids(&self) -> Vec<u32> {
        self.server.pid().into_iter().collect()
    }

    async fn listeners(&mut self) -> anyhow::Result<Vec<Box<dyn Listener>>> {
        let form = Arc::new((self.language.form)());
        let this = &*self;
        let connect = |number: usize| {
            let form = Arc::clone(&form);
            async move {
                let mut line = this.line(&format!("listener-{number}")).await?;
                line.write_all(&(this.language.listen)(number)).await?;
                line.flush().await?;
                Ok(Box::new(Records::over(line, form)) as Box<dyn Listener>)
            }
        };
        stream::iter(0..this.listeners)
            .map(connect)
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn idlers(&mut self, rooms: usize) -> anyhow::Result<Vec<Box<dyn Listener>>> {
        let this = &*self;
        let connect = |number: usize| async move {
            let mut line = this.line(&format!("idler-{number}")).await?;
            line.write_all(&(this.language.idle)(number, rooms)).await?;
            line.flush().await?;
            Ok(Box::new(Idler(line)) as Box<dyn Listener>)
        };
        stream::iter(0..this.listeners)
            .map(connect)
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
        let line = self.line("speaker").await?;
        let greeting = greet();
        let mouth = Mouth::over(line, &greeting, before(), after);
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
    pub(super) async fn over(
        line: Line,
        greeting: &[u8],
        before: Vec<u8>,
        after: &'static [u8],
    ) -> anyhow::Result<Self> {
        Ok(Self {
            lines: Lines::over(line, greeting).await?,
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
struct Idler(Line);

#[async_trait]
impl Listener for Idler {
    async fn hear(&mut self, _: &mut Vec<Tag>) -> anyhow::Result<()> {
        let mut said = [0; 4_096];
        match self.0.read(&mut said).await? {
            0 => bail!("the server has closed the connection"),
            len if said[..len].ends_with(b"PING\r\n") => {
                self.0.write_all(b"PONG\r\n").await?;
                Ok(self.0.flush().await?)
            }
            _ => Ok(()),
        }
    }
}

/// A connection that is written to; what comes back is read and thrown away.
struct Lines {
    line: WriteHalf<Line>,
    output: Vec<u8>,
}

impl Lines {
    async fn over(mut line: Line, greeting: &[u8]) -> anyhow::Result<Self> {
        line.write_all(greeting).await?;
        line.flush().await?;
        let (mut read, line) = tokio::io::split(line);
        tokio::spawn(async move {
            let mut answers = vec![0; 16 * 1024];
            while read.read(&mut answers).await.is_ok_and(|len| len > 0) {}
        });
        Ok(Self {
            line,
            output: Vec::new(),
        })
    }

    async fn write(&mut self, parts: &[&[u8]]) -> anyhow::Result<()> {
        self.output.clear();
        for part in parts {
            self.output.extend_from_slice(part);
        }
        self.line.write_all(&self.output).await?;
        Ok(self.line.flush().await?)
    }
}
