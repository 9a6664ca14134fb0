//! What all sessions of an edge share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use folkmoot_wire::{Code, Fault, limits};
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::EdgeOptions;
use super::auth::Auth;
use super::bulk::Bulk;
use super::door::Door;
use super::fanout::{Chores, Fanout, Link, SessionId, Unknown};
use super::presence::Presence;
use super::stats::{Counters, EdgeStats};
use super::wants::Wants;
use crate::backend::Backend;

/// Heads, or standings, asked for at once by one sweep.
const SWEEP_ASKS: usize = 32;

pub(super) struct Core {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) auth: Auth,
    pub(super) options: EdgeOptions,
    pub(super) fanout: Arc<Fanout>,
    pub(super) wants: Arc<Wants>,
    pub(super) presence: Arc<Presence>,
    pub(super) counters: Counters,
    pub(super) bulk: Bulk,
    pub(super) door: Door,
    pub(super) handshakes: Arc<Door>,
    /// No new sessions; those there are end in an orderly way.
    pub(super) draining: CancellationToken,
    /// As while draining, until it is called off: the clock is not right.
    pub(super) away: watch::Sender<bool>,
    /// Everything ends now.
    pub(super) stopped: CancellationToken,
    links: Mutex<BTreeMap<SessionId, Arc<Link>>>,
    next: AtomicU64,
    admitted: Arc<AtomicUsize>,
}

/// One of the sessions that an edge takes at once.
pub(super) struct Admitted(Arc<AtomicUsize>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Core {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        auth: Auth,
        options: EdgeOptions,
    ) -> (Arc<Self>, Chores) {
        let presence = Arc::new(Presence::new());
        let (fanout, chores) = Fanout::new(options.window, Arc::clone(&presence));
        let core = Arc::new(Self {
            wants: Wants::new(Arc::clone(&backend)),
            backend,
            auth,
            door: Door::new(options.greetings, limits::GREETING_WAIT),
            handshakes: Arc::new(Door::new(options.handshakes, limits::HANDSHAKE_WAIT)),
            options,
            fanout,
            presence,
            counters: Counters::default(),
            bulk: Bulk::default(),
            draining: CancellationToken::new(),
            away: watch::Sender::new(false),
            stopped: CancellationToken::new(),
            links: Mutex::default(),
            next: AtomicU64::new(1),
            admitted: Arc::default(),
        });
        (core, chores)
    }

    /// A refusal, to come again within `spread`: not all at one moment.
    pub(super) fn later(&self, why: Code, spread: Duration) -> Fault {
        let mut bytes = [0; 8];
        self.backend.random(&mut bytes);
        let after = 1 + u64::from_be_bytes(bytes) % spread.as_millis() as u64;
        Fault::from(why).retry_after(after)
    }

    /// Room for one more session.
    pub(super) fn admit(&self) -> Result<Admitted, Code> {
        let admitted = Admitted(Arc::clone(&self.admitted));
        let before = self.admitted.fetch_add(1, Ordering::AcqRel);
        if self.draining.is_cancelled() {
            Err(Code::Draining)
        } else if *self.away.borrow() {
            Err(Code::ClockDrift)
        } else if before >= self.options.sessions {
            self.counters
                .refused_sessions
                .fetch_add(1, Ordering::Relaxed);
            Err(Code::Busy)
        } else {
            Ok(admitted)
        }
    }

    /// Waits until sessions are sent away.
    pub(super) async fn sent_away(&self) {
        let mut away = self.away.subscribe();
        if away.wait_for(|away| *away).await.is_err() {
            std::future::pending().await
        }
    }

    pub(super) fn next_session(&self) -> SessionId {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn add(&self, link: &Arc<Link>) {
        self.links.lock().insert(link.id, Arc::clone(link));
        self.fanout.add(link);
        self.presence.came(link);
    }

    pub(super) fn link(&self, session: SessionId) -> Option<Arc<Link>> {
        self.links.lock().get(&session).cloned()
    }

    pub(super) fn remove(&self, link: &Link) {
        self.fanout.remove(link);
        if self.links.lock().remove(&link.id).is_some() {
            self.presence.went(link);
            let gaps = link.outbound.gaps();
            self.counters.gaps.fetch_add(gaps, Ordering::Relaxed);
        }
    }

    /// Bumps, and what they need to know.
    pub(super) async fn sweep(&self, now: Instant) {
        let Unknown { heads, standings } = self.fanout.sweep(now);
        let heads = stream::iter(heads).for_each_concurrent(SWEEP_ASKS, async |group| {
            // Whoever cannot be asked now is asked at the group's next news.
            if let Ok(Some(head)) = self.backend.head(group).await {
                self.fanout.head_found(group, &head);
            }
        });
        heads.await;
        let asks =
            stream::iter(standings).for_each_concurrent(SWEEP_ASKS, async |(user, groups)| {
                let found = self.backend.standings(user, &groups).await;
                self.fanout.standings_found(&user, &groups, found);
            });
        asks.await;
    }

    pub(super) fn stats(&self) -> EdgeStats {
        let mut stats = self.counters.read();
        for link in self.links.lock().values() {
            stats.queue_bytes += link.outbound.bytes() as u64;
            stats.gaps += link.outbound.gaps();
        }
        stats.page_bytes = self.bulk.bytes() as u64;
        stats.pages_waiting = self.bulk.waiting() as u64;
        stats.greetings_waiting = self.door.waiting() as u64;
        stats.refused_greetings = self.door.refused() as u64;
        stats.handshakes_waiting = self.handshakes.waiting() as u64;
        stats.refused_handshakes = self.handshakes.refused() as u64;
        (stats.active_groups, stats.delivered) = self.fanout.figures();
        stats
    }
}
