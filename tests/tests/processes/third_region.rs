//! Two regions that are cut off from each other, and a third that reaches
//! both: nobody notices.

use std::time::Instant;

use folkmoot_node::demo::wan::Wan;

use super::far::{AP, EU, PATIENCE, Person, REGIONS, US, cluster};
use super::log::{check_one_log, said_in};
use super::node::{Node, until};
use super::people::{make_group, runtime};

/// Of the distances that there are.
const SCALE: f64 = 0.1;

fn reached(node: &Node) -> f64 {
    let reached = node.at.metric("folkmoot_tunnels", &["role=\"reached\""]);
    reached.unwrap_or(0.0)
}

fn accepted(node: &Node) -> f64 {
    let name = "folkmoot_tentative_messages_total";
    let accepted = node.at.metric(name, &["what=\"accepted\""]);
    accepted.unwrap_or(0.0)
}

#[test]
fn a_home_that_is_cut_off_is_reached_through_a_third_region() {
    let runtime = runtime();
    let wan = Wan::new(REGIONS.len(), SCALE);
    let (mut cluster, _sites) = cluster(&runtime, &wan, &["--shards=2"]);
    let (id, group) = make_group(&cluster.nodes[EU], "lounge", "eu");
    let (mut ann, mut bob, mut cat) = runtime.block_on(async {
        (
            Person::new(&cluster.nodes[EU], "ann", id).await,
            Person::new(&cluster.nodes[AP], "bob", id).await,
            Person::new(&cluster.nodes[US], "cat", id).await,
        )
    });
    runtime.block_on(bob.say("before"));
    wan.set_apart(EU, AP, true);
    for place in [EU, AP] {
        until("a way round", || {
            (reached(&cluster.nodes[place]) >= 1.0).then_some(())
        });
    }
    // Not by way of tentative: the home itself answers. On a machine that
    // stands still for seconds it may not be the first.
    let begin = Instant::now();
    for number in 0.. {
        assert!(begin.elapsed() < PATIENCE, "all that is said is tentative");
        let before = accepted(&cluster.nodes[AP]);
        let text = format!("from ap {number}");
        runtime.block_on(async {
            bob.say(&text).await;
            for person in [&mut ann, &mut cat, &mut bob] {
                person.hears(&text).await;
            }
        });
        if accepted(&cluster.nodes[AP]) == before {
            break;
        }
    }
    runtime.block_on(async {
        ann.say("from eu").await;
        cat.say("from us").await;
        for person in [&mut bob, &mut cat, &mut ann] {
            person.hears("from us").await;
        }
    });
    let status = cluster.nodes[AP].json(&["status"]);
    assert_eq!(status["reached_through"][0], "node 1 through node 2");
    let passed = cluster.nodes[US]
        .at
        .metric("folkmoot_tunnel_bytes_total", &[]);
    assert!(passed.is_some_and(|bytes| bytes > 0.0), "{passed:?}");
    wan.set_apart(EU, AP, false);
    for place in [EU, AP] {
        until("the direct way", || {
            (reached(&cluster.nodes[place]) == 0.0).then_some(())
        });
    }
    runtime.block_on(async {
        bob.say("after").await;
        for person in [&mut ann, &mut cat, &mut bob] {
            person.hears("after").await;
        }
        for person in [ann, bob, cat] {
            person.client.close().await;
        }
    });
    let log = cluster.nodes[AP].log();
    for line in [
        "it is reached through another region",
        "is reached directly again",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    for node in &mut cluster.nodes {
        assert!(node.stop().success(), "{}", node.log());
    }
    let copies = [EU, AP].map(|at| cluster.nodes[at].offline(&group));
    let said = said_in(&check_one_log(&copies));
    assert_eq!(said.first().map(|said| said.2.as_str()), Some("before"));
    assert_eq!(said.last().map(|said| said.2.as_str()), Some("after"));
}
