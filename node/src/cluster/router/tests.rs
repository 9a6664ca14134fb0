//! A router among simulated nodes, of which one takes calls and never answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use folkmoot_gossip::{Member, MemberState};
use folkmoot_transport::sim::{SimHost, SimNet, SimOptions};
use folkmoot_transport::{FramedStream, Listener};
use folkmoot_wire::proto::{MetaState, NodeRecord, NodeReply, NodeRequest, Outcomes, ShardRecord};
use prost::Message;

use super::*;

const REGION: &str = "here";
const PORT: u16 = 7400;
const SHARD: ShardId = ShardId(1);
const ME: u32 = 1;
const SILENT: u32 = 2;
const LEADER: u32 = 3;

struct Same;

impl Random for Same {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

fn ip(node: u32) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, node as u8).into()
}

fn state() -> MetaState {
    let node = |id| NodeRecord {
        id,
        name: format!("node-{id}"),
        region: REGION.to_owned(),
        quic_addr: SocketAddr::new(ip(id), PORT).to_string(),
        ..NodeRecord::default()
    };
    MetaState {
        version: 1,
        nodes: vec![node(ME), node(SILENT), node(LEADER)],
        shards: vec![ShardRecord {
            id: SHARD.0,
            region: 1,
            slot_to: 65_535,
            voters: vec![SILENT, LEADER],
            generation: 1,
            ..ShardRecord::default()
        }],
        ..MetaState::default()
    }
}

fn member(node: u32, state: MemberState) -> Member {
    let addr = SocketAddr::new(ip(node), PORT);
    Member {
        node: NodeId(node),
        region: REGION.to_owned(),
        addr,
        quic: addr,
        incarnation: 1,
        state,
    }
}

/// Answers proposals with one outcome a command.
async fn answer(mut stream: FramedStream) {
    let opening = stream.rx.recv().await.expect("no fault").expect("a frame");
    drop(opening);
    while let Ok(Some(frame)) = stream.rx.recv().await {
        let request = NodeRequest::decode(frame).expect("a request");
        let Some(node_request::Request::Propose(propose)) = request.request else {
            panic!("nothing else is asked for");
        };
        let outcomes = propose.commands.iter().map(|_| Outcome::default());
        let reply = NodeReply {
            id: request.id,
            reply: Some(node_reply::Reply::Outcomes(Outcomes {
                outcomes: outcomes.collect(),
            })),
        };
        let frame = reply.encode_to_vec().into();
        stream.tx.send(frame).await.expect("the caller is there");
    }
}

/// Takes connections; answers what comes over them, or not.
fn serve(host: SimHost, answers: bool) {
    let listener = host.listen(PORT).expect("the port is free");
    tokio::spawn(async move {
        let _host = host;
        while let Some(connection) = listener.accept().await {
            tokio::spawn(async move {
                let mut held = Vec::new();
                while let Ok(Some(stream)) = connection.accept().await {
                    if answers {
                        tokio::spawn(answer(stream));
                    } else {
                        held.push(stream);
                    }
                }
            });
        }
    });
}

fn router() -> (Arc<Router>, Arc<ClusterView>) {
    let net = SimNet::new(|_, _| Duration::from_millis(1));
    let host = |node| {
        let identity = Some((NodeId(node), REGION));
        net.host(ip(node), identity, SimOptions::default())
    };
    serve(host(SILENT), false);
    serve(host(LEADER), true);
    let view = Arc::new(ClusterView::new(state()));
    view.set_leader(SHARD, Some(NodeId(SILENT)));
    let peers = Peers::new(
        NodeId(ME),
        REGION.to_owned(),
        Arc::new(host(ME)),
        Arc::clone(&view),
    );
    let router = Router::new(
        Arc::new(peers),
        Arc::default(),
        Arc::clone(&view),
        Arc::new(Same),
    );
    (Arc::new(router), view)
}

async fn propose(router: Arc<Router>, view: &ClusterView) -> Result<Vec<Outcome>, Fault> {
    let shard = view.placement().shard(SHARD).cloned().expect("placed");
    router.propose(&shard, vec![Command::default()]).await
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_with_the_proposal_is_passed_over() {
    let (router, view) = router();
    let start = Instant::now();
    let seen = Arc::clone(&view);
    tokio::spawn(async move {
        sleep(Duration::from_millis(600)).await;
        seen.set_members(&[member(SILENT, MemberState::Dead)]);
    });
    let outcomes = propose(router, &view).await.expect("the other leads");
    assert_eq!(outcomes.len(), 1);
    assert!(start.elapsed() >= Duration::from_millis(600));
    assert!(start.elapsed() < limits::PROPOSE_DEADLINE / 2);
    assert_eq!(view.leader(SHARD), Some(NodeId(LEADER)));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_slow_and_lives_is_waited_for() {
    let (router, view) = router();
    let seen = Arc::clone(&view);
    tokio::spawn(async move {
        sleep(Duration::from_millis(600)).await;
        seen.set_members(&[member(SILENT, MemberState::Suspect)]);
    });
    let fault = propose(router, &view).await.expect_err("it never answers");
    assert_eq!(fault.code, Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn where_gossip_holds_all_for_dead_they_are_asked_all_the_same() {
    let (router, view) = router();
    let dead = |node| member(node, MemberState::Dead);
    view.set_members(&[dead(SILENT), dead(LEADER)]);
    view.set_leader(SHARD, None);
    let mut state = state();
    state.version = 2;
    state.shards[0].voters = vec![LEADER];
    view.set_meta(state);
    let outcomes = propose(router, &view).await.expect("it lives");
    assert_eq!(outcomes.len(), 1);
}
