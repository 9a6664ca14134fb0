//! One session: one stream of a client's connection, from Hello to Closing.
//!
//! A reader takes requests, as many at once as [`limits::SESSION_REQUESTS`]
//! allows; a writer works off the outbound queue. What a request needs to
//! wait for is awaited in a task of the session, never by the reader, except
//! that it waits for the room that requests and replies take: a client that
//! does not read its replies is not read from.

mod asked;
mod controls;
mod hello;
mod lanes;
mod limiter;
mod reader;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use folkmoot_transport::{Connection, FrameSend, FramedStream, finish_and_close};
use folkmoot_wire::proto::{Closing, ServerFrame, server_frame};
use folkmoot_wire::{Code, DeviceId, Fault, UserId, limits};
use prost::Message;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bulk::Turns;
use super::core::Core;
use super::fanout::Link;
use super::outbound::Outbound;
use super::stats::Counters;
pub(super) use asked::{Asked, encode};
use controls::Controls;
use hello::Greeting;
pub(super) use lanes::Job;
use lanes::Lanes;
use limiter::Limiter;

/// Bytes of requests that one session may have open. More: the reader waits.
const OPEN_BYTES: usize = 4 * 1024 * 1024;
/// Requests of one session that are worked on at once, sends aside. More wait.
const CONCURRENT: usize = 32;
/// Open requests of a session that ends may take this long.
const GRACE: Duration = Duration::from_secs(2);
/// Writing what is left may take this long.
const FLUSH: Duration = Duration::from_secs(5);
/// Clients that are sent to other edges come there spread over this time.
const SPREAD: Duration = Duration::from_secs(2);
/// Longest time a token is waited out; one that lasts longer never ends.
const TOKEN_HORIZON: Duration = Duration::from_secs(30 * 24 * 3600);

/// A session that was welcomed, or is about to be.
pub(super) struct Session {
    pub(super) core: Arc<Core>,
    pub(super) link: Arc<Link>,
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    open: asked::OpenRequests,
    jobs: Semaphore,
    pages: Turns,
    lanes: Lanes,
    limiter: parking_lot::Mutex<Limiter>,
    controls: Controls,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The client left.
    Left,
    /// The stream cannot be written to.
    Broken(Code),
    /// This side ends it and says so.
    Close(Fault),
}

/// Serves one connection until it ends.
pub(super) async fn serve(core: Arc<Core>, connection: Arc<dyn Connection>) {
    let stopped = core.stopped.clone();
    tokio::select! {
        biased;
        () = stopped.cancelled() => {
            connection.close(Code::Draining as u32, Code::Draining.name());
        }
        () = meet(core, Arc::clone(&connection)) => {}
    }
}

/// Waits for Hello, within its deadline.
async fn meet(core: Arc<Core>, connection: Arc<dyn Connection>) {
    let deadline = Instant::now() + limits::HELLO_DEADLINE;
    let FramedStream { tx, mut rx } = match timeout_at(deadline, connection.accept()).await {
        Ok(Ok(Some(stream))) => stream,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return connection.close(error.code() as u32, &error.to_string()),
        Err(_) => {
            let code = Code::HelloTimeout;
            return connection.close(code as u32, code.name());
        }
    };
    let first = match timeout_at(deadline, rx.recv()).await {
        Ok(Ok(Some(frame))) => Ok(frame),
        Ok(Ok(None)) => return,
        Ok(Err(error)) => Err(Fault::new(error.code(), error.to_string())),
        Err(_) => Err(Code::HelloTimeout.into()),
    };
    let greeting = match first {
        Ok(frame) => Box::pin(hello::greet(&core, frame)).await,
        Err(fault) => Err((0, fault)),
    };
    match greeting {
        Ok(greeting) => run(core, connection, Box::new(greeting), tx, rx).await,
        Err((id, fault)) => Box::pin(refuse(&connection, tx, id, fault)).await,
    }
}

/// The one answer of a session that does not come about.
async fn refuse(
    connection: &Arc<dyn Connection>,
    mut tx: Box<dyn FrameSend>,
    id: u64,
    fault: Fault,
) {
    let frame = if id == 0 {
        closing(&fault)
    } else {
        encode(id, server_frame::Body::Error((&fault).into()))
    };
    let (code, reason) = (fault.code as u32, fault.to_string());
    let last = async {
        if tx.send(frame).await.is_ok() {
            finish_and_close(&**connection, tx, code, &reason).await;
        }
    };
    let _ = timeout(FLUSH, last).await;
    connection.close(code, &reason);
}

fn closing(fault: &Fault) -> bytes::Bytes {
    let frame = ServerFrame {
        id: 0,
        body: Some(server_frame::Body::Closing(Closing {
            code: fault.code as u32,
            reason: fault.to_string(),
            retry_after_ms: fault.retry_after_ms,
        })),
    };
    bytes::Bytes::from(frame.encode_to_vec())
}

async fn run(
    core: Arc<Core>,
    connection: Arc<dyn Connection>,
    greeting: Box<Greeting>,
    tx: Box<dyn FrameSend>,
    mut rx: Box<dyn folkmoot_transport::FrameRecv>,
) {
    let sessions = core.counters.sessions(connection.kind());
    sessions.fetch_add(1, Ordering::Relaxed);
    let session = Arc::new(Session::new(Arc::clone(&core), &greeting));
    let outbound = Arc::clone(&session.link.outbound);
    let writer = tokio::spawn(write(Arc::clone(&outbound), tx, core.options.stall));
    core.add(&session.link);
    let token_ends = Instant::now() + greeting.lasts.min(TOKEN_HORIZON);
    let end = tokio::select! {
        biased;
        code = outbound.failed() => End::Broken(code),
        () = core.draining.cancelled() => End::Close(session.sent(Code::Draining)),
        () = core.sent_away() => End::Close(session.sent(Code::ClockDrift)),
        () = sleep_until(token_ends), if greeting.lasts < TOKEN_HORIZON => {
            End::Close(Code::TokenExpired.into())
        }
        end = session.live(greeting, &mut rx) => end,
    };
    Box::pin(session.finish(&connection, end, writer)).await;
    sessions.fetch_sub(1, Ordering::Relaxed);
}

/// Writes what is queued until the queue is closed and empty; gives the
/// stream back if it can still be written to.
async fn write(
    outbound: Arc<Outbound>,
    mut tx: Box<dyn FrameSend>,
    stall: Duration,
) -> Option<Box<dyn FrameSend>> {
    while let Some(frames) = outbound.next().await {
        if let Err(failed) = within(stall, tx.send_many(&frames)).await {
            outbound.fail(failed);
            return None;
        }
    }
    Some(tx)
}

/// A write that may take so long. Nearly always it takes no time at all, and
/// then there is no timer.
async fn within(
    stall: Duration,
    mut write: impl Future<Output = folkmoot_transport::Result<()>> + Unpin,
) -> Result<(), Code> {
    let written = match futures_util::poll!(&mut write) {
        Poll::Ready(written) => written,
        Poll::Pending => match timeout(stall, write).await {
            Ok(written) => written,
            Err(_) => return Err(Code::SlowConsumer),
        },
    };
    written.map_err(|error| error.code())
}

impl Session {
    fn new(core: Arc<Core>, greeting: &Greeting) -> Self {
        let asked = |feature: &str| greeting.features.iter().any(|f| f == feature);
        let link = Arc::new(Link {
            id: core.next_session(),
            user: greeting.user,
            outbound: Arc::new(Outbound::new(core.options.queue)),
            rows: asked("rows"),
            bumps: asked("bumps"),
            tentative: asked("tentative"),
            held: parking_lot::Mutex::default(),
        });
        // Until Welcome.
        link.outbound.cork();
        Self {
            user: greeting.user,
            device: DeviceId(greeting.hello.device),
            open: asked::OpenRequests::new(limits::SESSION_REQUESTS, OPEN_BYTES),
            jobs: Semaphore::new(CONCURRENT),
            pages: Turns::default(),
            lanes: Lanes::default(),
            limiter: parking_lot::Mutex::new(Limiter::new(core.options.sends, Instant::now())),
            controls: Controls::default(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
            link,
            core,
        }
    }

    /// Runs `work` until it is done or the session has ended.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Why the client is sent to another edge, and when it may come.
    fn sent(&self, why: Code) -> Fault {
        self.later(why, SPREAD)
    }

    /// As [`Core::later`].
    pub(super) fn later(&self, why: Code, spread: Duration) -> Fault {
        self.core.later(why, spread)
    }

    /// Ends in order: no more pushes, the open requests answered, a last
    /// word, everything written.
    async fn finish(
        &self,
        connection: &Arc<dyn Connection>,
        end: End,
        writer: tokio::task::JoinHandle<Option<Box<dyn FrameSend>>>,
    ) {
        self.core.remove(&self.link);
        let outbound = &self.link.outbound;
        if !matches!(end, End::Broken(_)) {
            self.tasks.close();
            let _ = timeout(GRACE, self.open.settled()).await;
        }
        self.cancel.cancel();
        self.lanes.clear();
        self.controls.clear();
        let (code, reason) = match &end {
            End::Left => (0, "goodbye".to_owned()),
            End::Broken(code) => (*code as u32, code.name().to_owned()),
            End::Close(fault) => {
                outbound.last(closing(fault));
                (fault.code as u32, fault.to_string())
            }
        };
        match &end {
            End::Broken(Code::SlowConsumer) => Counters::add(&self.core.counters.slow_consumers),
            End::Close(fault) if (100..=104).contains(&(fault.code as u32)) => {
                Counters::add(&self.core.counters.bad_frames);
            }
            _ => {}
        }
        outbound.close();
        let abort = writer.abort_handle();
        let last = async {
            if let Ok(Some(tx)) = writer.await {
                finish_and_close(&**connection, tx, code, &reason).await;
            }
        };
        if timeout(FLUSH, last).await.is_err() {
            abort.abort();
        }
        tracing::debug!(user = %self.user, code, reason, "session ended");
        connection.close(code, &reason);
    }
}
