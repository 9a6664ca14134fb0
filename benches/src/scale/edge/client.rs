//! Connections in memory, and clients that count what they get.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_node::edge::Edge;
use folkmoot_transport::{
    Carrier, Connection, ConnectionStats, FrameRecv, FrameSend, FramedStream, PeerKind, Result,
    TransportError,
};
use folkmoot_wire::frame::PREFIX;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{ClientFrame, Hello, Resume, ServerFrame};
use prost::Message;
use tokio::sync::{Mutex, mpsc, watch};

#[derive(Debug)]
struct Pipe {
    streams: Mutex<mpsc::Receiver<FramedStream>>,
    closed: watch::Sender<bool>,
}

struct ToClient(mpsc::UnboundedSender<Bytes>);
struct FromClient(mpsc::UnboundedReceiver<Bytes>);

fn gone() -> TransportError {
    TransportError::Lost {
        reason: "the client is gone".into(),
    }
}

#[async_trait]
impl FrameSend for ToClient {
    async fn send(&mut self, frame: Bytes) -> Result<()> {
        self.0.send(frame).map_err(|_| gone())
    }

    async fn send_many(&mut self, frames: &[Bytes]) -> Result<()> {
        for frame in frames {
            self.send(frame.clone()).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl FrameRecv for FromClient {
    async fn recv(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.recv().await)
    }
}

#[async_trait]
impl Connection for Pipe {
    fn peer(&self) -> &PeerKind {
        &PeerKind::Client
    }

    fn remote(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 1).into()
    }

    fn kind(&self) -> Carrier {
        Carrier::Sim
    }

    async fn open(&self) -> Result<FramedStream> {
        Err(TransportError::Unsupported("clients open streams"))
    }

    async fn accept(&self) -> Result<Option<FramedStream>> {
        Ok(self.streams.lock().await.recv().await)
    }

    fn close(&self, _: u32, _: &str) {
        self.closed.send_replace(true);
    }

    async fn closed(&self) -> TransportError {
        let mut closed = self.closed.subscribe();
        // Fails only when the sender is gone, which this holds.
        let _ = closed.wait_for(|closed| *closed).await;
        TransportError::ClosedHere
    }

    fn stats(&self) -> ConnectionStats {
        ConnectionStats::default()
    }
}

/// What a client got since its Welcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) frames: u64,
    /// With the length in front of each frame.
    pub(super) bytes: u64,
    /// Entries in deliveries.
    pub(super) entries: u64,
    pub(super) deliveries: u64,
    pub(super) bumps: u64,
}

pub(super) struct Client {
    /// The session ends when it is dropped.
    _tx: mpsc::UnboundedSender<Bytes>,
    rx: mpsc::UnboundedReceiver<Bytes>,
}

impl Client {
    /// Connects; groups in `active` are open on the screen.
    pub(super) async fn connect(
        edge: &Edge,
        token: String,
        active: Vec<Resume>,
    ) -> anyhow::Result<Self> {
        let (tx, from_client) = mpsc::unbounded_channel();
        let (to_client, rx) = mpsc::unbounded_channel();
        let (stream, streams) = mpsc::channel(1);
        let framed = FramedStream {
            tx: Box::new(ToClient(to_client)),
            rx: Box::new(FromClient(from_client)),
        };
        ensure!(stream.try_send(framed).is_ok(), "no room for the stream");
        edge.serve(Arc::new(Pipe {
            streams: Mutex::new(streams),
            closed: watch::channel(false).0,
        }));
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            features: vec!["rows".into(), "bumps".into()],
            token,
            device: 1,
            client: "folkmoot-bench".into(),
            active,
            ..Hello::default()
        };
        let frame = ClientFrame {
            id: 1,
            request: Some(Request::Hello(hello)),
        };
        tx.send(frame.encode_to_vec().into())?;
        let mut client = Self { _tx: tx, rx };
        match client.next().await?.body {
            Some(Body::Welcome(welcome)) => {
                let errors = welcome.active.iter().filter_map(|a| a.error.as_ref());
                let errors: Vec<_> = errors.collect();
                ensure!(errors.is_empty(), "not active: {errors:?}");
            }
            other => bail!("not welcome: {other:?}"),
        }
        Ok(client)
    }

    async fn next(&mut self) -> anyhow::Result<ServerFrame> {
        let frame = self.rx.recv().await.context("the session ended")?;
        Ok(ServerFrame::decode(frame)?)
    }

    /// What has come so far.
    pub(super) fn got(&mut self) -> anyhow::Result<Got> {
        let mut got = Got::default();
        while let Ok(bytes) = self.rx.try_recv() {
            got.frames += 1;
            got.bytes += (bytes.len() + PREFIX) as u64;
            match ServerFrame::decode(bytes)?.body {
                Some(Body::Deliver(deliver)) => {
                    got.deliveries += 1;
                    got.entries += deliver.entries.len() as u64;
                }
                Some(Body::Bump(_)) => got.bumps += 1,
                Some(Body::RowsChanged(_)) => {}
                other => bail!("not expected here: {other:?}"),
            }
        }
        Ok(got)
    }
}
