//! WebSocket: a connection with exactly one stream. One binary message is one
//! frame, without a length in front. The dialling side opens the stream, the
//! serving side accepts it.
//!
//! A connection that is closed with a code of ours ends with the WebSocket
//! close code 4000 + code and the reason `<code> <reason>`; one that is only
//! finished, with 1000.

mod alive;
mod client;
mod close;
mod connection;
mod server;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::counters::Counters;
use crate::port::FrameLimits;

pub use alive::{keep_alive, keep_dialled_alive};
pub use client::WsDialer;
pub use server::{accept, configure};

/// Bytes of messages gathered before they are written.
const WRITE_BUFFER: usize = 16 * 1024;

/// Settings of WebSocket connections.
#[derive(Debug, Clone)]
pub struct WsOptions {
    /// Largest frames; of the client's side, WebSocket carries no others.
    pub frames: FrameLimits,
    /// A dial must be done within this time.
    pub dial_deadline: Duration,
    /// Where connections are counted.
    pub counters: Arc<Counters>,
}

impl Default for WsOptions {
    fn default() -> Self {
        Self {
            frames: FrameLimits::default(),
            dial_deadline: Duration::from_secs(5),
            counters: Counters::new(),
        }
    }
}
