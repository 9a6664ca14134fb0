//! Nodes over a simulated network in which ways are cut: how they reach each
//! other all the same, and what a node does not do for others.

mod choose;
mod refused;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use folkmoot_gossip::{Member, MemberState};
use folkmoot_transport::sim::{SimHost, SimNet, SimOptions};
use folkmoot_transport::{FramedStream, Listener, PeerKind};
use folkmoot_wire::proto::{
    Clock, MetaState, NodeRecord, NodeReply, NodeRequest, NodeStatus, NodeStatusRequest, ReadClock,
    StreamOpen, node_reply, node_request,
};
use folkmoot_wire::{Code, Fault, NodeId, limits};
use prost::Message;
use tokio::time::{Instant, sleep};

use super::Tunnels;
use crate::cluster::pack::packed;
use crate::cluster::peers::{Class, Peers};
use crate::cluster::view::ClusterView;

const PORT: u16 = 7400;
/// In ap, in us twice, in eu, in sa.
const W: u32 = 1;
const Y: u32 = 2;
const Z: u32 = 3;
const X: u32 = 4;
const FAR: u32 = 5;
const REGIONS: [&str; 5] = ["ap", "us", "us", "eu", "sa"];
/// One way.
const LATENCY: Duration = Duration::from_millis(50);
/// A node answers so late what it is asked for its status.
const SLOW: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(5);

fn ip(node: u32) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, node as u8).into()
}

fn record(id: u32) -> NodeRecord {
    NodeRecord {
        id,
        name: format!("node-{id}"),
        region: REGIONS[id as usize - 1].to_owned(),
        quic_addr: SocketAddr::new(ip(id), PORT).to_string(),
        ..NodeRecord::default()
    }
}

fn state(nodes: &[u32]) -> MetaState {
    MetaState {
        version: 1,
        nodes: nodes.iter().copied().map(record).collect(),
        ..MetaState::default()
    }
}

/// As much of a node as is about other nodes.
struct Node {
    me: NodeId,
    view: Arc<ClusterView>,
    peers: Peers,
    tunnels: Tunnels,
}

struct Net {
    net: SimNet,
    nodes: Vec<Arc<Node>>,
}

impl Net {
    fn of(nodes: &[u32]) -> Self {
        let net = SimNet::new(|_, _| LATENCY);
        let start = |id: &u32| {
            let region = REGIONS[*id as usize - 1];
            let identity = Some((NodeId(*id), region));
            let host = net.host(ip(*id), identity, SimOptions::default());
            Node::start(NodeId(*id), region, host, state(nodes))
        };
        let nodes = nodes.iter().map(start).collect();
        Self { net, nodes }
    }

    fn node(&self, id: u32) -> &Arc<Node> {
        let mut nodes = self.nodes.iter();
        nodes.find(|node| node.me.0 == id).expect("it is there")
    }

    fn cut(&self, a: u32, b: u32) {
        self.net.partition(ip(a), ip(b));
    }

    fn heal(&self, a: u32, b: u32) {
        self.net.heal(ip(a), ip(b));
    }
}

impl Node {
    fn start(me: NodeId, region: &str, host: SimHost, state: MetaState) -> Arc<Self> {
        let listener = host.listen(PORT).expect("the port is free");
        let view = Arc::new(ClusterView::new(state));
        let peers = Peers::new(me, region.to_owned(), Arc::new(host), Arc::clone(&view));
        let tunnels = Tunnels::new(me, Arc::clone(&view), peers.ways());
        let node = Arc::new(Self {
            me,
            view,
            peers,
            tunnels,
        });
        let serving = Arc::clone(&node);
        tokio::spawn(async move {
            while let Some(connection) = listener.accept().await {
                let node = Arc::clone(&serving);
                let PeerKind::Node { node: from, .. } = *connection.peer() else {
                    panic!("only nodes dial here");
                };
                tokio::spawn(async move {
                    while let Ok(Some(stream)) = connection.accept().await {
                        let node = Arc::clone(&node);
                        tokio::spawn(async move {
                            let answer = |from, stream, open| answer((from, node.me), stream, open);
                            node.tunnels.stream(from, stream, answer).await;
                        });
                    }
                });
            }
        });
        node
    }

    /// From whom the other took the call, and who it was.
    async fn calls(&self, to: u32, within: Duration) -> Result<(u32, u32), Fault> {
        let request = node_request::Request::ReadClock(ReadClock {});
        let to = NodeId(to);
        match self.peers.call(to, Class::Live, request, within).await? {
            node_reply::Reply::Clock(clock) => {
                Ok(((clock.wall_ms >> 32) as u32, clock.wall_ms as u32))
            }
            other => panic!("{other:?}"),
        }
    }

    /// The same, whoever of those one after the other is asked again until
    /// there is an answer. How long it took.
    async fn reaches(&self, to: u32) -> Duration {
        let begin = Instant::now();
        while self.calls(to, DEADLINE).await != Ok((self.me.0, to)) {
            assert!(begin.elapsed() < Duration::from_secs(30), "never");
            sleep(Duration::from_millis(20)).await;
        }
        begin.elapsed()
    }

    fn through(&self) -> Vec<(u32, u32)> {
        let reached = self.peers.tunnels().reached();
        reached.into_iter().map(|(to, by)| (to.0, by.0)).collect()
    }

    fn holds_for(&self, node: u32, state: MemberState) {
        let addr = SocketAddr::new(ip(node), PORT);
        self.view.set_members(&[Member {
            node: NodeId(node),
            region: REGIONS[node as usize - 1].to_owned(),
            addr,
            quic: addr,
            incarnation: 1,
            state,
        }]);
    }
}

/// Tells the time as `from` and `me`, and its status late.
async fn answer((from, me): (NodeId, NodeId), stream: FramedStream, open: StreamOpen) {
    let mut stream = match open.packed {
        true => packed(stream).expect("memory"),
        false => stream,
    };
    while let Ok(Some(frame)) = stream.rx.recv().await {
        let request = NodeRequest::decode(frame).expect("a request");
        let reply = match request.request {
            Some(node_request::Request::ReadClock(_)) => node_reply::Reply::Clock(Clock {
                wall_ms: (u64::from(from.0) << 32) | u64::from(me.0),
            }),
            Some(node_request::Request::Status(_)) => {
                sleep(SLOW).await;
                node_reply::Reply::Status(NodeStatus {
                    node: me.0,
                    ..NodeStatus::default()
                })
            }
            other => panic!("{other:?}"),
        };
        let reply = NodeReply {
            id: request.id,
            reply: Some(reply),
        };
        if stream.tx.send(reply.encode_to_vec().into()).await.is_err() {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_reached_is_reached_through_a_third_region() {
    let net = Net::of(&[W, Y, X]);
    net.cut(W, X);
    let (w, y, x) = (net.node(W), net.node(Y), net.node(X));
    let begin = Instant::now();
    assert_eq!(w.calls(X, DEADLINE).await, Ok((W, X)));
    assert!(begin.elapsed() < limits::VIA_AFTER + limits::VIA_WITHIN);
    assert_eq!(w.through(), [(X, Y)]);
    assert_eq!(w.calls(X, DEADLINE).await, Ok((W, X)));
    // Both ways, each by itself, and nobody else goes a long way round.
    assert_eq!(x.calls(W, DEADLINE).await, Ok((X, W)));
    assert_eq!(w.calls(Y, DEADLINE).await, Ok((W, Y)));
    assert_eq!((w.through(), y.through()), (vec![(X, Y)], vec![]));
    let passed = y.peers.tunnels();
    assert_eq!((passed.passing(), passed.passed().0), (2, 2));
    assert!(passed.passed().1 > 0);
    assert_eq!(x.peers.tunnels().serving(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_falls_silent_is_replaced_by_a_tunnel_and_the_direct_way_returns() {
    let net = Net::of(&[W, Y, X]);
    let (w, y) = (net.node(W), net.node(Y));
    assert_eq!(w.calls(X, DEADLINE).await, Ok((W, X)));
    assert_eq!(w.through(), []);
    net.cut(W, X);
    let silent = limits::NODE_IDLE + limits::VIA_AFTER + limits::VIA_WITHIN;
    assert!(w.reaches(X).await < silent);
    assert_eq!(w.through(), [(X, Y)]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(w.calls(X, DEADLINE).await, Ok((W, X)));
    assert_eq!(w.through(), [(X, Y)]);
    net.heal(W, X);
    sleep(limits::VIA_AGAIN + LATENCY * 4).await;
    assert_eq!(w.calls(X, DEADLINE).await, Ok((W, X)));
    assert_eq!((w.through(), y.peers.tunnels().passing()), (vec![], 0));
    // The third node is of no use any more.
    net.net.kill(ip(Y));
    assert_eq!(w.calls(X, DEADLINE).await, Ok((W, X)));
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_are_answered_when_the_direct_way_returns() {
    let net = Net::of(&[W, Y, X]);
    net.cut(W, X);
    let w = Arc::clone(net.node(W));
    let slow = tokio::spawn(async move {
        let request = node_request::Request::Status(NodeStatusRequest {});
        let to = NodeId(X);
        w.peers.call(to, Class::Bulk, request, DEADLINE).await
    });
    sleep(Duration::from_secs(2)).await;
    let w = net.node(W);
    assert_eq!(w.through(), [(X, Y)]);
    // The dial that is under way since the beginning gets there now.
    net.heal(W, X);
    sleep(LATENCY * 5).await;
    assert_eq!(w.calls(X, DEADLINE).await, Ok((W, X)));
    assert!(w.peers.ways().direct.is_up(NodeId(X)));
    let answer = slow.await.expect("it ends");
    assert!(
        matches!(answer, Ok(node_reply::Reply::Status(_))),
        "{answer:?}"
    );
    sleep(Duration::from_secs(1)).await;
    assert_eq!(w.through(), []);
}

#[tokio::test(start_paused = true)]
async fn short_calls_get_through_although_each_ends_before_a_way_is_found() {
    let net = Net::of(&[W, Y, X]);
    net.cut(W, X);
    let w = net.node(W);
    let short = Duration::from_millis(250);
    let mut tried = 0;
    while w.calls(X, short).await != Ok((W, X)) {
        tried += 1;
        assert!(tried < 20);
    }
    assert!(tried > 0, "the first finds no way yet");
}

#[tokio::test(start_paused = true)]
async fn without_a_third_region_a_cut_is_a_cut() {
    // The neighbour of either end is none of a third region.
    let net = Net::of(&[Y, Z, X]);
    net.cut(Y, X);
    let y = net.node(Y);
    let fault = y.calls(X, DEADLINE * 2).await.expect_err("cut off");
    assert_eq!(fault.code, Code::Unavailable);
    assert_eq!(y.through(), []);
    net.heal(Y, X);
    assert!(y.reaches(X).await < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_nobody_reaches_is_not_looked_for_elsewhere() {
    let net = Net::of(&[W, Y, X]);
    net.cut(W, X);
    let w = net.node(W);
    w.holds_for(X, MemberState::Dead);
    w.calls(X, DEADLINE * 2).await.expect_err("cut off");
    assert_eq!(net.node(Y).peers.tunnels().passed(), (0, 0));
    w.holds_for(X, MemberState::Suspect);
    w.reaches(X).await;
    assert_eq!(w.through(), [(X, Y)]);
}

/// The first node, cut off from the last, and through whom it reaches it.
async fn goes_round(net: &Net) -> (&Node, u32) {
    net.cut(W, X);
    let w = net.node(W);
    w.reaches(X).await;
    match w.through()[..] {
        [(_, through)] => (w, through),
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_node_between_dies_the_next_one_is_found() {
    let net = Net::of(&[W, Y, Z, X]);
    let (w, first) = goes_round(&net).await;
    let second = Y + Z - first;
    net.net.kill(ip(first));
    sleep(LATENCY * 2).await;
    assert!(w.reaches(X).await < Duration::from_secs(4));
    assert_eq!(w.through(), [(X, second)]);
    // It lives, and has lost the other end itself.
    net.cut(second, X);
    net.heal(W, X);
    w.reaches(X).await;
    sleep(limits::NODE_IDLE + limits::VIA_AGAIN).await;
    assert_eq!(w.calls(X, DEADLINE).await, Ok((W, X)));
    assert_eq!(w.through(), []);
}

#[tokio::test(start_paused = true)]
async fn a_node_between_that_loses_the_other_end_is_left() {
    let net = Net::of(&[W, Y, Z, X]);
    let (w, first) = goes_round(&net).await;
    net.cut(first, X);
    // Its connection falls silent, and then its streams end.
    sleep(limits::NODE_IDLE + Duration::from_secs(1)).await;
    w.reaches(X).await;
    assert_eq!(w.through(), [(X, Y + Z - first)]);
}
