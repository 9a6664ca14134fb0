//! What a node refuses to pass on, or to be passed.

use folkmoot_wire::proto::{RpcOpen, StreamOpen, Tunnel, TunnelAnswer, Via, stream_open::What};
use folkmoot_wire::version;

use super::*;

fn open(what: What) -> bytes::Bytes {
    let open = StreamOpen {
        version: version::NODE,
        what: Some(what),
        packed: false,
    };
    open.encode_to_vec().into()
}

/// What is answered to streams that begin with these, one within the other.
async fn asked(from: &Node, at: u32, frames: &[What]) -> (u32, Option<Code>) {
    let connection = from.peers.ways().direct.get(NodeId(at)).await;
    let mut stream = connection.expect("dialled").open().await.expect("opened");
    for what in frames {
        let frame = open(*what);
        stream.tx.send(frame).await.expect("sent");
    }
    let mut answers = Vec::new();
    // As many answers as there are tunnels, unless one is refused.
    for _ in frames {
        let frame = stream.rx.recv().await.expect("no fault");
        let Some(frame) = frame else { break };
        answers.push(TunnelAnswer::decode(frame).expect("an answer"));
        if answers.last().is_some_and(|last| last.error.is_some()) {
            assert_eq!(stream.rx.recv().await.ok().flatten(), None, "it is over");
            break;
        }
        if matches!(frames.last(), Some(What::Via(_))) && answers.len() == frames.len() {
            break;
        }
    }
    let last = answers.last().expect("an answer");
    let code = last
        .error
        .as_ref()
        .and_then(|error| Code::from_u32(error.code));
    (last.node, code)
}

fn via(to: u32) -> What {
    What::Via(Via { to })
}

fn tunnel(from: u32) -> What {
    What::Tunnel(Tunnel { from })
}

#[tokio::test(start_paused = true)]
async fn what_leads_nowhere_is_not_passed_on() {
    let net = Net::of(&[W, Y, X]);
    let w = net.node(W);
    assert_eq!(asked(w, Y, &[via(X)]).await, (X, None), "this one is");
    assert_eq!(asked(w, Y, &[via(Y)]).await, (Y, Some(Code::Invalid)));
    assert_eq!(asked(w, Y, &[via(W)]).await, (Y, Some(Code::Invalid)));
    assert_eq!(asked(w, Y, &[via(77)]).await, (Y, Some(Code::Invalid)));
    let passed = net.node(Y).peers.tunnels();
    assert_eq!(passed.passed().0, 1);
    sleep(LATENCY * 3).await;
    assert_eq!(passed.passing(), 0, "and ends with its opener");
}

#[tokio::test(start_paused = true)]
async fn no_more_are_passed_on_than_there_is_room_for() {
    let net = Net::of(&[W, Y, X]);
    let (w, y) = (net.node(W), net.node(Y));
    let places = y
        .tunnels
        .places
        .try_acquire_many(limits::VIA_STREAMS as u32);
    let places = places.expect("all of them");
    assert_eq!(asked(w, Y, &[via(X)]).await, (Y, Some(Code::Busy)));
    drop(places);
    assert_eq!(asked(w, Y, &[via(X)]).await, (X, None));
}

#[tokio::test(start_paused = true)]
async fn only_direct_connections_carry_what_is_passed_on() {
    let net = Net::of(&[W, Y, X, FAR]);
    net.cut(W, X);
    net.cut(Y, X);
    let (w, y) = (net.node(W), net.node(Y));
    y.reaches(X).await;
    assert_eq!(y.through(), [(X, FAR)], "by the only one left");
    let refused = (Y, Some(Code::Unavailable));
    assert_eq!(asked(w, Y, &[via(X)]).await, refused);
    // So that one is found in the end.
    w.reaches(X).await;
    assert_eq!(w.through(), [(X, FAR)]);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_within_a_tunnel_is_refused() {
    let net = Net::of(&[W, Y, X, FAR]);
    let w = net.node(W);
    let refused = (X, Some(Code::Invalid));
    assert_eq!(asked(w, Y, &[via(X), via(FAR)]).await, refused);
    assert_eq!(asked(w, Y, &[via(X), tunnel(FAR)]).await, refused);
}

#[tokio::test(start_paused = true)]
async fn who_is_passed_on_and_who_does_it_are_nodes_of_the_cluster() {
    let net = Net::of(&[W, Y, X]);
    let y = net.node(Y);
    let rpc = || What::Rpc(RpcOpen {});
    // A node that vouches for itself, for the other end, for a stranger.
    for (from, code) in [(Y, Code::Invalid), (X, Code::Invalid), (77, Code::Invalid)] {
        let answer = asked(y, X, &[tunnel(from), rpc()]).await;
        assert_eq!(answer, (X, Some(code)), "for {from}");
    }
    for gone in [0, 1] {
        let mut state = state(&[W, Y, X]);
        state.version += 1 + gone as u64;
        state.nodes[gone].left = true;
        net.node(X).view.set_meta(state);
        let answer = asked(y, X, &[tunnel(W), rpc()]).await;
        assert_eq!(answer, (X, Some(Code::Forbidden)), "{gone}");
    }
    // Nor is anything passed on for one that has left.
    let mut state = state(&[W, Y, X]);
    state.version += 1;
    state.nodes[0].left = true;
    y.view.set_meta(state);
    let refused = (Y, Some(Code::Forbidden));
    assert_eq!(asked(net.node(W), Y, &[via(X)]).await, refused);
}

#[tokio::test(start_paused = true)]
async fn nobody_speaks_for_a_neighbour() {
    let net = Net::of(&[W, Y, Z, X]);
    let (w, y) = (net.node(W), net.node(Y));
    // For its own, for the other end's, and from a region into the same.
    let vouched = asked(y, X, &[tunnel(Z)]).await;
    assert_eq!(vouched, (X, Some(Code::Invalid)));
    let vouched = asked(w, Y, &[tunnel(Z)]).await;
    assert_eq!(vouched, (Y, Some(Code::Invalid)));
    assert_eq!(asked(y, W, &[via(Z)]).await, (W, Some(Code::Invalid)));
    assert_eq!(asked(w, Y, &[via(Z)]).await, (Y, Some(Code::Invalid)));
    assert_eq!(asked(w, Y, &[via(X)]).await, (X, None));
}
