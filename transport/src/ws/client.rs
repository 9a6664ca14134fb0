//! The dialling side.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use folkmoot_wire::version::WS_PATH;
use folkmoot_wire::{Code, NodeId};
use futures_util::{SinkExt, StreamExt, future::ready};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use super::connection::{In, InStream, Out, OutSink, WsConnection};
use super::{WRITE_BUFFER, WsOptions};
use crate::error::{Result, TransportError};
use crate::pki::Fingerprint;
use crate::port::{Connection, Dial, PeerKind};
use crate::tls::{self, Trust};

/// Bytes read at once.
const READ_BUFFER: usize = 8 * 1024;

/// Dials edges over WebSocket.
#[derive(Debug)]
pub struct WsDialer {
    tls: Option<Arc<ClientConfig>>,
    options: WsOptions,
}

impl WsDialer {
    /// Dials `wss`.
    ///
    /// # Errors
    /// When a trusted certificate cannot be read.
    pub fn new(trust: &Trust, options: WsOptions) -> Result<Self> {
        Ok(Self {
            tls: Some(Arc::new(tls::web_client(trust)?)),
            options,
        })
    }

    /// Dials plain `ws`: for tests, and where something else does the TLS.
    #[must_use]
    pub fn plain(options: WsOptions) -> Self {
        Self { tls: None, options }
    }

    async fn connect(&self, addr: SocketAddr, name: &str) -> Result<Arc<dyn Connection>> {
        let unreachable = |error: std::io::Error| TransportError::Unreachable {
            addr,
            reason: error.to_string(),
        };
        let tcp = TcpStream::connect(addr).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        super::keep_dialled_alive(&tcp).map_err(unreachable)?;
        let host = match name.parse::<Ipv6Addr>() {
            Ok(ip) => format!("[{ip}]"),
            Err(_) => name.to_owned(),
        };
        let (scheme, connector) = match &self.tls {
            Some(tls) => ("wss", Connector::Rustls(tls.clone())),
            None => ("ws", Connector::Plain),
        };
        let url = format!("{scheme}://{host}:{}{WS_PATH}", addr.port());
        let max = self.options.frames.client;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(max))
            .max_frame_size(Some(max));
        let (socket, _) = tokio_tungstenite::client_async_tls_with_config(
            url,
            tcp,
            Some(config),
            Some(connector),
        )
        .await
        .map_err(|error| handshake_error(addr, error))?;
        Ok(Arc::new(WsConnection::new(
            PeerKind::Edge,
            addr,
            max,
            self.options.counters.clone(),
            halves(socket),
        )))
    }
}

#[async_trait]
impl Dial for WsDialer {
    async fn dial_node(&self, _: NodeId, _: SocketAddr) -> Result<Arc<dyn Connection>> {
        Err(TransportError::Unsupported(
            "nodes connect over QUIC, not over WebSocket",
        ))
    }

    async fn dial_client(
        &self,
        addr: SocketAddr,
        server_name: &str,
    ) -> Result<Arc<dyn Connection>> {
        let after = self.options.dial_deadline;
        match tokio::time::timeout(after, self.connect(addr, server_name)).await {
            Ok(dialled) => dialled,
            Err(_) => Err(TransportError::Deadline {
                what: "dialling",
                after,
            }),
        }
    }

    async fn dial_join(&self, _: SocketAddr, _: Fingerprint) -> Result<Arc<dyn Connection>> {
        Err(TransportError::Unsupported(
            "nodes join over QUIC, not over WebSocket",
        ))
    }
}

pub(super) fn halves(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> (OutSink, InStream) {
    let (sink, stream) = socket.split();
    // `sink_map_err` maps one error and panics at the next: whoever says goodbye
    // has seen one.
    let sink = sink.with(|out| ready(Ok::<_, TransportError>(message(out))));
    let stream = stream.map(|item| match item {
        Ok(Message::Binary(frame)) => Ok(In::Frame(frame)),
        Ok(Message::Text(_)) => Ok(In::Text),
        Ok(Message::Close(frame)) => {
            Ok(In::Close(frame.map(|frame| {
                (frame.code.into(), frame.reason.to_string())
            })))
        }
        Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Ok(In::Control),
        Err(error) => Err(io_error(&error)),
    });
    (Box::pin(sink), Box::pin(stream))
}

fn message(out: Out) -> Message {
    match out {
        Out::Frame(frame) => Message::Binary(frame),
        Out::Close(code, reason) => Message::Close(Some(CloseFrame {
            code: code.into(),
            reason: reason.into(),
        })),
    }
}

impl From<Error> for TransportError {
    fn from(error: Error) -> Self {
        io_error(&error)
    }
}

/// What an error of the WebSocket library means on a connection that stands.
pub(super) fn io_error(error: &Error) -> TransportError {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            TransportError::FrameTooLarge {
                len: *size,
                max: *max_size,
            }
        }
        Error::ConnectionClosed | Error::AlreadyClosed => TransportError::StreamFinished,
        Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::SendAfterClosing) => {
            TransportError::StreamFinished
        }
        Error::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )
        | Error::Io(_) => TransportError::lost(error),
        other => TransportError::Protocol {
            reason: other.to_string(),
        },
    }
}

fn handshake_error(addr: SocketAddr, error: Error) -> TransportError {
    match error {
        Error::Io(io) => match io.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
            Some(tls) => TransportError::Tls {
                addr,
                reason: tls.to_string(),
            },
            None => TransportError::Unreachable {
                addr,
                reason: io.to_string(),
            },
        },
        Error::Tls(tls) => TransportError::Tls {
            addr,
            reason: tls.to_string(),
        },
        Error::Http(response) if response.status().as_u16() == 503 => TransportError::Closed {
            code: Code::Busy as u32,
            reason: "the edge answered 503".into(),
        },
        other => TransportError::Protocol {
            reason: other.to_string(),
        },
    }
}
