//! A connection in memory, whose reader may stop reading.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_transport::{
    Carrier, Connection, ConnectionStats, FrameRecv, FrameSend, FramedStream, PeerKind, Result,
    TransportError,
};
use tokio::sync::{Mutex, mpsc, watch};

/// Frames that the pipe itself holds towards the client.
const HELD: usize = 4;

#[derive(Debug)]
pub(super) struct Pipe {
    peer: PeerKind,
    streams: Mutex<mpsc::Receiver<FramedStream>>,
    closed: watch::Sender<Option<(u32, String)>>,
}

/// What the client holds.
pub(super) struct ClientEnd {
    pub(super) tx: mpsc::Sender<Result<Bytes>>,
    pub(super) rx: mpsc::Receiver<Bytes>,
    pub(super) closed: watch::Receiver<Option<(u32, String)>>,
}

struct Send(Option<mpsc::Sender<Bytes>>);
struct Recv(mpsc::Receiver<Result<Bytes>>);

/// A connection on which the client has opened its stream, or not.
pub(super) fn pipe(open: bool) -> (Arc<Pipe>, ClientEnd) {
    let (closed, watching) = watch::channel(None);
    let (stream, streams) = mpsc::channel(1);
    let (to_edge, from_client) = mpsc::channel(64);
    let (to_client, from_edge) = mpsc::channel(HELD);
    if open {
        let framed = FramedStream {
            tx: Box::new(Send(Some(to_client))),
            rx: Box::new(Recv(from_client)),
        };
        stream.try_send(framed).unwrap();
    } else {
        // The stream never comes, and the connection stays.
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop((stream, from_client, to_client));
        });
    }
    let pipe = Pipe {
        peer: PeerKind::Client,
        streams: Mutex::new(streams),
        closed,
    };
    let end = ClientEnd {
        tx: to_edge,
        rx: from_edge,
        closed: watching,
    };
    (Arc::new(pipe), end)
}

#[async_trait]
impl FrameSend for Send {
    async fn send(&mut self, frame: Bytes) -> Result<()> {
        let tx = self.0.as_ref().ok_or(TransportError::StreamFinished)?;
        tx.send(frame).await.map_err(|_| TransportError::Lost {
            reason: "the client is gone".into(),
        })
    }

    async fn send_many(&mut self, frames: &[Bytes]) -> Result<()> {
        for frame in frames {
            self.send(frame.clone()).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        self.0 = None;
        Ok(())
    }
}

#[async_trait]
impl FrameRecv for Recv {
    async fn recv(&mut self) -> Result<Option<Bytes>> {
        self.0.recv().await.transpose()
    }
}

#[async_trait]
impl Connection for Pipe {
    fn peer(&self) -> &PeerKind {
        &self.peer
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

    fn close(&self, code: u32, reason: &str) {
        self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert((code, reason.to_owned()));
            first
        });
    }

    async fn closed(&self) -> TransportError {
        let mut closed = self.closed.subscribe();
        let _ = closed.wait_for(Option::is_some).await;
        TransportError::ClosedHere
    }

    fn stats(&self) -> ConnectionStats {
        ConnectionStats::default()
    }
}
