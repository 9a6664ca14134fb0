//! A small simulated network: virtual time, latency, loss, cuts, kills.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::NodeId;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use zeroize::Zeroizing;

use super::{Action, Event, MemberState, Membership, Timer};
use crate::identity::Identity;
use crate::port::DATAGRAM_MAX;
use crate::seal::{Keyring, Refused, Seal};
use crate::swim::SwimConfig;

pub(super) fn addr(node: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, node as u8], 7001))
}

pub(super) fn seal(cluster: &str, key: u8) -> Seal {
    Seal::new(
        cluster,
        Keyring::new(1, [(1, Zeroizing::new([key; 32]))]).unwrap(),
    )
}

enum Due {
    Packet(SocketAddr, Bytes),
    Timer(Timer),
    Tick,
}

struct Node {
    machine: Membership,
    /// Timers and ticks of an earlier life are dropped.
    life: u64,
}

pub(super) struct Net {
    pub(super) now: Duration,
    /// Of each packet, in percent.
    pub(super) loss: u32,
    rng: StdRng,
    nodes: BTreeMap<u32, Node>,
    queue: BTreeMap<(Duration, u64), (u32, Option<u64>, Due)>,
    next: u64,
    /// Nodes on this side hear only each other.
    cut: BTreeSet<u32>,
    /// Those of the one side and those of the other hear nothing of each other,
    /// and everybody else does.
    apart: [BTreeSet<u32>; 2],
    /// Of these nothing is heard,
    mute: BTreeSet<u32>,
    /// and these hear nothing.
    deaf: BTreeSet<u32>,
    pub(super) warned: Vec<(u32, Refused)>,
    /// Everything that was sent and seen, for comparing runs.
    pub(super) trace: Vec<String>,
    /// (when, observer, observed, state), as it changed.
    pub(super) seen: Vec<(Duration, u32, u32, MemberState)>,
}

impl Net {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            loss: 0,
            rng: StdRng::seed_from_u64(seed),
            nodes: BTreeMap::new(),
            queue: BTreeMap::new(),
            next: 0,
            cut: BTreeSet::new(),
            apart: [BTreeSet::new(), BTreeSet::new()],
            mute: BTreeSet::new(),
            deaf: BTreeSet::new(),
            warned: Vec::new(),
            trace: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// A net in which `count` nodes started, all with node 1 as their seed.
    pub(super) fn started(seed: u64, count: u32) -> Self {
        let mut net = Self::new(seed);
        for node in 1..=count {
            net.start(node, 1);
        }
        net
    }

    pub(super) fn start(&mut self, node: u32, incarnation: u64) {
        self.start_with(node, incarnation, seal("moot", 1), SwimConfig::default());
    }

    pub(super) fn start_with(
        &mut self,
        node: u32,
        incarnation: u64,
        seal: Seal,
        config: SwimConfig,
    ) {
        let quic = SocketAddr::from(([10, 0, 0, node as u8], 7000));
        let me = Identity::new(NodeId(node), "north", addr(node), quic, incarnation).unwrap();
        let rng = Box::new(StdRng::seed_from_u64(self.rng.next_u64()));
        let machine = Membership::new(me, config, seal, rng).unwrap();
        let life = self.next;
        self.nodes.insert(node, Node { machine, life });
        self.push(Duration::from_secs(1), node, Some(life), Due::Tick);
        self.event(node, Event::Announce(vec![addr(1)]));
    }

    pub(super) fn kill(&mut self, node: u32) {
        self.nodes.remove(&node);
    }

    /// Cuts these off from all others.
    pub(super) fn cut(&mut self, nodes: impl IntoIterator<Item = u32>) {
        self.cut = nodes.into_iter().collect();
    }

    /// Cuts these off from each other, and from nobody else.
    pub(super) fn part(&mut self, sides: [&[u32]; 2]) {
        self.apart = sides.map(|side| side.iter().copied().collect());
    }

    /// What these send is lost.
    pub(super) fn mute(&mut self, nodes: impl IntoIterator<Item = u32>) {
        self.mute = nodes.into_iter().collect();
    }

    /// What is sent to these is lost.
    pub(super) fn deafen(&mut self, nodes: impl IntoIterator<Item = u32>) {
        self.deaf = nodes.into_iter().collect();
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.apart = Default::default();
        self.mute.clear();
        self.deaf.clear();
    }

    fn push(&mut self, after: Duration, node: u32, life: Option<u64>, due: Due) {
        self.next += 1;
        self.queue
            .insert((self.now + after, self.next), (node, life, due));
    }

    pub(super) fn event(&mut self, node: u32, event: Event) {
        let now = self.now;
        let Some(entry) = self.nodes.get_mut(&node) else {
            return;
        };
        let before: BTreeMap<u32, MemberState> = states(&entry.machine);
        let actions = entry.machine.handle(event, now);
        let after = states(&entry.machine);
        let life = entry.life;
        for (&other, &state) in &after {
            if before.get(&other) != Some(&state) {
                self.seen.push((now, node, other, state));
                self.trace
                    .push(format!("{now:?} {node} sees {other} {}", state.name()));
            }
        }
        for action in actions {
            match action {
                Action::Send { to, packet } => self.send(node, to, packet),
                Action::Schedule { after, timer } => {
                    self.push(after, node, Some(life), Due::Timer(timer));
                }
                Action::Changed => {}
                Action::Warn { reason, .. } => self.warned.push((node, reason)),
            }
        }
    }

    fn send(&mut self, from: u32, to: SocketAddr, packet: Bytes) {
        assert!(packet.len() <= DATAGRAM_MAX, "{} bytes", packet.len());
        let SocketAddr::V4(v4) = to else { return };
        let target = u32::from(v4.ip().octets()[3]);
        self.trace
            .push(format!("{:?} {from}->{target} {}", self.now, packet.len()));
        let crosses = self.cut.contains(&from) != self.cut.contains(&target);
        let [one, other] = &self.apart;
        let apart = |a, b| one.contains(a) && other.contains(b);
        let crosses = crosses || apart(&from, &target) || apart(&target, &from);
        let unheard = self.mute.contains(&from) || self.deaf.contains(&target);
        if crosses || unheard || self.rng.random_range(0..100) < self.loss {
            return;
        }
        let latency = Duration::from_millis(self.rng.random_range(20..60));
        self.push(latency, target, None, Due::Packet(addr(from), packet));
    }

    /// Runs for this long.
    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), (node, life, due)) = entry.remove_entry();
            self.now = at;
            let current = self.nodes.get(&node).map(|node| node.life);
            if current.is_none() || life.is_some_and(|life| Some(life) != current) {
                continue;
            }
            let event = match due {
                Due::Packet(from, bytes) => Event::Packet { from, bytes },
                Due::Timer(timer) => Event::Timer(timer),
                Due::Tick => {
                    self.push(Duration::from_secs(1), node, life, Due::Tick);
                    Event::Tick
                }
            };
            self.event(node, event);
        }
        self.now = until;
    }

    /// Runs until it holds; how long that took. Fails after `limit`.
    pub(super) fn until(
        &mut self,
        limit: Duration,
        what: &str,
        holds: impl Fn(&Self) -> bool,
    ) -> Duration {
        let start = self.now;
        while !holds(self) {
            assert!(self.now - start < limit, "not within {limit:?}: {what}");
            self.run(Duration::from_millis(100));
        }
        self.now - start
    }

    pub(super) fn machine(&self, node: u32) -> &Membership {
        &self.nodes[&node].machine
    }

    pub(super) fn sees(&self, node: u32, other: u32) -> Option<MemberState> {
        self.machine(node).state_of(NodeId(other))
    }

    pub(super) fn ids(&self) -> Vec<u32> {
        self.nodes.keys().copied().collect()
    }

    /// Whether all running nodes see all running nodes alive.
    pub(super) fn whole(&self) -> bool {
        let ids = self.ids();
        ids.iter().all(|&one| {
            ids.iter()
                .all(|&other| self.sees(one, other) == Some(MemberState::Alive))
        })
    }

    /// Whether all other running nodes see `node` so.
    pub(super) fn all_see(&self, node: u32, state: MemberState) -> bool {
        self.ids()
            .into_iter()
            .filter(|&one| one != node)
            .all(|one| self.sees(one, node) == Some(state))
    }
}

fn states(machine: &Membership) -> BTreeMap<u32, MemberState> {
    machine
        .members()
        .map(|member| (member.node.0, member.state))
        .collect()
}
