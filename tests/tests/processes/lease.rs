//! A node that hears nothing from a home for too long serves its groups no more,
//! until the home is back.

use folkmoot_client::{Carrier, Code, Range};
use tokio::time::timeout;

use super::node::{Cluster, Node, until};
use super::people::{connect, make_group, runtime};
use super::tentative::{PATIENCE, Person};

const NOT_SERVED: &str = "folkmoot_shards_not_served";
const TENTATIVE: &str = "folkmoot_tentative_messages_total";

/// Looks whether so many of a node's leases have ended.
fn ended(node: &Node, leases: f64) -> impl Fn() -> Option<()> {
    move || (node.at.metric(NOT_SERVED, &[])? == leases).then_some(())
}

#[test]
fn a_group_whose_home_is_gone_for_long_is_not_served_and_comes_back_whole() {
    let lease = ["--authority-lease", "6"];
    let flags = [&["--shards", "1", "--follow", "full"], &lease[..]].concat();
    let mut cluster = Cluster::start(&["eu", "us", "ap"], &flags);
    let (id, _) = make_group(&cluster.nodes[0], "lounge", "us");
    let runtime = runtime();
    let mut bob = runtime.block_on(async {
        let bob = connect(&cluster.nodes[2], "bob", Carrier::Quic).await;
        let bob = Person::new(bob, id, "Bob").await;
        bob.group.send("before").await.expect("committed");
        bob
    });
    cluster.nodes[1].kill();
    let one = runtime.block_on(bob.say("one"));
    until("the lease to end", ended(&cluster.nodes[2], 1.0));
    let [two] = runtime.block_on(async {
        let refused = bob.group.history(Range::default()).await;
        let refused = refused.expect_err("nobody knows who may see it");
        assert_eq!(refused.code(), Some(Code::Unavailable), "{refused}");
        [bob.group.submit("two").await.expect("queued")]
    });
    let accepted = |node: &Node| node.at.metric(TENTATIVE, &["accepted"]);
    assert_eq!(accepted(&cluster.nodes[2]), Some(1.0));
    // A restart makes no lease longer.
    assert!(cluster.nodes[2].stop().success());
    cluster.nodes[2].again();
    until(
        "the lease to be as old as it was",
        ended(&cluster.nodes[2], 1.0),
    );
    // Once the home is there again, what is said before it has what waits is
    // accepted too.
    assert_eq!(accepted(&cluster.nodes[2]), Some(0.0), "since the restart");
    cluster.nodes[1].again();
    until("the home to be heard from", ended(&cluster.nodes[2], 0.0));
    runtime.block_on(async {
        let mut last = 0;
        for receipt in [one, two] {
            let sent = timeout(PATIENCE, receipt).await.expect("settled");
            let sent = sent.expect("committed");
            assert!(sent.seq > last, "in the order they were said");
            last = sent.seq;
        }
        assert_eq!(bob.read("two").await, ["before", "one", "two"]);
        bob.client.close().await;
    });
    for node in &mut cluster.nodes {
        assert!(node.stop().success(), "{}", node.log());
    }
}
