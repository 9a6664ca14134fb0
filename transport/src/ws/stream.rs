//! The one stream of a WebSocket.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};

use super::close;
use super::connection::{CLOSE_WAIT, In, Out, Shared};
use crate::error::{Result, TransportError};
use crate::port::{FrameRecv, FrameSend};

pub(super) struct WsSend {
    shared: Arc<Shared>,
    finished: bool,
}

impl WsSend {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            finished: false,
        }
    }

    async fn write(&mut self, frames: &[Bytes]) -> Result<()> {
        if self.finished {
            return Err(TransportError::StreamFinished);
        }
        let shared = &self.shared;
        if let Some(frame) = frames.iter().find(|frame| frame.len() > shared.max) {
            return Err(TransportError::FrameTooLarge {
                len: frame.len(),
                max: shared.max,
            });
        }
        let write = async {
            let mut sink = shared.sink.lock().await;
            for frame in frames {
                sink.feed(Out::Frame(frame.clone())).await?;
                let header = Shared::header(frame.len(), shared.dialled);
                shared.meter.sent(frame.len(), header);
            }
            sink.flush().await
        };
        if let Some(why) = shared.ended.borrow().clone() {
            return Err(why);
        }
        // Nearly always there is room, and nothing to be waited for.
        let written = tokio::select! {
            biased;
            written = write => written,
            why = shared.ended() => return Err(why),
        };
        // The peer's close frame may be what made writing fail; then the
        // reader knows the better reason.
        written.map_err(|error| shared.ended.borrow().clone().unwrap_or(error))
    }
}

#[async_trait]
impl FrameSend for WsSend {
    async fn send(&mut self, frame: Bytes) -> Result<()> {
        self.write(std::slice::from_ref(&frame)).await
    }

    async fn send_many(&mut self, frames: &[Bytes]) -> Result<()> {
        self.write(frames).await
    }

    async fn finish(&mut self) -> Result<()> {
        if self.finished {
            return Err(TransportError::StreamFinished);
        }
        let shared = &self.shared;
        let goodbye = async {
            let mut sink = shared.sink.lock().await;
            sink.send(Out::Close(close::NORMAL, String::new())).await
        };
        let done = tokio::select! {
            biased;
            why = shared.ended() => Err(why),
            done = tokio::time::timeout(CLOSE_WAIT, goodbye) => done.unwrap_or(Err(
                TransportError::Deadline {
                    what: "writing what a finished stream still holds",
                    after: CLOSE_WAIT,
                },
            )),
        };
        self.finished = true;
        done
    }
}

impl Drop for WsSend {
    fn drop(&mut self) {
        if !self.finished && self.shared.ended.borrow().is_none() {
            self.shared.wind_down(Some((close::NORMAL, String::new())));
        }
    }
}

pub(super) struct WsRecv {
    shared: Arc<Shared>,
    finished: bool,
}

impl WsRecv {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            finished: false,
        }
    }

    async fn next(&self) -> Result<Option<Bytes>> {
        let shared = &self.shared;
        let mut stream = shared.stream.lock().await;
        loop {
            match stream.next().await {
                Some(Ok(In::Control)) => {}
                Some(Ok(In::Frame(frame))) if frame.len() > shared.max => {
                    return Err(TransportError::FrameTooLarge {
                        len: frame.len(),
                        max: shared.max,
                    });
                }
                Some(Ok(In::Frame(frame))) => {
                    let header = Shared::header(frame.len(), !shared.dialled);
                    shared.meter.received(frame.len(), header);
                    return Ok(Some(frame));
                }
                Some(Ok(In::Text)) => return Err(TransportError::NotBinary),
                Some(Ok(In::Close(frame))) => {
                    let frame = frame.as_ref().map(|(code, text)| (*code, text.as_str()));
                    return close::decode(frame).map_or(Ok(None), Err);
                }
                Some(Err(error)) => return Err(error),
                None => return Err(TransportError::lost("the TCP connection was closed")),
            }
        }
    }
}

#[async_trait]
impl FrameRecv for WsRecv {
    async fn recv(&mut self) -> Result<Option<Bytes>> {
        if self.finished {
            return Ok(None);
        }
        let got = tokio::select! {
            biased;
            why = self.shared.ended() => return Err(why),
            got = self.next() => got,
        };
        match &got {
            Ok(Some(_)) => {}
            Ok(None) => {
                self.finished = true;
                let over = TransportError::Closed {
                    code: 0,
                    reason: "finished".into(),
                };
                if self.shared.end(over) {
                    self.shared.wind_down(None);
                }
            }
            // The caller answers these and closes; nothing more can be read.
            Err(TransportError::FrameTooLarge { .. }) => self.shared.unread.store(true, SeqCst),
            Err(TransportError::NotBinary) => {}
            Err(error) => {
                if self.shared.end(error.clone()) {
                    self.shared.wind_down(None);
                }
            }
        }
        got
    }
}

impl Drop for WsRecv {
    fn drop(&mut self) {
        self.shared.reading.store(false, SeqCst);
    }
}
