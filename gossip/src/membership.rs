//! Membership as a machine without I/O: `handle(event, now) -> actions`.
//!
//! SWIM with suspicion (Das, Gupta, Motivala, "SWIM", 2002; by way of foca),
//! and around it what foca leaves to its user: the seal on packets, finding
//! the others again after a cut however long, leaving for good as against
//! dying, and draining. Everything is determined by the events and the rng.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use foca::{AccumulatingRuntime, Foca, NoCustomBroadcast, OwnedNotification};
use folkmoot_wire::NodeId;
use rand::RngCore;

use crate::identity::Identity;
use crate::seal::{Refused, Seal};
use crate::stats::GossipStats;
use crate::swim::{SwimCodec, SwimConfig, SwimConfigError, SwimRng};

mod doubts;
mod event;
mod member;

use doubts::Doubts;
pub use event::{Action, Event, Timer};
pub use member::{Member, MemberState};
use member::{own_state, state_of};

/// Most seeds kept. More: the rest is left out.
pub const SEEDS_MAX: usize = 64;
/// Addresses of former members kept for finding them again. More: new ones
/// are not kept.
const LOST_MAX: usize = 4_096;
/// Announces of one round while alone, or while others come back.
const ANNOUNCES_AT_ONCE: usize = 8;
/// Where one came back from the dead the others will: for so long all of them
/// are looked for at once. After a cut each side holds each node of the other
/// for dead, and each has to hear of it to come back.
const RETURNS_FOR: Duration = Duration::from_secs(10);
/// Between two rounds meanwhile.
const RETURNS_EVERY: Duration = Duration::from_millis(500);
/// Sources of refused packets of which one was reported. More: only counted.
const SOURCES_MAX: usize = 256;

/// The machine.
pub struct Membership {
    foca: Foca<Identity, SwimCodec, SwimRng, NoCustomBroadcast>,
    runtime: AccumulatingRuntime<Identity>,
    seal: Seal,
    rng: Box<dyn RngCore + Send>,
    config: SwimConfig,
    view: BTreeMap<NodeId, Member>,
    seeds: Vec<SocketAddr>,
    lost: BTreeMap<NodeId, SocketAddr>,
    /// Where the round through seeds and lost members goes on.
    next_announce: usize,
    announced_at: Option<Duration>,
    /// Whether one came back just now, be it this node.
    returned: bool,
    returned_at: Option<Duration>,
    doubts: Doubts,
    connected: bool,
    left: bool,
    warned: BTreeSet<(SocketAddr, Refused)>,
    stats: GossipStats,
}

impl Membership {
    /// A node that knows nobody yet; [`Event::Announce`] starts it.
    ///
    /// # Errors
    /// When the timings do not work together.
    pub fn new(
        me: Identity,
        config: SwimConfig,
        seal: Seal,
        mut rng: Box<dyn RngCore + Send>,
    ) -> Result<Self, SwimConfigError> {
        config.validate()?;
        let swim_rng = SwimRng::from_port(&mut *rng);
        let codec = SwimCodec { me: me.clone() };
        let mut membership = Self {
            foca: Foca::new(me, config.foca(), swim_rng, codec),
            runtime: AccumulatingRuntime::new(),
            seal,
            rng,
            config,
            view: BTreeMap::new(),
            seeds: Vec::new(),
            lost: BTreeMap::new(),
            next_announce: 0,
            announced_at: None,
            returned: false,
            returned_at: None,
            doubts: Doubts::default(),
            connected: false,
            left: false,
            warned: BTreeSet::new(),
            stats: GossipStats::default(),
        };
        membership.refresh_view();
        Ok(membership)
    }

    /// Everyone known, this node included, by node id. The dead and the gone
    /// stay listed for [`SwimConfig::forget_after`].
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.view.values()
    }

    /// How a node is seen.
    #[must_use]
    pub fn state_of(&self, node: NodeId) -> Option<MemberState> {
        self.view.get(&node).map(|member| member.state)
    }

    /// This node, as it names itself now.
    #[must_use]
    pub fn me(&self) -> &Identity {
        self.foca.identity()
    }

    /// Whether anybody else is active.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.connected
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &GossipStats {
        &self.stats
    }

    /// Takes one event. `now` is any clock that does not go back.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Keys(keyring) => self.seal.set_keyring(keyring),
            Event::Leave => self.leave(),
            // A node that left neither answers nor looks for anybody, though
            // its process may still run for a while.
            _ if self.left => {}
            Event::Packet { from, bytes } => self.packet(from, &bytes, &mut actions),
            Event::Timer(Timer(timer)) => {
                let result = self.foca.handle_timer(timer, &mut self.runtime);
                self.count(result);
            }
            Event::Tick => {
                self.announce_if_due(now);
                self.doubt_anew(now);
            }
            Event::Announce(seeds) => {
                self.seeds = seeds;
                self.seeds.truncate(SEEDS_MAX);
                self.announce(SEEDS_MAX, now);
            }
            Event::Drain(draining) => {
                if self.me().draining() != draining {
                    let identity = self.me().with_draining(draining);
                    self.rename(identity);
                }
            }
        }
        self.collect(&mut actions);
        if self.refresh_view() {
            actions.push(Action::Changed);
        }
        if std::mem::take(&mut self.returned) && !self.left {
            self.returned_at = Some(now);
            self.announce_if_due(now);
            self.collect(&mut actions);
        }
        actions
    }

    fn packet(&mut self, from: SocketAddr, bytes: &[u8], actions: &mut Vec<Action>) {
        self.stats.packets_in += 1;
        self.stats.bytes_in += bytes.len() as u64;
        let refused = match self.seal.open(bytes) {
            Err(reason) => reason,
            Ok(plain) => match self.foca.handle_data(&plain, &mut self.runtime) {
                Ok(()) => return,
                Err(foca::Error::DataFromOurselves) => Refused::OwnId,
                Err(
                    foca::Error::DataTooBig
                    | foca::Error::MalformedPacket
                    | foca::Error::Decode(_)
                    | foca::Error::CustomBroadcast(_)
                    | foca::Error::IndirectForOurselves,
                ) => Refused::Malformed,
                Err(error) => return self.count(Err(error)),
            },
        };
        *self.stats.refused.entry(refused).or_default() += 1;
        if self.warned.len() < SOURCES_MAX && self.warned.insert((from, refused)) {
            actions.push(Action::Warn {
                from,
                reason: refused,
            });
        }
    }

    fn count(&mut self, result: Result<(), foca::Error>) {
        if result.is_err() {
            self.stats.swim_errors += 1;
        }
    }

    fn announce_if_due(&mut self, now: Duration) {
        let returning = self
            .returned_at
            .is_some_and(|at| now.saturating_sub(at) < RETURNS_FOR);
        let (every, many) = if returning {
            (RETURNS_EVERY, ANNOUNCES_AT_ONCE)
        } else if self.connected {
            (self.config.announce_every, 1)
        } else {
            (self.config.announce_alone_every, ANNOUNCES_AT_ONCE)
        };
        let due = self
            .announced_at
            .is_none_or(|at| now.saturating_sub(at) >= every);
        if due {
            self.announce(many, now);
        }
    }

    /// Announces to the next `many` of the seeds and lost members that are not
    /// active members anyway.
    fn announce(&mut self, many: usize, now: Duration) {
        self.announced_at = Some(now);
        let active: BTreeSet<SocketAddr> = self
            .view
            .values()
            .filter(|member| member.state.is_active())
            .map(|member| member.addr)
            .collect();
        let away: BTreeSet<SocketAddr> = self
            .seeds
            .iter()
            .chain(self.lost.values())
            .filter(|addr| !active.contains(addr))
            .copied()
            .collect();
        let away: Vec<SocketAddr> = away.into_iter().collect();
        for _ in 0..many.min(away.len()) {
            let to = away[self.next_announce % away.len()];
            self.next_announce = self.next_announce.wrapping_add(1);
            let result = self.foca.announce(Identity::seed(to), &mut self.runtime);
            self.count(result);
        }
    }

    fn doubt_anew(&mut self, now: Duration) {
        let limit = self.config.suspect_for + self.config.probe_period;
        let members = self.foca.iter_membership_state();
        let overdue = self.doubts.look(members, limit, now);
        if !overdue.is_empty() {
            let overdue = overdue.into_iter();
            let result = self.foca.apply_many(overdue, true, &mut self.runtime);
            self.count(result);
        }
    }

    /// Takes another identity of this node, and tells.
    fn rename(&mut self, identity: Identity) {
        let result = self.foca.change_identity(identity, &mut self.runtime);
        self.count(result);
        self.reconnect();
    }

    /// foca forgets that it has company when its identity changes, and would
    /// neither probe nor notice being alone until somebody writes.
    fn reconnect(&mut self) {
        let result = self
            .foca
            .apply_many(std::iter::empty(), false, &mut self.runtime);
        self.count(result);
    }

    fn leave(&mut self) {
        if self.left {
            let result = self.foca.gossip(&mut self.runtime);
            self.count(result);
            return;
        }
        // The last identity says "leaving" and is then declared down: whoever
        // hears of it knows that this is no death.
        let identity = self.me().with_leaving();
        self.rename(identity);
        let result = self.foca.leave_cluster(&mut self.runtime);
        self.count(result);
        self.left = true;
    }

    /// Turns what foca did into actions.
    fn collect(&mut self, actions: &mut Vec<Action>) {
        while let Some(notification) = self.runtime.to_notify() {
            match notification {
                OwnedNotification::Active => self.connected = true,
                OwnedNotification::Idle => {
                    self.connected = false;
                    self.stats.idles += 1;
                    // The next tick announces.
                    self.announced_at = None;
                }
                OwnedNotification::Defunct => self.connected = false,
                OwnedNotification::Rejoin(_) => {
                    self.stats.rejoins += 1;
                    self.connected = false;
                    self.announced_at = None;
                    self.returned = true;
                    self.reconnect();
                }
                // The view is compared with the last one instead: a suspicion
                // has no notification at all.
                OwnedNotification::MemberUp(_)
                | OwnedNotification::MemberDown(_)
                | OwnedNotification::Rename(..) => {}
            }
        }
        while let Some((to, plain)) = self.runtime.to_send() {
            let Some(packet) = self.seal.seal(&plain, &mut *self.rng) else {
                self.stats.swim_errors += 1;
                continue;
            };
            self.stats.packets_out += 1;
            self.stats.bytes_out += packet.len() as u64;
            actions.push(Action::Send {
                to: to.gossip_addr(),
                packet: packet.into(),
            });
        }
        while let Some((after, timer)) = self.runtime.to_schedule() {
            actions.push(Action::Schedule {
                after,
                timer: Timer(timer),
            });
        }
    }

    /// Brings the view up to date; whether it changed.
    fn refresh_view(&mut self) -> bool {
        let mut changed = false;
        let mut seen = BTreeSet::new();
        let me = self.foca.identity();
        let own = (me, own_state(me, self.left));
        let others = self
            .foca
            .iter_membership_state()
            // What others say of this node's past is no member.
            .filter(|member| member.id().node() != me.node())
            .map(|member| (member.id(), state_of(member)));
        for (identity, state) in std::iter::once(own).chain(others) {
            let node = identity.node();
            seen.insert(node);
            let current = self.view.get(&node).is_some_and(|member| {
                member.state == state
                    && member.incarnation == identity.incarnation()
                    && member.addr == identity.gossip_addr()
                    && member.quic == identity.quic_addr()
                    && member.region == identity.region()
            });
            if current {
                continue;
            }
            changed = true;
            let was_away = match self.view.get(&node) {
                Some(member) => member.state == MemberState::Dead,
                None => self.lost.contains_key(&node),
            };
            self.returned |= was_away && state.is_active();
            match state {
                MemberState::Left => {
                    self.lost.remove(&node);
                }
                _ if node == me.node() => {}
                _ => {
                    if self.lost.len() < LOST_MAX || self.lost.contains_key(&node) {
                        self.lost.insert(node, identity.gossip_addr());
                    }
                }
            }
            self.view.insert(node, Member::seen(identity, state));
        }
        if seen.len() < self.view.len() {
            changed = true;
            self.view.retain(|node, _| seen.contains(node));
        }
        changed
    }
}

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
