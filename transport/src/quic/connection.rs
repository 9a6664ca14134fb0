//! One QUIC connection.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use quinn::{ConnectionError, VarInt};

use super::deframe::Deframer;
use super::stream::{QuicRecv, QuicSend};
use crate::counters::{ConnectionStats, Counters, Label, Measured, Meter};
use crate::error::{Result, TransportError};
use crate::port::{Carrier, Connection, FramedStream, PeerKind};

/// What a connection and its streams share; counted until all are gone.
pub(super) struct Inner {
    quic: quinn::Connection,
    peer: PeerKind,
    max: usize,
    pub(super) meter: Meter,
    counters: Arc<Counters>,
    counted: OnceLock<u64>,
}

impl Inner {
    /// Why the connection ended.
    pub(super) fn why(&self) -> TransportError {
        match self.quic.close_reason() {
            Some(error) => lost(error),
            None => TransportError::StreamFinished,
        }
    }
}

impl Measured for Inner {
    fn measure(&self) -> ConnectionStats {
        let quic = self.quic.stats();
        ConnectionStats {
            wire_sent: quic.udp_tx.bytes,
            wire_received: quic.udp_rx.bytes,
            ..self.meter.read()
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(id) = self.counted.get() {
            self.counters.retire(*id, &self.measure());
        }
    }
}

pub(super) struct QuicConnection {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for QuicConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "quic {} {:?}", self.remote(), self.inner.peer)
    }
}

impl QuicConnection {
    pub(super) fn new(
        quic: quinn::Connection,
        peer: PeerKind,
        max: usize,
        counters: Arc<Counters>,
    ) -> Self {
        let label = Label::new(&peer, Carrier::Quic);
        let inner = Arc::new(Inner {
            quic,
            peer,
            max,
            meter: Meter::default(),
            counters,
            counted: OnceLock::new(),
        });
        let source: Weak<Inner> = Arc::downgrade(&inner);
        let _ = inner.counted.set(inner.counters.register(label, source));
        Self { inner }
    }

    fn stream(&self, tx: quinn::SendStream, rx: quinn::RecvStream) -> FramedStream {
        FramedStream {
            tx: Box::new(QuicSend {
                stream: tx,
                inner: self.inner.clone(),
                max: self.inner.max,
                midway: false,
            }),
            rx: Box::new(QuicRecv {
                stream: rx,
                inner: self.inner.clone(),
                deframer: Deframer::new(self.inner.max),
            }),
        }
    }
}

#[async_trait]
impl Connection for QuicConnection {
    fn peer(&self) -> &PeerKind {
        &self.inner.peer
    }

    fn remote(&self) -> SocketAddr {
        canonical(self.inner.quic.remote_address())
    }

    fn kind(&self) -> Carrier {
        Carrier::Quic
    }

    async fn open(&self) -> Result<FramedStream> {
        let (tx, rx) = self.inner.quic.open_bi().await.map_err(lost)?;
        Ok(self.stream(tx, rx))
    }

    async fn accept(&self) -> Result<Option<FramedStream>> {
        match self.inner.quic.accept_bi().await {
            Ok((tx, rx)) => Ok(Some(self.stream(tx, rx))),
            Err(ConnectionError::TransportError(error)) => Err(TransportError::Protocol {
                reason: error.to_string(),
            }),
            Err(_) => Ok(None),
        }
    }

    fn close(&self, code: u32, reason: &str) {
        let code = VarInt::from_u32(code);
        self.inner.quic.close(code, reason.as_bytes());
    }

    async fn closed(&self) -> TransportError {
        lost(self.inner.quic.closed().await)
    }

    fn stats(&self) -> ConnectionStats {
        self.inner.measure()
    }
}

/// A socket on `[::]` sees IPv4 peers as mapped addresses.
pub(super) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

pub(super) fn lost(error: ConnectionError) -> TransportError {
    match error {
        ConnectionError::ApplicationClosed(close) => TransportError::Closed {
            code: u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX),
            reason: String::from_utf8_lossy(&close.reason).into_owned(),
        },
        ConnectionError::LocallyClosed => TransportError::ClosedHere,
        ConnectionError::TransportError(error) => TransportError::Protocol {
            reason: error.to_string(),
        },
        other => TransportError::lost(other),
    }
}
