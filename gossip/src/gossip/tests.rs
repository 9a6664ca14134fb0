use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::NodeId;
use rand::SeedableRng;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use super::{Gossip, GossipConfig, GossipError, Ports, StateKind};
use crate::identity::Identity;
use crate::membership::MemberState;
use crate::port::Datagrams;
use crate::seal::{Keyring, Refused};
use crate::swim::SwimConfig;
use crate::testnet::Net;
use crate::udp::UdpDatagrams;

struct World {
    datagrams: Arc<Net<SocketAddr, Bytes>>,
    links: Arc<Net<NodeId, Bytes>>,
}

fn addr(node: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, node as u8], 7001))
}

fn keyring(keys: &[u8], current: u8) -> Keyring {
    Keyring::new(
        current,
        keys.iter().map(|&id| (id, Zeroizing::new([id; 32]))),
    )
    .unwrap()
}

fn config(
    node: u32,
    incarnation: u64,
    at: SocketAddr,
    seeds: Vec<SocketAddr>,
    state: StateKind,
) -> GossipConfig {
    GossipConfig {
        cluster: "moot".into(),
        me: Identity::new(NodeId(node), "north", at, at, incarnation).unwrap(),
        keyring: keyring(&[1], 1),
        seeds,
        swim: SwimConfig::default(),
        state,
    }
}

fn ports(seed: u64) -> Ports {
    Ports {
        rng: Box::new(StdRng::seed_from_u64(seed)),
    }
}

impl World {
    fn new() -> Self {
        Self {
            datagrams: Net::new(),
            links: Net::new(),
        }
    }

    async fn start(&self, node: u32, incarnation: u64, state: StateKind) -> Gossip {
        let config = config(node, incarnation, addr(node), vec![addr(1)], state);
        let datagrams = self.datagrams.open(addr(node));
        let link = self.links.open(NodeId(node));
        Gossip::start(config, datagrams, link, ports(u64::from(node)))
            .await
            .unwrap()
    }
}

fn sees(gossip: &Gossip, node: u32) -> Option<MemberState> {
    let members = gossip.members();
    let member = members.iter().find(|member| member.node == NodeId(node));
    member.map(|member| member.state)
}

fn all_see(gossips: &[&Gossip], nodes: &[u32], state: MemberState) -> bool {
    gossips
        .iter()
        .all(|one| nodes.iter().all(|&node| sees(one, node) == Some(state)))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1_200 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within a minute: {what}");
}

async fn a_life(state: StateKind) {
    let world = World::new();
    let one = world.start(1, 1, state).await;
    let two = world.start(2, 1, state).await;
    let three = world.start(3, 1, state).await;
    let mut watch = three.watch();
    watch.mark_unchanged();
    until("all alive", || {
        all_see(&[&one, &two, &three], &[1, 2, 3], MemberState::Alive)
    })
    .await;
    assert!(watch.has_changed().unwrap(), "the watch fires");

    two.set("load", "7").unwrap();
    until("told to all", || {
        [&one, &two, &three]
            .iter()
            .all(|g| g.state_of(NodeId(2)).get("load").is_some_and(|v| v == "7"))
    })
    .await;
    assert_eq!(one.states().len(), 3);

    two.drain().await.unwrap();
    until("draining", || {
        all_see(&[&one, &two, &three], &[2], MemberState::Draining)
    })
    .await;
    two.undrain().await.unwrap();
    until("not draining", || {
        all_see(&[&one, &two, &three], &[2], MemberState::Alive)
    })
    .await;

    two.leave().await.unwrap();
    until("left", || all_see(&[&one, &three], &[2], MemberState::Left)).await;
    two.stop().await;
    assert_eq!(two.drain().await, Err(GossipError::Stopped));

    three.stop().await;
    until("dead", || sees(&one, 3) == Some(MemberState::Dead)).await;
    let three = world.start(3, 2, state).await;
    until("back", || {
        all_see(&[&one, &three], &[1, 3], MemberState::Alive)
    })
    .await;

    let stats = one.stats();
    assert!(stats.packets_in > 0 && stats.packets_out > 0);
    assert!(stats.bytes_in > 0 && stats.bytes_out > 0);
    assert!(stats.state_in > 0 && stats.state_out > 0);
    assert_eq!(
        (
            stats.refused_total(),
            stats.swim_errors,
            stats.socket_errors
        ),
        (0, 0, 0),
        "{stats:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_life_with_chitchat() {
    a_life(StateKind::Chitchat).await;
}

#[tokio::test(start_paused = true)]
async fn a_life_in_the_simulator() {
    a_life(StateKind::Memory).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_off_node_returns_and_its_state_with_it() {
    let world = World::new();
    let one = world.start(1, 1, StateKind::Memory).await;
    let two = world.start(2, 1, StateKind::Memory).await;
    let three = world.start(3, 1, StateKind::Memory).await;
    until("whole", || {
        all_see(&[&one, &two, &three], &[1, 2, 3], MemberState::Alive)
    })
    .await;
    world.datagrams.cut([addr(3)]);
    world.links.cut([NodeId(3)]);
    until("dead", || all_see(&[&one, &two], &[3], MemberState::Dead)).await;
    until("alone", || all_see(&[&three], &[1, 2], MemberState::Dead)).await;
    three.set("a", "told alone").unwrap();
    world.datagrams.cut([]);
    world.links.cut([]);
    until("whole again", || {
        all_see(&[&one, &two, &three], &[1, 2, 3], MemberState::Alive)
    })
    .await;
    until("told", || one.state_of(NodeId(3)).contains_key("a")).await;
    assert!(three.stats().idles > 0 && three.stats().rejoins > 0);
}

#[tokio::test(start_paused = true)]
async fn the_key_is_rotated_while_running() {
    let world = World::new();
    let one = world.start(1, 1, StateKind::Memory).await;
    let two = world.start(2, 1, StateKind::Memory).await;
    until("whole", || {
        all_see(&[&one, &two], &[1, 2], MemberState::Alive)
    })
    .await;
    for keys in [(&[1, 2][..], 1), (&[1, 2], 2), (&[2], 2)] {
        one.set_keyring(keyring(keys.0, keys.1)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        two.set_keyring(keyring(keys.0, keys.1)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(all_see(&[&one, &two], &[1, 2], MemberState::Alive));
    }
    assert_eq!(one.stats().refused_total() + two.stats().refused_total(), 0);

    // And a key that the other lacks is noticed.
    one.set_keyring(keyring(&[2, 3], 3)).await.unwrap();
    until("refused", || {
        two.stats().refused.contains_key(&Refused::Key)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_same_seeds_give_the_same_run() {
    async fn run() -> (Vec<String>, u64, u64) {
        let world = World::new();
        let one = world.start(1, 1, StateKind::Memory).await;
        let two = world.start(2, 1, StateKind::Memory).await;
        let three = world.start(3, 1, StateKind::Memory).await;
        let mut trace = Vec::new();
        for second in 0..60 {
            if second == 20 {
                world.datagrams.cut([addr(2)]);
            }
            if second == 40 {
                world.datagrams.cut([]);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            trace
                .extend([&one, &two, &three].map(|g| format!("{:?} {:?}", g.members(), g.stats())));
        }
        (trace, one.stats().packets_in, two.stats().rejoins)
    }
    let first = run().await;
    assert!(first.1 > 50 && first.2 > 0);
    assert_eq!(first, run().await);
}

#[tokio::test(start_paused = true)]
async fn timings_that_cannot_work_do_not_start() {
    let world = World::new();
    let mut bad = config(1, 1, addr(1), vec![], StateKind::Memory);
    bad.swim.probe_rtt = bad.swim.probe_period;
    let started = Gossip::start(
        bad,
        world.datagrams.open(addr(1)),
        world.links.open(NodeId(1)),
        ports(1),
    )
    .await;
    assert!(matches!(started, Err(GossipError::Config(_))));
}

/// The real socket. Waits for what must happen, however long it takes here.
#[tokio::test]
async fn three_nodes_over_udp() {
    let links = Net::new();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        sockets.push(Arc::new(UdpDatagrams::bind(any).await.unwrap()));
    }
    let seed = sockets[0].local();
    let mut nodes = Vec::new();
    for (number, socket) in sockets.iter().enumerate() {
        let node = number as u32 + 1;
        let config = config(node, 1, socket.local(), vec![seed], StateKind::Chitchat);
        let link = links.open(NodeId(node));
        nodes.push(
            Gossip::start(config, socket.clone(), link, ports(node.into()))
                .await
                .unwrap(),
        );
    }
    let all: Vec<&Gossip> = nodes.iter().collect();
    patiently("whole", || all_see(&all, &[1, 2, 3], MemberState::Alive)).await;

    // A datagram over the limit arrives as such, and is refused.
    sockets[2].send(seed, &[0; 2_000]).await.unwrap();
    patiently("refused", || {
        all[0].stats().refused.contains_key(&Refused::Long)
    })
    .await;

    all[1].set("a", "1").unwrap();
    patiently("told", || all[2].state_of(NodeId(2)).contains_key("a")).await;
    all[2].leave().await.unwrap();
    patiently("left", || all_see(&all[..2], &[3], MemberState::Left)).await;

    // Nobody listens at node 2's port any more: the kernel's refusals must
    // not disturb node 1.
    nodes[1].stop().await;
    drop(nodes.remove(1));
    drop(sockets.remove(1));
    patiently("dead", || sees(&nodes[0], 2) == Some(MemberState::Dead)).await;
    assert_eq!(nodes[0].stats().socket_errors, 0);
}

async fn patiently(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}
