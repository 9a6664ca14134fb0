//! Taking requests off the stream.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_transport::{FrameRecv, TransportError};
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{ClientFrame, History, Pong, server_frame};
use folkmoot_wire::{Code, Fault, limits};
use prost::Message;
use tokio::time::{Instant, timeout};

use super::asked::NotTaken;
use super::controls::Control;
use super::hello::Greeting;
use super::{Asked, End, Session};
use crate::edge::requests::{self, history, send};
use crate::edge::stats::Counters;

/// What a client that asks too much at once should wait, in milliseconds.
const TOO_MANY_RETRY_MS: u64 = 100;

impl Session {
    /// Welcomes the client and reads until there is a reason to end.
    pub(super) async fn live(
        self: &Arc<Self>,
        greeting: Box<Greeting>,
        rx: &mut Box<dyn FrameRecv>,
    ) -> End {
        // Boxed, as all that is done once or now and then: it would make every
        // idle session's task larger.
        Box::pin(self.welcome(greeting)).await;
        loop {
            let frame = match timeout(self.core.options.idle, rx.recv()).await {
                Ok(Ok(Some(frame))) => frame,
                Ok(Ok(None)) => return End::Left,
                Ok(Err(error)) => return broken(&error),
                Err(_) => return End::Close(Code::IdleTimeout.into()),
            };
            if let Err(end) = Box::pin(self.take(frame)).await {
                return end;
            }
        }
    }

    /// Takes one frame; `Err` when the stream cannot go on.
    async fn take(self: &Arc<Self>, frame: Bytes) -> Result<(), End> {
        let len = frame.len();
        let frame = ClientFrame::decode(frame)
            .map_err(|error| close(Code::MalformedFrame, error.to_string()))?;
        if frame.id == 0 {
            return Err(close(
                Code::MalformedFrame,
                "a request has an id other than 0",
            ));
        }
        Counters::add(&self.core.counters.requests);
        let bytes = self.open.room(len).await;
        let asked = match Asked::new(self, frame.id, bytes) {
            Ok(asked) => asked,
            Err(NotTaken::TooMany) => {
                self.too_many(frame.id, TOO_MANY_RETRY_MS).await;
                return Ok(());
            }
            // Two requests, one id: no answer could be told from the other.
            Err(NotTaken::Duplicate) => {
                return Err(close(Code::DuplicateRequest, format!("id {}", frame.id)));
            }
        };
        self.dispatch(asked, frame.request).await
    }

    async fn dispatch(self: &Arc<Self>, asked: Asked, request: Option<Request>) -> Result<(), End> {
        match request {
            None => asked.reply(Err(Code::UnknownRequest.into())).await,
            Some(Request::Goodbye(_)) => return Err(End::Left),
            Some(Request::Hello(_)) => {
                let fault = Fault::new(Code::Invalid, "a session has one Hello");
                asked.reply(Err(fault)).await;
            }
            Some(Request::Ping(_)) => {
                let pong = self.core.backend.stamp().map(|stamp| {
                    let stamp = stamp.as_u64();
                    server_frame::Body::Pong(Pong { stamp })
                });
                asked.reply(pong).await;
            }
            Some(Request::Send(request)) => {
                if let Some(asked) = self.allowed(asked).await {
                    send::send(self, asked, request).await;
                }
            }
            Some(Request::UpdateProfile(request)) => {
                if let Some(asked) = self.allowed(asked).await {
                    send::update_profile(self, asked, request).await;
                }
            }
            Some(Request::Activate(request)) => {
                self.control(Control::Activate(asked, request));
            }
            Some(Request::Deactivate(request)) => {
                self.control(Control::Deactivate(asked, request));
            }
            Some(Request::History(request)) => {
                let session = Arc::clone(self);
                self.spawn(async move { session.page(asked, request).await });
            }
            Some(request) => {
                let session = Arc::clone(self);
                let mut answer = Box::pin(async move {
                    // Never closed.
                    let _permit = session.jobs.acquire().await;
                    let result = requests::answer(&session, request).await;
                    asked.reply(result).await;
                });
                // Most are answered from what is here, at once: they need no
                // task of their own.
                if futures_util::poll!(answer.as_mut()).is_pending() {
                    self.spawn(answer);
                }
            }
        }
        Ok(())
    }

    /// Answers with a page of history, when there is room for it.
    async fn page(self: Arc<Self>, asked: Asked, request: History) {
        match self.core.bulk.share(&self.pages).await {
            Some(share) => {
                let result = history::history(&self, &request).await;
                asked.reply_page(result, share).await;
            }
            None => {
                Counters::add(&self.core.counters.refused_pages);
                let fault = self.later(Code::Busy, limits::PAGES_RETRY);
                asked.reply(Err(fault)).await;
            }
        }
    }

    /// Whether the session may send now; answers when it may not.
    async fn allowed(&self, asked: Asked) -> Option<Asked> {
        let verdict = self.limiter.lock().take(Instant::now());
        match verdict {
            Ok(()) => Some(asked),
            Err(wait) => {
                Counters::add(&self.core.counters.too_many_requests);
                let ms = (wait.as_millis() as u64).max(1);
                let fault = Fault::new(Code::TooManyRequests, "sends").retry_after(ms);
                asked.reply(Err(fault)).await;
                None
            }
        }
    }

    async fn too_many(&self, id: u64, retry_ms: u64) {
        Counters::add(&self.core.counters.too_many_requests);
        let fault = Fault::new(Code::TooManyRequests, "open requests").retry_after(retry_ms);
        let frame = super::encode(id, server_frame::Body::Error(fault.into()));
        self.link.outbound.reply(frame).await;
    }
}

fn close(code: Code, detail: impl Into<String>) -> End {
    End::Close(Fault::new(code, detail))
}

/// What the end of the stream means: a frame that cannot be read is told, a
/// connection that is gone is not.
fn broken(error: &TransportError) -> End {
    match error.code() {
        code @ (Code::FrameTooLarge | Code::MalformedFrame) => close(code, error.to_string()),
        _ => End::Left,
    }
}
