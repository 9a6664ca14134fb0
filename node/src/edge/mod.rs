//! The edge: what a node is to the clients connected to it.
//!
//! - [`auth`]: who a client is;
//! - `session`: one connection's stream, from Hello to Closing;
//! - `requests`: what each request does, one family per file;
//! - `fanout`: which session has which group, and what it gets of what is new;
//! - `presence`: who is there, and who is writing;
//! - `tentative`: frames of what is in no log yet;
//! - [`outbound`]: what waits to be written to one client;
//! - `bulk`: pages of history on their way to all of them;
//! - `door`: those before their handshake, and between Hello and Welcome.
//!
//! It stands on [`crate::backend::Backend`] and knows only its own clients
//! (D12). Time is tokio's, the wall clock and randomness are the backend's.

mod access;
pub mod auth;
mod bulk;
mod core;
mod door;
mod fanout;
mod line;
pub mod outbound;
pub(crate) mod presence;
mod requests;
mod session;
mod stats;
mod tentative;
#[cfg(test)]
mod tests;
mod wants;

use std::sync::Arc;
use std::time::Duration;

use folkmoot_replication::presence::States;
use folkmoot_transport::Connection;
use folkmoot_wire::proto::{GroupPush, SealedEntry, Settled};
use folkmoot_wire::{GroupId, limits};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;

use self::core::Core;
pub use auth::{Auth, Grant, Identity, SigningKey, issue};
pub(crate) use door::Door;
pub use fanout::WindowOptions;
pub use stats::EdgeStats;

/// What an edge may be told; the defaults are the limits of the system.
#[derive(Debug, Clone)]
pub struct EdgeOptions {
    /// How entries are gathered before they are delivered (D13).
    pub window: WindowOptions,
    /// Sessions at once. More: refused with `busy`.
    pub sessions: usize,
    /// Sessions that are let in at once, and that wait for it. More: refused
    /// with `busy`, to come again.
    pub greetings: (usize, usize),
    /// TLS handshakes over TCP at once, and connections that wait for theirs.
    /// More: hung up on.
    pub handshakes: (usize, usize),
    /// Sends per second and session, on average and at once.
    pub sends: (u32, u32),
    /// What may wait to be written to one client.
    pub queue: outbound::Limits,
    /// A silent session is closed after this time.
    pub idle: Duration,
    /// A client that takes nothing for this long is cut off.
    pub stall: Duration,
    /// How long a drain waits for sessions to end by themselves.
    pub drain: Duration,
}

impl Default for EdgeOptions {
    fn default() -> Self {
        Self {
            window: WindowOptions::default(),
            sessions: limits::SESSIONS_MAX,
            greetings: (limits::GREETINGS_AT_ONCE, limits::GREETINGS_WAITING),
            handshakes: (limits::HANDSHAKES_AT_ONCE, limits::HANDSHAKES_WAITING),
            sends: (
                limits::SESSION_SENDS_PER_SECOND,
                limits::SESSION_SENDS_BURST,
            ),
            queue: outbound::Limits::default(),
            idle: limits::SESSION_IDLE,
            stall: limits::SESSION_STALL,
            drain: Duration::from_secs(10),
        }
    }
}

/// Bumps go out, and unused follows are given back, this often.
const SWEEP: Duration = Duration::from_secs(1);

/// An edge. Dropping it ends its sessions' tasks only by [`Edge::drain`].
pub struct Edge {
    core: Arc<Core>,
    sessions: TaskTracker,
    chores: TaskTracker,
}

impl Edge {
    /// Starts an edge on `backend`. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, auth: Auth, options: EdgeOptions) -> Arc<Self> {
        let (core, chores) = Core::new(backend, auth, options);
        let edge = Arc::new(Self {
            core: Arc::clone(&core),
            sessions: TaskTracker::new(),
            chores: TaskTracker::new(),
        });
        let fanout::Chores {
            deadlines,
            mut returned,
        } = chores;
        let windows = Arc::clone(&core);
        edge.chores.spawn(async move {
            tokio::select! {
                biased;
                () = windows.stopped.cancelled() => {}
                () = windows.fanout.close_windows(deadlines) => {}
            }
        });
        let sweeper = Arc::clone(&core);
        edge.chores.spawn(async move {
            let sweep = async {
                loop {
                    tokio::time::sleep(SWEEP).await;
                    while let Ok(wanted) = returned.try_recv() {
                        drop(wanted);
                    }
                    sweeper.sweep(Instant::now()).await;
                }
            };
            tokio::select! {
                biased;
                () = sweeper.stopped.cancelled() => {}
                () = sweep => {}
            }
        });
        let present = Arc::clone(&core);
        edge.chores.spawn(async move {
            tokio::select! {
                biased;
                () = present.stopped.cancelled() => {}
                () = present.keep_presence() => {}
            }
        });
        let judge = Arc::clone(&core);
        edge.chores.spawn(async move {
            let settle = async {
                loop {
                    let _ = tokio::time::timeout(SWEEP, judge.fanout.doubts()).await;
                    judge.settle_doubts().await;
                }
            };
            tokio::select! {
                biased;
                () = judge.stopped.cancelled() => {}
                () = settle => {}
            }
        });
        edge
    }

    /// Serves a client's connection, in a task of its own.
    pub fn serve(&self, connection: Arc<dyn Connection>) {
        match self.core.admit() {
            Ok(admitted) => {
                let core = Arc::clone(&self.core);
                self.sessions.spawn(async move {
                    session::serve(core, connection).await;
                    drop(admitted);
                });
            }
            Err(code) => connection.close(code as u32, code.name()),
        }
    }

    /// Everything new on this node: for each group contiguous entries in
    /// order, rows, or a head alone. Entries must be readable by the backend
    /// before they are published. Never waits.
    pub fn publish(&self, pushes: &[GroupPush]) {
        self.core.fanout.publish(pushes, Instant::now());
    }

    /// What this node holds of these groups was replaced as a whole: what came
    /// before is not what is published next. Never waits.
    pub fn replaced(&self, is_of: impl Fn(&GroupId) -> bool) {
        self.core.fanout.replaced(&is_of);
    }

    /// What people said whose group's home cannot be reached, and what became
    /// of such. Never waits.
    pub fn tentative(&self, group: GroupId, entries: Vec<SealedEntry>, settled: Vec<Settled>) {
        for settled in &settled {
            self.core.fanout.settled(group, settled);
        }
        for frame in tentative::frames(&group, entries, settled) {
            self.core.fanout.tentative(group, &frame);
        }
    }

    /// A home of users says how some of them are. Never waits.
    pub fn presence(&self, states: &States) {
        self.core.presence_changed(states);
    }

    /// Sends clients to other edges, and takes none, until told otherwise: what
    /// this node stamps would be refused.
    pub fn send_away(&self, away: bool) {
        self.core
            .away
            .send_if_modified(|now| std::mem::replace(now, away) != away);
    }

    /// Takes no more sessions, tells those there are to go elsewhere, and
    /// waits for their open requests, at most [`EdgeOptions::drain`].
    pub async fn drain(&self) {
        self.core.draining.cancel();
        self.sessions.close();
        let _ = tokio::time::timeout(self.core.options.drain, self.sessions.wait()).await;
        self.core.stopped.cancel();
        self.sessions.wait().await;
        self.chores.close();
        self.chores.wait().await;
    }

    /// Ends everything at once, with nothing said to anybody.
    pub fn halt(&self) {
        self.core.draining.cancel();
        self.core.stopped.cancel();
    }

    /// Where connections over TCP wait for their handshake.
    pub(crate) fn handshakes(&self) -> Arc<Door> {
        Arc::clone(&self.core.handshakes)
    }

    /// Figures of now and since the start.
    #[must_use]
    pub fn stats(&self) -> EdgeStats {
        self.core.stats()
    }
}
