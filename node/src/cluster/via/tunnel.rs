//! A connection to a node through one of a third region: each of its streams
//! is a stream to that one, which passes it on.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_transport::{
    Carrier, Connection, ConnectionStats, FrameRecv, FrameSend, FramedStream, PeerKind, Result,
    TransportError,
};
use folkmoot_wire::proto::{StreamOpen, TunnelAnswer, Via, stream_open};
use folkmoot_wire::{Fault, NodeId, version};
use parking_lot::Mutex;
use prost::Message;
use tokio_util::sync::CancellationToken;

use super::counts::{Opened, TunnelCounts};

/// The end of a tunnel, of which all its streams hear.
#[derive(Default)]
struct End {
    over: CancellationToken,
    why: OnceLock<TransportError>,
}

impl End {
    fn end(&self, why: TransportError) {
        self.why.get_or_init(|| why);
        self.over.cancel();
    }

    async fn ended(&self) -> TransportError {
        self.over.cancelled().await;
        self.why
            .get()
            .cloned()
            .unwrap_or(TransportError::ClosedHere)
    }
}

/// The tunnel. It ends with the connection below it, and as soon as one of its
/// streams is ended by the other end or on the way there: that the third node
/// lost the other end shows in nothing else.
pub struct Tunnel {
    to: NodeId,
    peer: PeerKind,
    below: Arc<dyn Connection>,
    /// The stream by which it was found that the way is one.
    first: Mutex<Option<FramedStream>>,
    end: Arc<End>,
    _opened: Opened,
}

impl Tunnel {
    /// A tunnel over `below`, the connection to the node `through`. `region`:
    /// the one of `to`. Returns once the node `to` has answered.
    ///
    /// # Errors
    /// Why there is no way through.
    pub async fn open(
        (to, region): (NodeId, String),
        (through, below): (NodeId, Arc<dyn Connection>),
        counts: &Arc<TunnelCounts>,
    ) -> Result<Self> {
        let mut first = ask(&*below, to).await?;
        check(first.rx.recv().await?, to)?;
        Ok(Self {
            to,
            peer: PeerKind::Node { node: to, region },
            below,
            first: Mutex::new(Some(first)),
            end: Arc::default(),
            _opened: counts.opened(to, through),
        })
    }

    fn framed(&self, stream: FramedStream, answered: bool) -> FramedStream {
        FramedStream {
            tx: Box::new(TunnelSend {
                tx: stream.tx,
                end: Arc::clone(&self.end),
            }),
            rx: Box::new(TunnelRecv {
                rx: stream.rx,
                unanswered: (!answered).then_some(self.to),
                end: Arc::clone(&self.end),
            }),
        }
    }
}

async fn ask(below: &dyn Connection, to: NodeId) -> Result<FramedStream> {
    let mut stream = below.open().await?;
    let open = StreamOpen {
        version: version::NODE,
        what: Some(stream_open::What::Via(Via { to: to.0 })),
        packed: false,
    };
    stream.tx.send(open.encode_to_vec().into()).await?;
    Ok(stream)
}

fn check(answer: Option<Bytes>, to: NodeId) -> Result<()> {
    let refused = |reason: String| TransportError::Protocol { reason };
    let answer = answer.ok_or_else(|| refused("a tunnel ended without an answer".into()))?;
    let answer = TunnelAnswer::decode(answer).map_err(|error| refused(error.to_string()))?;
    match answer.error {
        Some(error) => Err(TransportError::Closed {
            code: error.code,
            reason: format!("node {}: {}", answer.node, Fault::from(&error)),
        }),
        None if answer.node != to.0 => Err(refused(format!(
            "a tunnel to node {to} came out at node {}",
            answer.node
        ))),
        None => Ok(()),
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tunnel to node {} over {:?}", self.to, self.below)
    }
}

#[async_trait]
impl Connection for Tunnel {
    fn peer(&self) -> &PeerKind {
        &self.peer
    }

    /// Where the third node is.
    fn remote(&self) -> SocketAddr {
        self.below.remote()
    }

    fn kind(&self) -> Carrier {
        self.below.kind()
    }

    /// Does not wait for the answer: whoever receives first gets it.
    async fn open(&self) -> Result<FramedStream> {
        if self.end.over.is_cancelled() {
            return Err(self.end.ended().await);
        }
        let first = self.first.lock().take();
        if let Some(first) = first {
            return Ok(self.framed(first, true));
        }
        match ask(&*self.below, self.to).await {
            Ok(stream) => Ok(self.framed(stream, false)),
            Err(error) => {
                self.end.end(error.clone());
                Err(error)
            }
        }
    }

    /// The other end opens none: what it wants to tell it tells by its own way.
    async fn accept(&self) -> Result<Option<FramedStream>> {
        self.closed().await;
        Ok(None)
    }

    fn close(&self, _: u32, _: &str) {
        self.end.end(TransportError::ClosedHere);
    }

    async fn closed(&self) -> TransportError {
        tokio::select! {
            biased;
            why = self.end.ended() => why,
            why = self.below.closed() => {
                self.end.end(why.clone());
                why
            }
        }
    }

    /// Nothing: it is counted where it goes over.
    fn stats(&self) -> ConnectionStats {
        ConnectionStats::default()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.end.end(TransportError::ClosedHere);
    }
}

struct TunnelSend {
    tx: Box<dyn FrameSend>,
    end: Arc<End>,
}

impl TunnelSend {
    fn told(&self, sent: Result<()>) -> Result<()> {
        sent.inspect_err(|error| {
            if !matches!(error, TransportError::FrameTooLarge { .. }) {
                self.end.end(error.clone());
            }
        })
    }
}

#[async_trait]
impl FrameSend for TunnelSend {
    async fn send(&mut self, frame: Bytes) -> Result<()> {
        let sent = tokio::select! {
            biased;
            why = self.end.ended() => Err(why),
            sent = self.tx.send(frame) => sent,
        };
        self.told(sent)
    }

    async fn send_many(&mut self, frames: &[Bytes]) -> Result<()> {
        let sent = tokio::select! {
            biased;
            why = self.end.ended() => Err(why),
            sent = self.tx.send_many(frames) => sent,
        };
        self.told(sent)
    }

    async fn finish(&mut self) -> Result<()> {
        self.tx.finish().await
    }
}

struct TunnelRecv {
    rx: Box<dyn FrameRecv>,
    /// Whose answer has yet to come.
    unanswered: Option<NodeId>,
    end: Arc<End>,
}

impl TunnelRecv {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(to) = self.unanswered {
            check(self.rx.recv().await?, to)?;
            self.unanswered = None;
        }
        self.rx.recv().await
    }
}

#[async_trait]
impl FrameRecv for TunnelRecv {
    async fn recv(&mut self) -> Result<Option<Bytes>> {
        let end = Arc::clone(&self.end);
        let received = tokio::select! {
            biased;
            why = end.ended() => return Err(why),
            received = self.next() => received,
        };
        match &received {
            Ok(Some(_)) => {}
            Ok(None) => end.end(TransportError::Lost {
                reason: "the other end, or the node between, ended a stream".into(),
            }),
            Err(error) => end.end(error.clone()),
        }
        received
    }
}
