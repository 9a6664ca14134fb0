//! The least that it can cost: a bare loop that writes the same frames to as
//! many sockets, by itself, over TLS and over QUIC. It knows neither members
//! nor history, waits for who is slow, and keeps nothing.

mod serve;
mod shelf;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use clap::ValueEnum;
use folkmoot_node::demo::ports::Ports;
use folkmoot_transport::{
    Connection, Dial, FrameRecv, FramedStream, QuicConfig, QuicEndpoint, Trust,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::net::TcpStream;

pub(crate) use serve::{Options as ServeOptions, serve};

use super::plain::{Mouth, dial};
use super::records::{Aside, Form, Records};
use super::tls::Certificate;
use super::{AT_ONCE, Host, Kind, Listener, ON_ONE_SOCKET, Product, Room, Setup, Speaker};
use crate::load::payload::PAYLOAD;
use crate::peer::Tag;
use crate::process::{self, Server};

/// What an entry of Folkmoot's is besides its payload, in a frame of ten: header,
/// salt, chain, their keys and lengths, and its part of the frame's own. The
/// test builds such a frame.
const SEAL: &[u8] = &[b'.'; 159];
/// Bytes of a message in a frame.
const RECORD: usize = PAYLOAD + SEAL.len();

/// The host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Floor {
    Tcp,
    Tls,
    Quic,
}

impl Floor {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Tcp => "floor, tcp",
            Self::Tls => "floor, tls",
            Self::Quic => "floor, quic",
        }
    }

    fn value(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Quic => "quic",
        }
    }
}

#[async_trait]
impl Product for Floor {
    fn name(&self) -> String {
        self.title().to_owned()
    }

    fn kind(&self) -> Kind {
        Kind::Floor
    }

    fn notes(&self) -> String {
        format!(
            "a bare loop of this program: frames of {RECORD} bytes a message, gathered as Folkmoot does"
        )
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        Ok(env!("CARGO_PKG_VERSION").to_owned())
    }
}

#[async_trait]
impl Host for Floor {
    async fn open(&self, setup: &Setup) -> anyhow::Result<Box<dyn Room>> {
        Ok(Box::new(self.run(setup, None)?))
    }
}

impl Floor {
    /// Starts the loop. With `whole` its frames have so many messages, as pages
    /// have, and wait for the last.
    fn run(self, setup: &Setup, whole: Option<usize>) -> anyhow::Result<Running> {
        Certificate::make(&setup.folder)?;
        let mut ports = Ports::new(std::process::id());
        let (listen, speak) = (ports.free()?, ports.free()?);
        let mut args = vec![
            "as-floor".to_owned(),
            self.value().to_owned(),
            format!("--listen={listen}"),
            format!("--speak={speak}"),
            format!("--listeners={}", setup.listeners),
            format!("--folder={}", setup.folder.display()),
        ];
        args.extend(whole.map(|messages| format!("--whole={messages}")));
        let own = std::env::current_exe().context("the path of this program")?;
        let server = Server::start("floor", &own, &args, &setup.folder, setup.core)?;
        Ok(Running {
            floor: self,
            server,
            listen,
            speak,
            trust: Certificate::trust(&setup.folder)?,
            listeners: setup.listeners,
        })
    }
}

struct Running {
    floor: Floor,
    server: Server,
    listen: SocketAddr,
    speak: SocketAddr,
    trust: Trust,
    listeners: usize,
}

impl Running {
    /// Waits until the server is there.
    async fn ready(&mut self) -> anyhow::Result<()> {
        let servers = std::slice::from_mut(&mut self.server);
        let speak = self.speak;
        process::until(servers, || async move {
            TcpStream::connect(speak).await?;
            Ok(None)
        })
        .await
    }

    async fn ear(&self, endpoint: Option<&QuicEndpoint>) -> anyhow::Result<Box<dyn Listener>> {
        let form = Arc::new(form());
        if let Some(endpoint) = endpoint {
            let connection = endpoint.dial_client(self.listen, "127.0.0.1").await?;
            let FramedStream { mut tx, rx } = connection.open().await?;
            tx.send("?".into()).await?;
            return Ok(Box::new(Frames {
                _connection: connection,
                rx,
                form,
            }));
        }
        let trust = (self.floor == Floor::Tls).then_some(&self.trust);
        let line = dial(self.listen, trust).await?;
        Ok(Box::new(Records::over(line, form)))
    }
}

fn form() -> Form {
    Form {
        before: Vec::new(),
        after: SEAL,
        aside: |_| Ok(Aside::Part),
    }
}

#[async_trait]
impl Room for Running {
    fn pids(&self) -> Vec<u32> {
        self.server.pid().into_iter().collect()
    }

    async fn listeners(&mut self) -> anyhow::Result<Vec<Box<dyn Listener>>> {
        self.ready().await?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = |_| QuicEndpoint::bind(QuicConfig::client(self.trust.clone(), any));
        let sockets: Vec<Arc<QuicEndpoint>> = match self.floor {
            Floor::Quic => (0..self.listeners.div_ceil(ON_ONE_SOCKET))
                .map(socket)
                .collect::<Result<_, _>>()?,
            Floor::Tcp | Floor::Tls => Vec::new(),
        };
        let (this, sockets) = (&*self, &sockets);
        stream::iter(0..this.listeners)
            .map(|number| this.ear(sockets.get(number / ON_ONE_SOCKET).map(|dial| &**dial)))
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    /// A bare loop knows no rooms.
    async fn idlers(&mut self, _: usize) -> anyhow::Result<Vec<Box<dyn Listener>>> {
        self.listeners().await
    }

    async fn speaker(&mut self) -> anyhow::Result<Box<dyn Speaker>> {
        let line = dial(self.speak, None).await?;
        Ok(Box::new(Mouth::over(line, b"!", Vec::new(), b"").await?))
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        self.server.must_run()
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.server.stop().await
    }
}

/// A QUIC connection.
struct Frames {
    /// Keeps it.
    _connection: Arc<dyn Connection>,
    rx: Box<dyn FrameRecv>,
    form: Arc<Form>,
}

#[async_trait]
impl Listener for Frames {
    async fn hear(&mut self, heard: &mut Vec<Tag>) -> anyhow::Result<()> {
        let frame = self.rx.recv().await?.context("the server has ended")?;
        self.form.all(&frame, heard)
    }
}
