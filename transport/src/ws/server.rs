//! The serving side: an adapter from axum's WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use futures_util::{SinkExt, StreamExt, future::ready};
use tokio_tungstenite::tungstenite;

use super::client::io_error;
use super::connection::{In, InStream, Out, OutSink, WsConnection};
use super::{WRITE_BUFFER, WsOptions};
use crate::error::TransportError;
use crate::port::{Connection, PeerKind};

/// Bytes taken at once from the TLS session, which has read them already. One
/// such buffer per connection; it grows with the messages that come.
const READ_BUFFER: usize = 1024;

/// Sets the limits of a WebSocket before it is upgraded. To be called for
/// every one: axum's own limits are far larger.
pub fn configure<F>(upgrade: WebSocketUpgrade<F>, options: &WsOptions) -> WebSocketUpgrade<F> {
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(options.frames.client)
        .max_frame_size(options.frames.client)
}

/// Makes a connection of an upgraded WebSocket. The upgrade's task may end:
/// the socket lives as long as the connection and its stream.
#[must_use]
pub fn accept(socket: WebSocket, remote: SocketAddr, options: &WsOptions) -> Arc<dyn Connection> {
    Arc::new(WsConnection::new(
        PeerKind::Client,
        remote,
        options.frames.client,
        options.counters.clone(),
        halves(socket),
    ))
}

fn halves(socket: WebSocket) -> (OutSink, InStream) {
    let (sink, stream) = socket.split();
    let sink = sink.with(|out| ready(Ok::<_, TransportError>(message(out))));
    let stream = stream.map(|item| match item {
        Ok(Message::Binary(frame)) => Ok(In::Frame(frame)),
        Ok(Message::Text(_)) => Ok(In::Text),
        Ok(Message::Close(frame)) => Ok(In::Close(
            frame.map(|frame| (frame.code, frame.reason.to_string())),
        )),
        Ok(Message::Ping(_) | Message::Pong(_)) => Ok(In::Control),
        Err(cause) => Err(cause.into()),
    });
    (Box::pin(sink), Box::pin(stream))
}

fn message(out: Out) -> Message {
    match out {
        Out::Frame(frame) => Message::Binary(frame),
        Out::Close(code, reason) => Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        })),
    }
}

impl From<axum::Error> for TransportError {
    fn from(error: axum::Error) -> Self {
        match error.into_inner().downcast::<tungstenite::Error>() {
            Ok(error) => io_error(&error),
            Err(error) => Self::lost(error),
        }
    }
}
