//! One suite for both exchanges.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::NodeId;

use super::{
    ChitchatState, GRACE, KEY_MAX, KEYS_MAX, MemoryState, NodeState, StateError, VALUE_MAX,
};
use crate::gossip::StateKind;
use crate::port::StateLink;
use crate::testnet::Net;

type Links = Arc<Net<NodeId, Bytes>>;

async fn start(
    kind: StateKind,
    links: &Links,
    cluster: &str,
    node: u32,
    incarnation: u64,
) -> Arc<dyn NodeState> {
    let (me, link) = (NodeId(node), links.open(NodeId(node)));
    match kind {
        StateKind::Chitchat => Arc::new(
            ChitchatState::start(cluster, me, incarnation, link)
                .await
                .unwrap(),
        ),
        StateKind::Memory => Arc::new(MemoryState::start(cluster, me, incarnation, link)),
    }
}

/// Nodes 1, 2, … that know of each other.
async fn cluster(kind: StateKind, links: &Links, count: u32) -> Vec<Arc<dyn NodeState>> {
    let mut nodes = Vec::new();
    for node in 1..=count {
        nodes.push(start(kind, links, "moot", node, 1).await);
    }
    introduce(&nodes);
    nodes
}

fn introduce(nodes: &[Arc<dyn NodeState>]) {
    let ids: Vec<NodeId> = (1..=nodes.len() as u32).map(NodeId).collect();
    for (node, me) in nodes.iter().zip(&ids) {
        let others: Vec<NodeId> = ids.iter().filter(|id| *id != me).copied().collect();
        node.peers(&others);
    }
}

fn told(node: &Arc<dyn NodeState>, of: u32, key: &str) -> Option<String> {
    node.get(NodeId(of)).remove(key)
}

/// In virtual time, so the limit is not about this machine.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within a minute: {what}");
}

async fn pass(time: Duration) {
    for _ in 0..time.as_secs() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn all_learn_what_each_tells(kind: StateKind) {
    let links = Net::new();
    let nodes = cluster(kind, &links, 5).await;
    for (number, node) in nodes.iter().enumerate() {
        node.set("load", &number.to_string()).unwrap();
        let own = told(node, number as u32 + 1, "load");
        assert_eq!(own, Some(number.to_string()), "oneself knows at once");
    }
    let all_know = |of: u32, value: &str| {
        nodes
            .iter()
            .all(|node| told(node, of, "load").as_deref() == Some(value))
    };
    until("all know all", || {
        (0..5).all(|n| all_know(n + 1, &n.to_string()))
    })
    .await;
    assert_eq!(nodes[0].all().len(), 5);

    let mut changes = nodes[4].changes();
    changes.mark_unchanged();
    nodes[0].set("load", "changed").unwrap();
    until("a change arrives", || all_know(1, "changed")).await;
    assert!(changes.has_changed().unwrap());

    nodes[0].set("load", "").unwrap();
    until("and so does taking back", || {
        nodes.iter().all(|node| told(node, 1, "load").is_none())
    })
    .await;
    assert!(nodes[0].traffic().sent > 0 && nodes[0].traffic().received > 0);
}

async fn a_new_life_replaces_the_old(kind: StateKind) {
    let links = Net::new();
    let mut nodes = cluster(kind, &links, 3).await;
    nodes[2].set("old", "1").unwrap();
    nodes[2].set("both", "1").unwrap();
    until("known", || told(&nodes[0], 3, "both").is_some()).await;
    nodes[2].stop().await;
    nodes[2] = start(kind, &links, "moot", 3, 2).await;
    nodes[2].set("both", "2").unwrap();
    introduce(&nodes);
    until("the new life is known", || {
        nodes[..2]
            .iter()
            .all(|node| told(node, 3, "both").as_deref() == Some("2"))
    })
    .await;
    pass(Duration::from_secs(30)).await;
    for node in &nodes {
        assert_eq!(told(node, 3, "old"), None, "the old one is forgotten");
        assert_eq!(told(node, 3, "both").as_deref(), Some("2"));
    }
}

async fn a_silent_new_life_still_clears_the_old(kind: StateKind) {
    let links = Net::new();
    let mut nodes = cluster(kind, &links, 3).await;
    nodes[2].set("old", "1").unwrap();
    until("known", || told(&nodes[0], 3, "old").is_some()).await;
    nodes[2].stop().await;
    nodes[2] = start(kind, &links, "moot", 3, 2).await;
    introduce(&nodes);
    until("cleared", || {
        nodes.iter().all(|node| told(node, 3, "old").is_none())
    })
    .await;
}

async fn a_cut_heals(kind: StateKind) {
    let links = Net::new();
    let nodes = cluster(kind, &links, 4).await;
    nodes[0].set("a", "before").unwrap();
    until("known", || told(&nodes[3], 1, "a").is_some()).await;
    links.cut([NodeId(1), NodeId(2)]);
    nodes[0].set("a", "during").unwrap();
    until("this side hears", || {
        told(&nodes[1], 1, "a").as_deref() == Some("during")
    })
    .await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(told(&nodes[3], 1, "a").as_deref(), Some("before"));
    links.cut([]);
    until("the other side too", || {
        told(&nodes[3], 1, "a").as_deref() == Some("during")
    })
    .await;
}

async fn the_dead_are_forgotten_and_do_not_return(kind: StateKind) {
    let links = Net::new();
    let nodes = cluster(kind, &links, 4).await;
    nodes[3].set("a", "1").unwrap();
    until("known", || {
        nodes.iter().all(|node| told(node, 4, "a").is_some())
    })
    .await;
    nodes[3].stop().await;
    links.cut([NodeId(4)]);
    introduce(&nodes[..3]);
    pass(GRACE / 3).await;
    assert!(told(&nodes[0], 4, "a").is_some(), "a while in grace");
    pass(GRACE * 2).await;
    for node in &nodes[..3] {
        assert!(!node.all().contains_key(&NodeId(4)), "then gone everywhere");
    }
}

async fn another_cluster_tells_nothing(kind: StateKind) {
    let links = Net::new();
    let ours = start(kind, &links, "moot", 1, 1).await;
    let theirs = start(kind, &links, "other", 2, 1).await;
    ours.peers(&[NodeId(2)]);
    theirs.peers(&[NodeId(1)]);
    theirs.set("a", "1").unwrap();
    until("refused", || {
        ours.traffic().refused + theirs.traffic().refused > 0
    })
    .await;
    pass(Duration::from_secs(20)).await;
    assert_eq!(told(&ours, 2, "a"), None);
}

async fn garbage_is_refused_and_survived(kind: StateKind) {
    let links = Net::new();
    let nodes = cluster(kind, &links, 2).await;
    let stranger = links.open(NodeId(9));
    for length in [0, 1, 7, 100, 70_000] {
        for byte in [0, 1, 0xb0, 0xff] {
            let _ = stranger
                .send(NodeId(1), Bytes::from(vec![byte; length]))
                .await;
        }
    }
    until("all seen", || nodes[0].traffic().received >= 20).await;
    assert!(nodes[0].traffic().refused >= 18);
    nodes[1].set("a", "1").unwrap();
    until("still at work", || told(&nodes[0], 2, "a").is_some()).await;
}

async fn limits_are_kept(kind: StateKind) {
    let links = Net::new();
    let node = start(kind, &links, "moot", 1, 1).await;
    let long = "k".repeat(KEY_MAX + 1);
    for key in ["", "_life", &long] {
        assert!(
            matches!(node.set(key, "1"), Err(StateError::Key(_))),
            "{key:?}"
        );
    }
    let big = "v".repeat(VALUE_MAX + 1);
    assert!(matches!(node.set("a", &big), Err(StateError::Value { .. })));
    for number in 0..KEYS_MAX {
        node.set(&format!("key{number}"), &big[..VALUE_MAX])
            .unwrap();
    }
    assert_eq!(node.set("one", "1"), Err(StateError::TooMany("one".into())));
    node.set("key0", "still possible").unwrap();
    assert_eq!(node.get(NodeId(1)).len(), KEYS_MAX);
}

async fn an_unreachable_peer_is_counted_and_does_not_hold_up(kind: StateKind) {
    let links = Net::new();
    let nodes = cluster(kind, &links, 2).await;
    nodes[0].peers(&[NodeId(2), NodeId(77)]);
    nodes[1].peers(&[NodeId(1), NodeId(77)]);
    nodes[0].set("a", "1").unwrap();
    until("told", || told(&nodes[1], 1, "a").is_some()).await;
    until("counted", || nodes[0].traffic().dropped > 0).await;
}

macro_rules! conformance {
    ($($test:ident),* $(,)?) => {
        mod chitchat_conforms {
            $(#[tokio::test(start_paused = true)]
            async fn $test() { super::$test(super::StateKind::Chitchat).await; })*
        }
        mod memory_conforms {
            $(#[tokio::test(start_paused = true)]
            async fn $test() { super::$test(super::StateKind::Memory).await; })*
        }
    };
}

conformance!(
    all_learn_what_each_tells,
    a_new_life_replaces_the_old,
    a_silent_new_life_still_clears_the_old,
    a_cut_heals,
    the_dead_are_forgotten_and_do_not_return,
    another_cluster_tells_nothing,
    garbage_is_refused_and_survived,
    limits_are_kept,
    an_unreachable_peer_is_counted_and_does_not_hold_up,
);

#[tokio::test(start_paused = true)]
async fn memory_exchange_is_the_same_each_time() {
    async fn run() -> Vec<(u64, u64)> {
        let links = Net::new();
        let nodes = cluster(StateKind::Memory, &links, 5).await;
        let mut trace = Vec::new();
        for second in 0..30 {
            nodes[second % 5].set("a", &second.to_string()).unwrap();
            pass(Duration::from_secs(1)).await;
            for node in &nodes {
                trace.push((node.traffic().received, *node.changes().borrow()));
            }
        }
        trace
    }
    assert_eq!(run().await, run().await);
}
