//! Another edge, tried beside one that is in doubt. The first to say something
//! has the client: retries keep their ids, so that nothing is said twice by
//! moving.

use std::time::Duration;

use folkmoot_wire::{Code, Fault};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tracing::warn;

use super::dial::Dialed;
use super::link::Link;
use super::{Dialing, Run, State};
use crate::error::{ClientError, Result};
use crate::event::Event;

/// Attempts that may follow each other at once. More wait: where edges are slow
/// and not gone, looking around must not become the load...
const BURST: u32 = 3;
/// ...and one more may be made after each of these.
const REFILL: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Beside {
    dialing: Option<Dialing>,
    /// Attempts made that count.
    made: u32,
    /// When one of them stops counting.
    refill: Option<Instant>,
    /// Edges that were left: whether they say something after all.
    left: FuturesUnordered<BoxFuture<'static, bool>>,
}

impl Beside {
    /// Waits for ever when nothing is tried. May be dropped at any point.
    pub(super) async fn advance(&mut self) -> Result<(Dialed, String)> {
        loop {
            let dialing = async {
                match &mut self.dialing {
                    Some(dialing) => dialing.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                found = dialing => return found,
                Some(was_there) = self.left.next() => self.judge(was_there),
            }
        }
    }

    /// That an edge which was gone was left counts no more: edges may die one
    /// after the other.
    fn judge(&mut self, was_there: bool) {
        if !was_there {
            self.made = self.made.saturating_sub(1);
            self.refill = self.refill.filter(|_| self.made > 0);
        }
    }

    /// Listens to an edge that is left until it counts as gone. As many as may
    /// be left at once are listened to: of more than that each counts.
    fn listen(&mut self, link: Link, until: Instant) {
        if self.left.len() < BURST as usize {
            self.left.push(Box::pin(link.was_there(until)));
        }
    }

    /// Whether another attempt may be made. Takes it.
    fn take(&mut self, now: Instant) -> bool {
        while let Some(at) = self.refill.filter(|at| *at <= now) {
            self.made -= 1;
            self.refill = (self.made > 0).then_some(at + REFILL);
        }
        if self.made >= BURST {
            return false;
        }
        self.made += 1;
        self.refill.get_or_insert(now + REFILL);
        true
    }
}

impl Run {
    /// Begins to look around, or stops, as the edge gives reason to.
    pub(super) fn look_beside(&mut self) {
        let now = self.now();
        let linked = match &self.state {
            State::Linked(link) => Some(link.edge().to_owned()),
            State::Waiting(_) | State::Dialing(_) => None,
        };
        let doubted = linked.filter(|_| self.driver.engine.is_in_doubt(now));
        match (doubted, self.beside.dialing.is_some()) {
            (None, true) => self.beside.dialing = None,
            (Some(edge), false) => {
                let others = self.driver.dialers.edges.iter().any(|other| *other != edge);
                if others && self.beside.take(Instant::now()) {
                    self.beside.dialing = Some(self.dialing(Some(edge)));
                }
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// What came of looking around.
    pub(super) fn found_beside(&mut self, found: Result<(Dialed, String)>) {
        self.beside.dialing = None;
        let (dialed, token) = match found {
            Ok(found) => found,
            Err(reason) => {
                warn!(%reason, "no other edge is there either");
                return;
            }
        };
        let silent = "the edge does not answer, and another one does";
        let reason = ClientError::Fault(Fault::new(Code::IdleTimeout, silent));
        warn!(from = self.edge(), to = %dialed.edge, "moved to another edge");
        let until = self.driver.engine.gone_at().map(|at| self.start + at);
        let left = std::mem::replace(&mut self.state, State::Waiting(Instant::now()));
        if let (State::Linked(link), Some(until)) = (left, until) {
            self.beside.listen(*link, until);
        }
        let now = self.now();
        self.driver.engine.disconnected(now);
        self.driver.engine.emit(Event::Disconnected {
            reason,
            retry_ms: 0,
        });
        let edges = &self.driver.dialers.edges;
        if let Some(at) = edges.iter().position(|edge| *edge == dialed.edge) {
            self.turn = at;
        }
        self.link(dialed, token);
    }

    fn edge(&self) -> &str {
        match &self.state {
            State::Linked(link) => link.edge(),
            State::Waiting(_) | State::Dialing(_) => "",
        }
    }

    /// A session begins.
    pub(super) fn link(&mut self, dialed: Dialed, token: String) {
        let now = self.now();
        self.driver.engine.connected(token, now);
        self.state = State::Linked(Box::new(Link::new(dialed)));
    }
}

#[cfg(test)]
mod tests;
