//! What is the same on both sides of a WebSocket.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};

use super::close;
use super::stream::{WsRecv, WsSend};
use crate::counters::{ConnectionStats, Counters, Label, Measured, Meter};
use crate::error::{Result, TransportError};
use crate::port::{Carrier, Connection, FramedStream, PeerKind};

/// How long a close frame and the peer's answer may take.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// A message to the peer.
pub(super) enum Out {
    Frame(Bytes),
    Close(u16, String),
}

/// A message from the peer.
pub(super) enum In {
    Frame(Bytes),
    Text,
    /// Ping and pong: answered below us.
    Control,
    Close(Option<(u16, String)>),
}

pub(super) type OutSink = Pin<Box<dyn Sink<Out, Error = TransportError> + Send>>;
pub(super) type InStream = Pin<Box<dyn Stream<Item = Result<In>> + Send>>;

pub(super) struct Shared {
    peer: PeerKind,
    remote: SocketAddr,
    pub(super) max: usize,
    /// This side masks what it sends (RFC 6455, section 5.3).
    pub(super) dialled: bool,
    pub(super) meter: Meter,
    counters: Arc<Counters>,
    counted: OnceLock<u64>,
    /// Why it ended; the first reason stays.
    pub(super) ended: watch::Sender<Option<TransportError>>,
    stream_taken: AtomicBool,
    pub(super) reading: AtomicBool,
    /// Reading stopped in the middle of a message that was too large.
    pub(super) unread: AtomicBool,
    pub(super) sink: Mutex<OutSink>,
    pub(super) stream: Mutex<InStream>,
}

impl Shared {
    /// Bytes of a frame's WebSocket header (RFC 6455, section 5.2).
    pub(super) fn header(len: usize, masked: bool) -> usize {
        let length = match len {
            0..126 => 0,
            126..65_536 => 2,
            _ => 8,
        };
        2 + length + if masked { 4 } else { 0 }
    }

    pub(super) fn end(&self, why: TransportError) -> bool {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(why);
            first
        })
    }

    pub(super) async fn ended(&self) -> TransportError {
        let mut ended = self.ended.subscribe();
        // The sender is in `self`: it cannot be gone.
        let why = ended.wait_for(Option::is_some).await.ok();
        why.and_then(|why| why.clone())
            .unwrap_or(TransportError::ClosedHere)
    }

    /// Says goodbye in the background. What is still coming is read and thrown
    /// away: closing a TCP socket with unread bytes would reset it, and could
    /// take the close frame with it.
    pub(super) fn wind_down(self: &Arc<Self>, goodbye: Option<(u16, String)>) {
        let shared = self.clone();
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let _ = tokio::time::timeout(CLOSE_WAIT, async {
                {
                    let mut sink = shared.sink.lock().await;
                    if let Some((code, reason)) = goodbye {
                        let _ = sink.send(Out::Close(code, reason)).await;
                    } else {
                        let _ = sink.flush().await;
                    }
                }
                let over = || shared.ended.borrow().is_some() || !shared.reading.load(SeqCst);
                if over() {
                    let mut stream = shared.stream.lock().await;
                    while let Some(Ok(_)) = stream.next().await {}
                    if shared.unread.load(SeqCst) {
                        // The rest cannot be read any more; leave the socket
                        // open for as long as the peer may need to hear us.
                        std::future::pending::<()>().await;
                    }
                }
            })
            .await;
        });
    }
}

impl Measured for Shared {
    fn measure(&self) -> ConnectionStats {
        self.meter.read()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(id) = self.counted.get() {
            self.counters.retire(*id, &self.measure());
        }
    }
}

pub(super) struct WsConnection {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for WsConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "websocket {}", self.shared.remote)
    }
}

impl WsConnection {
    pub(super) fn new(
        peer: PeerKind,
        remote: SocketAddr,
        max: usize,
        counters: Arc<Counters>,
        (sink, stream): (OutSink, InStream),
    ) -> Self {
        let label = Label::new(&peer, Carrier::WebSocket);
        let shared = Arc::new(Shared {
            dialled: peer == PeerKind::Edge,
            peer,
            remote,
            max,
            meter: Meter::default(),
            counters,
            counted: OnceLock::new(),
            ended: watch::Sender::new(None),
            stream_taken: AtomicBool::new(false),
            reading: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            sink: Mutex::new(sink),
            stream: Mutex::new(stream),
        });
        let source: Weak<Shared> = Arc::downgrade(&shared);
        let _ = shared.counted.set(shared.counters.register(label, source));
        Self { shared }
    }

    fn take_stream(&self) -> Option<FramedStream> {
        if self.shared.stream_taken.swap(true, SeqCst) {
            return None;
        }
        self.shared.reading.store(true, SeqCst);
        Some(FramedStream {
            tx: Box::new(WsSend::new(self.shared.clone())),
            rx: Box::new(WsRecv::new(self.shared.clone())),
        })
    }
}

impl Drop for WsConnection {
    fn drop(&mut self) {
        // Nobody ever took the stream: nobody else will say goodbye.
        if !self.shared.stream_taken.load(SeqCst) && self.shared.ended.borrow().is_none() {
            self.shared.wind_down(Some((close::NORMAL, String::new())));
        }
    }
}

#[async_trait]
impl Connection for WsConnection {
    fn peer(&self) -> &PeerKind {
        &self.shared.peer
    }

    fn remote(&self) -> SocketAddr {
        self.shared.remote
    }

    fn kind(&self) -> Carrier {
        Carrier::WebSocket
    }

    async fn open(&self) -> Result<FramedStream> {
        let refused = TransportError::Unsupported(
            "a WebSocket has one stream, which the dialling side opens once",
        );
        if !self.shared.dialled {
            return Err(refused);
        }
        self.take_stream().ok_or(refused)
    }

    async fn accept(&self) -> Result<Option<FramedStream>> {
        if !self.shared.dialled
            && let Some(stream) = self.take_stream()
        {
            return Ok(Some(stream));
        }
        self.shared.ended().await;
        Ok(None)
    }

    fn close(&self, code: u32, reason: &str) {
        if self.shared.end(TransportError::ClosedHere) {
            self.shared.wind_down(Some(close::encode(code, reason)));
        }
    }

    async fn closed(&self) -> TransportError {
        self.shared.ended().await
    }

    fn stats(&self) -> ConnectionStats {
        self.shared.measure()
    }
}
