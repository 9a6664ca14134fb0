//! The bare loop.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use folkmoot_transport::tls::https_server;
use folkmoot_transport::{
    Connection, FrameSend, FramedStream, Listener, QuicConfig, QuicEndpoint, QuicOptions,
};
use rustls::{ServerConnection, StreamOwned};
use tokio::runtime::Runtime;

use super::{Certificate, Floor, SEAL};
use crate::load::payload::PAYLOAD;

/// When a frame is written, as at an edge of Folkmoot's by default.
const WINDOW: Duration = Duration::from_millis(50);
const MESSAGES: usize = 10;

impl Options {
    /// Messages of a frame.
    fn messages(&self) -> usize {
        self.whole.unwrap_or(MESSAGES)
    }

    /// How long a message waits for others.
    fn window(&self) -> Option<Duration> {
        self.whole.is_none().then_some(WINDOW)
    }
}

/// Flags of a floor's process.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What carries the frames
    over: Floor,
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    speak: SocketAddr,
    #[arg(long)]
    listeners: usize,
    /// Write whole frames of so many messages, however long that takes
    #[arg(long, value_name = "MESSAGES")]
    whole: Option<usize>,
    /// With the certificate
    #[arg(long)]
    folder: PathBuf,
}

/// Whom frames are written to.
enum Ears {
    Streams(Vec<Box<dyn Write>>),
    Quic {
        runtime: Runtime,
        /// Keeps them.
        _endpoint: Arc<QuicEndpoint>,
        _connections: Vec<Arc<dyn Connection>>,
        streams: Vec<Box<dyn FrameSend>>,
    },
}

impl Ears {
    fn write(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Streams(streams) => {
                for stream in streams {
                    stream.write_all(frame)?;
                }
                Ok(())
            }
            Self::Quic {
                runtime, streams, ..
            } => runtime.block_on(async {
                let frame = Bytes::copy_from_slice(frame);
                for stream in streams {
                    stream.send(frame.clone()).await?;
                }
                // The endpoint's tasks send what was written.
                tokio::task::yield_now().await;
                Ok(())
            }),
        }
    }

    /// Waits for more to say; lets the endpoint work meanwhile.
    fn wait(&mut self, speaker: &TcpStream, until: Option<Instant>) -> anyhow::Result<()> {
        match self {
            Self::Streams(_) => {
                let wait = until.map(|until| until.saturating_duration_since(Instant::now()));
                let wait = wait.map(|wait| wait.max(Duration::from_micros(100)));
                Ok(speaker.set_read_timeout(wait)?)
            }
            Self::Quic { runtime, .. } => runtime.block_on(async {
                let ready = async {
                    let stream = tokio::net::TcpStream::from_std(speaker.try_clone()?)?;
                    stream.readable().await
                };
                let until = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
                tokio::select! {
                    ready = ready => ready?,
                    () = tokio::time::sleep_until(until.into()) => {}
                }
                Ok(())
            }),
        }
    }
}

/// Serves until it is killed, or the speaker is gone.
pub(crate) fn serve(options: &Options) -> anyhow::Result<()> {
    folkmoot_node::demo::ports::raise_open_files()?;
    let speak = TcpListener::bind(options.speak)?;
    let mut ears = match options.over {
        Floor::Quic => quic(options)?,
        Floor::Tcp | Floor::Tls => streams(options)?,
    };
    let mut speaker = speaker(&speak)?;
    speaker.set_nonblocking(matches!(ears, Ears::Quic { .. }))?;
    let (mut input, mut frame) = (Vec::new(), Vec::new());
    let mut chunk = vec![0; 64 * 1024];
    let mut opened: Option<Instant> = None;
    let mut written = Instant::now();
    let (messages, window) = (options.messages(), options.window());
    loop {
        ears.wait(&speaker, opened.zip(window).map(|(at, window)| at + window))?;
        match speaker.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(len) => input.extend_from_slice(&chunk[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        let whole = input.len() / PAYLOAD * PAYLOAD;
        for payload in input[..whole].chunks(PAYLOAD) {
            frame.extend_from_slice(payload);
            frame.extend_from_slice(SEAL);
            opened.get_or_insert_with(Instant::now);
            if frame.len() >= messages * super::RECORD {
                ears.write(&frame)?;
                frame.clear();
                (opened, written) = (None, Instant::now());
            }
        }
        input.drain(..whole);
        let now = Instant::now();
        let is_due = opened
            .zip(window)
            .is_some_and(|(at, window)| at + window <= now || written + window <= now);
        if is_due {
            ears.write(&frame)?;
            frame.clear();
            (opened, written) = (None, now);
        }
    }
}

/// The first one who says something: others only looked whether we are there.
fn speaker(speak: &TcpListener) -> anyhow::Result<TcpStream> {
    loop {
        let (mut stream, _) = speak.accept()?;
        if stream.read_exact(&mut [0]).is_ok() {
            return Ok(stream);
        }
    }
}

fn streams(options: &Options) -> anyhow::Result<Ears> {
    let listener = TcpListener::bind(options.listen)?;
    let tls = match options.over {
        Floor::Tls => Some(Arc::new(https_server(&Certificate::read(
            &options.folder,
        )?)?)),
        Floor::Tcp | Floor::Quic => None,
    };
    let mut streams: Vec<Box<dyn Write>> = Vec::new();
    while streams.len() < options.listeners {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        streams.push(match &tls {
            None => Box::new(stream),
            Some(tls) => {
                let mut session = ServerConnection::new(Arc::clone(tls))?;
                while session.is_handshaking() {
                    session.complete_io(&mut stream)?;
                }
                Box::new(StreamOwned::new(session, stream))
            }
        });
    }
    Ok(Ears::Streams(streams))
}

fn quic(options: &Options) -> anyhow::Result<Ears> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let config = QuicConfig {
        bind: options.listen,
        edge: Some(Certificate::read(&options.folder)?),
        identity: None,
        trust: None,
        options: QuicOptions::default(),
    };
    let made = runtime.block_on(async {
        let endpoint = QuicEndpoint::bind(config)?;
        let (mut connections, mut streams) = (Vec::new(), Vec::new());
        while streams.len() < options.listeners {
            let connection = endpoint.accept().await.context("the endpoint has ended")?;
            let Some(FramedStream { tx, mut rx }) = connection.accept().await? else {
                bail!("a listener has gone");
            };
            rx.recv().await?;
            connections.push(connection);
            streams.push(tx);
        }
        Ok((endpoint, connections, streams))
    });
    let (_endpoint, _connections, streams) = made?;
    Ok(Ears::Quic {
        runtime,
        _endpoint,
        _connections,
        streams,
    })
}
