//! The one task of a client: it connects, runs the engine, keeps records, and
//! connects again.

mod beside;
pub(crate) mod dial;
mod link;

use std::sync::Arc;
use std::time::Duration;

use folkmoot_wire::{Code, UserId};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::core::backoff::Backoff;
use crate::engine::{Command, End, Engine};
use crate::error::{ClientError, Result};
use crate::event::Event;
use crate::feed::Wakers;
use crate::store::LocalStore;
use crate::token::TokenProvider;
use beside::Beside;
use dial::{Dialed, Dialers};
use link::Link;

/// Commands taken in one go, before the network has its turn again.
const COMMANDS_AT_ONCE: usize = 64;
/// How long the last frames may take when the client is closed.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

type Dialing = BoxFuture<'static, Result<(Dialed, String)>>;

pub(crate) struct Driver {
    pub(crate) engine: Engine,
    pub(crate) store: Box<dyn LocalStore>,
    pub(crate) dialers: Arc<Dialers>,
    pub(crate) token: Arc<dyn TokenProvider>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) wakers: Arc<Wakers>,
    pub(crate) backoff: Backoff,
    /// Told once: the user after the first Welcome, or why there is none.
    pub(crate) ready: Option<oneshot::Sender<Result<UserId>>>,
}

enum State {
    /// Until this time.
    Waiting(Instant),
    Dialing(Dialing),
    Linked(Box<Link>),
}

enum Step {
    Go,
    Lost(End),
    Close(Option<oneshot::Sender<()>>),
}

struct Run {
    driver: Driver,
    start: Instant,
    state: State,
    beside: Beside,
    /// Attempts in a row that led to no session.
    failures: u32,
    /// Which edge comes first.
    turn: usize,
    greeted: bool,
}

impl Driver {
    /// Runs until the client is closed or cannot go on.
    pub(crate) async fn run(self) {
        let start = Instant::now();
        let mut run = Run {
            driver: self,
            start,
            state: State::Waiting(start),
            beside: Beside::default(),
            failures: 0,
            turn: 0,
            greeted: false,
        };
        let (reason, closed) = run.serve().await;
        run.finish(&reason).await;
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }
}

impl Run {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    async fn serve(&mut self) -> (ClientError, Option<oneshot::Sender<()>>) {
        loop {
            if let Err(error) = self.flush().await {
                return (error, None);
            }
            self.look_beside();
            match self.step().await {
                Step::Go => {}
                Step::Close(closed) => return (ClientError::Closed, closed),
                Step::Lost(end) => {
                    if let Some(fatal) = self.lost(end) {
                        return (fatal, None);
                    }
                }
            }
        }
    }

    /// Does what the engine asks for: keeps records, then tells the application
    /// what came of its messages, and sends frames.
    async fn flush(&mut self) -> Result<()> {
        let now = self.now();
        let output = self.driver.engine.take_output(now);
        if !output.records.is_empty() {
            self.driver.store.append(output.records).await?;
        }
        for (reply, result) in output.receipts {
            // The caller may not want to know.
            let _ = reply.send(result);
        }
        for event in output.events {
            self.driver.engine.emit(event);
        }
        if let State::Linked(link) = &mut self.state {
            link.queue(output.frames);
        }
        Ok(())
    }

    async fn step(&mut self) -> Step {
        let wake_at = self.driver.engine.wake_at(self.now());
        let wake_at = wake_at.map(|at| self.start + at);
        // Far enough for a client with nothing to do.
        let idle = Instant::now() + Duration::from_secs(3600);
        let timer = tokio::time::sleep_until(wake_at.unwrap_or(idle));
        let driver = &mut self.driver;
        let step = tokio::select! {
            biased;
            moved = advance(&mut self.state) => match moved {
                Moved::Due => {
                    self.state = State::Dialing(self.dialing(None));
                    Step::Go
                }
                Moved::Dialed(Ok((dialed, token))) => {
                    self.link(dialed, token);
                    Step::Go
                }
                Moved::Dialed(Err(reason)) => Step::Lost(End { retry_after_ms: 0, reason }),
                Moved::Written => Step::Go,
                Moved::Frame(frame) => self.frame(frame),
                Moved::Broken(reason) => Step::Lost(End { retry_after_ms: 0, reason }),
            },
            found = self.beside.advance() => {
                self.found_beside(found);
                Step::Go
            }
            command = driver.commands.recv() => match command {
                Some(command) => self.command(command),
                None => Step::Close(None),
            },
            () = driver.wakers.notify.notified() => Step::Go,
            () = timer => {
                let now = self.now();
                match self.driver.engine.tick(now) {
                    Ok(()) => Step::Go,
                    Err(end) => Step::Lost(end),
                }
            }
        };
        if matches!(step, Step::Go) {
            return self.drain();
        }
        step
    }

    /// Gives commands and readers their turn, however busy the network is.
    fn drain(&mut self) -> Step {
        self.driver.engine.readers_woke();
        for _ in 0..COMMANDS_AT_ONCE {
            let Ok(command) = self.driver.commands.try_recv() else {
                break;
            };
            if let closing @ Step::Close(_) = self.command(command) {
                return closing;
            }
        }
        let now = self.now();
        match self.driver.engine.tick(now) {
            Ok(()) => Step::Go,
            Err(end) => Step::Lost(end),
        }
    }

    fn command(&mut self, command: Command) -> Step {
        match command {
            Command::Close { reply } => Step::Close(Some(reply)),
            command => {
                let now = self.now();
                self.driver.engine.command(command, now);
                Step::Go
            }
        }
    }

    fn frame(&mut self, frame: bytes::Bytes) -> Step {
        let now = self.now();
        let was_greeted = self.driver.engine.greeting().is_some();
        if let Err(end) = self.driver.engine.frame(frame, now) {
            return Step::Lost(end);
        }
        if !was_greeted && self.driver.engine.greeting().is_some() {
            self.welcomed();
        }
        Step::Go
    }

    fn welcomed(&mut self) {
        self.failures = 0;
        self.greeted = true;
        let (Some(greeting), State::Linked(link)) = (self.driver.engine.greeting(), &self.state)
        else {
            return;
        };
        if let Some(ready) = self.driver.ready.take() {
            let _ = ready.send(Ok(greeting.user));
        }
        debug!(
            edge = link.edge(),
            carrier = link.carrier().name(),
            "connected"
        );
        self.driver.engine.emit(Event::Connected {
            edge: link.edge().to_owned(),
            carrier: link.carrier(),
            region: greeting.region.clone(),
            node: greeting.node,
        });
    }

    /// Dials the edges in turn, all but one perhaps.
    fn dialing(&self, except: Option<String>) -> Dialing {
        let dialers = self.driver.dialers.clone();
        let token = self.driver.token.clone();
        let turn = self.turn;
        Box::pin(async move {
            let token = token.token().await.map_err(ClientError::Token)?;
            Ok((dialers.dial(turn, except.as_deref()).await?, token))
        })
    }

    /// Ends the session there is, if any.
    fn leave(&mut self, reason: &ClientError) {
        if let State::Linked(link) = &self.state {
            let code = reason.code().unwrap_or(Code::Unavailable);
            link.close(code as u32, "the client ended the session");
        }
        let now = self.now();
        self.driver.engine.disconnected(now);
    }

    /// The session or attempt ended. Gives the reason when that is final.
    fn lost(&mut self, end: End) -> Option<ClientError> {
        self.leave(&end.reason);
        // A first session that is refused for good is for the application to
        // put right. Later the same may pass: tokens are renewed, edges are
        // updated.
        let is_final = match end.reason {
            ClientError::WrongStore { .. } | ClientError::Store(_) => true,
            _ => !self.greeted && !end.reason.may_pass(),
        };
        if is_final {
            return Some(end.reason);
        }
        self.failures = self.failures.saturating_add(1);
        // Another edge first, if there is one.
        self.turn = self.turn.wrapping_add(1);
        let asked = Duration::from_millis(end.retry_after_ms);
        let delay = self
            .driver
            .backoff
            .delay(self.failures, asked, self.driver.engine.rng());
        warn!(reason = %end.reason, retry = ?delay, "not connected");
        self.driver.engine.emit(Event::Disconnected {
            reason: end.reason,
            retry_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        });
        self.state = State::Waiting(Instant::now() + delay);
        None
    }

    async fn finish(&mut self, reason: &ClientError) {
        if let Some(ready) = self.driver.ready.take() {
            let _ = ready.send(Err(reason.clone()));
        }
        self.driver.engine.save_points();
        let now = self.now();
        self.driver.engine.goodbye(now);
        let stored = self.flush().await;
        if let (Ok(()), State::Linked(link)) = (stored, &mut self.state) {
            let _ = tokio::time::timeout(CLOSE_WAIT, link.finish()).await;
            link.close(0, "goodbye");
        }
        self.driver.engine.shut(reason);
    }
}

/// What the network did.
enum Moved {
    Due,
    Dialed(Result<(Dialed, String)>),
    Written,
    Frame(bytes::Bytes),
    Broken(ClientError),
}

/// May be dropped at any point: what is under way stays in `state`.
async fn advance(state: &mut State) -> Moved {
    match state {
        State::Waiting(until) => {
            tokio::time::sleep_until(*until).await;
            Moved::Due
        }
        State::Dialing(dialing) => Moved::Dialed(dialing.await),
        State::Linked(link) => match link.advance().await {
            Ok(Some(frame)) => Moved::Frame(frame),
            Ok(None) => Moved::Written,
            Err(error) => Moved::Broken(error.into()),
        },
    }
}
