//! Datagrams, timers and ticks of all nodes, in order of time.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_gossip::membership::{Action, Event, Membership, Timer};
use folkmoot_gossip::seal::Seal;
use folkmoot_gossip::{Identity, Keyring, MemberState, SwimConfig};
use folkmoot_wire::NodeId;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use zeroize::Zeroizing;

use crate::scale::topology::Topology;

/// The driver ticks its machine this often.
const TICK: Duration = Duration::from_secs(1);

pub(super) enum Due {
    Start,
    Packet { from: NodeId, bytes: Bytes },
    Timer(Timer),
    Tick,
}

/// How a node names itself.
pub(super) fn identity(topology: &Topology, node: NodeId) -> Identity {
    let region = Topology::region_name(topology.region_of(node));
    let addr = Topology::addr(node);
    Identity::new(node, region, addr, addr, 1).expect("a number and a name")
}

/// The cluster's.
pub(super) fn seal() -> Seal {
    let key = [(1, Zeroizing::new([5; 32]))];
    let keyring = Keyring::new(1, key).expect("one key of 32 bytes");
    Seal::new("00".repeat(16), keyring)
}

/// What left all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// Who came to see one node so, and when.
struct Watch {
    node: NodeId,
    state: MemberState,
    seen: BTreeMap<NodeId, Duration>,
}

pub(super) struct Net<'a> {
    pub(super) topology: &'a Topology,
    now: Duration,
    loss_percent: u32,
    pub(super) rng: StdRng,
    pub(super) nodes: BTreeMap<NodeId, Membership>,
    queue: BTreeMap<(Duration, u64), (NodeId, Due)>,
    next: u64,
    watch: Option<Watch>,
    sent: Traffic,
}

impl<'a> Net<'a> {
    pub(super) fn new(topology: &'a Topology, seed: u64) -> Self {
        Self {
            topology,
            now: Duration::ZERO,
            loss_percent: 0,
            rng: StdRng::seed_from_u64(seed),
            nodes: BTreeMap::new(),
            queue: BTreeMap::new(),
            next: 0,
            watch: None,
            sent: Traffic {
                packets: 0,
                bytes: 0,
            },
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn living(&self) -> usize {
        self.nodes.len()
    }

    /// Of each packet, from now on.
    pub(super) fn lose(&mut self, percent: u32) {
        self.loss_percent = percent;
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.sent
    }

    /// Of the node that got most.
    pub(super) fn most_packets_in(&self) -> u64 {
        let packets = self.nodes.values().map(|node| node.stats().packets_in);
        packets.max().unwrap_or(0)
    }

    /// How often nodes found themselves held for dead.
    pub(super) fn returns(&self) -> u64 {
        self.nodes.values().map(|node| node.stats().rejoins).sum()
    }

    /// A node starts within a second from now.
    pub(super) fn start_soon(&mut self, node: NodeId) {
        let after = Duration::from_micros(self.rng.random_range(0..1_000_000));
        self.push(after, node, Due::Start);
    }

    /// A node starts, as `node/src/boot.rs` starts one: its seeds are all others
    /// that the meta shard knows.
    pub(super) fn start(&mut self, node: NodeId) {
        self.make(node);
        self.push(TICK, node, Due::Tick);
        let seeds = self.topology.ids().filter(|seed| *seed != node);
        let seeds = seeds.map(Topology::addr).collect();
        self.event(node, Event::Announce(seeds));
    }

    /// A node that does not look for anybody yet.
    pub(super) fn make(&mut self, node: NodeId) {
        let rng = Box::new(StdRng::seed_from_u64(self.rng.next_u64()));
        let me = identity(self.topology, node);
        let machine = Membership::new(me, SwimConfig::default(), seal(), rng);
        let machine = machine.expect("the product's timings");
        self.nodes.insert(node, machine);
    }

    pub(super) fn kill(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    pub(super) fn watch(&mut self, node: NodeId, state: MemberState) {
        self.watch = Some(Watch {
            node,
            state,
            seen: BTreeMap::new(),
        });
    }

    /// Who sees the watched node so by now, and since when.
    pub(super) fn seen(&self) -> &BTreeMap<NodeId, Duration> {
        static NOBODY: BTreeMap<NodeId, Duration> = BTreeMap::new();
        self.watch.as_ref().map_or(&NOBODY, |watch| &watch.seen)
    }

    /// How many active nodes one knows, itself included.
    pub(super) fn knows(&self, node: NodeId) -> usize {
        let active = |machine: &Membership| {
            let members = machine.members();
            members.filter(|member| member.state.is_active()).count()
        };
        self.nodes.get(&node).map_or(0, active)
    }

    /// Whether all know all.
    pub(super) fn is_whole(&self) -> bool {
        let mut nodes = self.nodes.keys();
        nodes.all(|node| self.knows(*node) == self.nodes.len())
    }

    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), (node, due)) = entry.remove_entry();
            self.now = at;
            let event = match due {
                Due::Start => {
                    self.start(node);
                    continue;
                }
                Due::Packet { from, bytes } => Event::Packet {
                    from: Topology::addr(from),
                    bytes,
                },
                Due::Timer(timer) => Event::Timer(timer),
                Due::Tick => {
                    if self.nodes.contains_key(&node) {
                        self.push(TICK, node, Due::Tick);
                    }
                    Event::Tick
                }
            };
            self.event(node, event);
        }
        self.now = until;
    }

    pub(super) fn push(&mut self, after: Duration, node: NodeId, due: Due) {
        self.next += 1;
        self.queue
            .insert((self.now + after, self.next), (node, due));
    }

    fn event(&mut self, node: NodeId, event: Event) {
        let now = self.now;
        let Some(machine) = self.nodes.get_mut(&node) else {
            return;
        };
        let actions = machine.handle(event, now);
        if let Some(watch) = &mut self.watch
            && machine.state_of(watch.node) == Some(watch.state)
        {
            watch.seen.entry(node).or_insert(now);
        }
        for action in actions {
            match action {
                Action::Send { to, packet } => self.send(node, to, packet),
                Action::Schedule { after, timer } => self.push(after, node, Due::Timer(timer)),
                Action::Changed | Action::Warn { .. } => {}
            }
        }
    }

    fn send(&mut self, from: NodeId, to: std::net::SocketAddr, bytes: Bytes) {
        self.sent.packets += 1;
        self.sent.bytes += bytes.len() as u64;
        let Some(to) = Topology::node_at(to) else {
            return;
        };
        if self.rng.random_range(0..100) < self.loss_percent {
            return;
        }
        let latency = self.topology.latency(from, to);
        self.push(latency, to, Due::Packet { from, bytes });
    }

    /// What the machines themselves counted.
    #[cfg(test)]
    pub(super) fn counted(&self) -> Traffic {
        let stats = self.nodes.values().map(Membership::stats);
        stats.fold(
            Traffic {
                packets: 0,
                bytes: 0,
            },
            |sum, stats| Traffic {
                packets: sum.packets + stats.packets_out,
                bytes: sum.bytes + stats.bytes_out,
            },
        )
    }
}
