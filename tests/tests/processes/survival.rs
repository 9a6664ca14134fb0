//! What survival goals promise: a whole region is lost, the founder in it, and
//! nobody does anything; a folder of before its shard had other voters is put
//! back; and goals that cannot be.

use folkmoot_node::demo::wan::Wan;
use serde_json::Value;

use super::disks::{beside, copy};
use super::far::{AP, EU, Person, REGIONS, US, cluster};
use super::log::{check_one_log, said_in};
use super::node::{Cluster, Node, json, until};
use super::people::{make_group, runtime};

/// Of the distances that there are: all of them.
const SCALE: f64 = 1.0;

fn region(node: &Node, name: &str) -> Option<Value> {
    let answer = node.at.get("/v1/regions")?;
    let mut regions = answer["regions"].as_array()?.iter();
    regions.find(|region| region["region"] == name).cloned()
}

/// Waits until the shards of all regions, and the cluster's own, survive the
/// loss of one.
fn spread(node: &Node) {
    until("voters in three regions", || {
        let status = node.at.get("/v1/status")?;
        let survive = |name| Some(region(node, name)?["survives"] == "region");
        let all = REGIONS.map(|name| survive(name).unwrap_or_default());
        let meta = status["meta_voters"].as_array()?.len();
        (all == [true; 3] && meta == 3).then_some(())
    });
}

/// Stops all nodes. What was said, of which each has the same.
fn said_everywhere(cluster: &mut Cluster, group: &str) -> Vec<String> {
    for node in &mut cluster.nodes {
        assert!(node.stop().success(), "{}", node.log());
    }
    let copies = [EU, US, AP].map(|at| cluster.nodes[at].offline(group));
    let said = said_in(&check_one_log(&copies)).into_iter();
    said.map(|said| said.2).collect()
}

#[test]
fn a_region_is_lost_and_the_others_go_on_with_its_groups() {
    let runtime = runtime();
    let wan = Wan::new(REGIONS.len(), SCALE);
    let flags = ["--shards=2", "--survival-goal=topology"];
    let (mut cluster, _sites) = cluster(&runtime, &wan, &flags);
    for node in &cluster.nodes {
        spread(node);
    }
    let (id, group) = make_group(&cluster.nodes[EU], "lounge", "eu");
    let (mut ann, mut bob, mut cat) = runtime.block_on(async {
        (
            Person::new(&cluster.nodes[EU], "ann", id).await,
            Person::new(&cluster.nodes[US], "bob", id).await,
            Person::new(&cluster.nodes[AP], "cat", id).await,
        )
    });
    runtime.block_on(async {
        bob.say("before").await;
        for person in [&mut ann, &mut bob, &mut cat] {
            person.hears("before").await;
        }
    });
    cluster.nodes[EU].kill();
    runtime.block_on(async {
        bob.say("without the home").await;
        cat.hears("without the home").await;
        cat.say("we too").await;
        bob.hears("we too").await;
    });
    // So does the cluster's own shard.
    let goal = until("the meta shard to go on", || {
        let set = cluster.nodes[US].ask(&["region", "goal", "us", "region"]);
        set.status.success().then(|| json(&set))
    });
    assert_eq!(goal["survival_goal"], "region");
    let token = cluster.nodes[AP].json(&["token", "create"]);
    assert!(token["token"].as_str().is_some(), "{token}");
    cluster.nodes[EU].again();
    runtime.block_on(async {
        ann.hears("we too").await;
        ann.say("back").await;
        for person in [&mut ann, &mut bob, &mut cat] {
            person.hears("back").await;
        }
        for person in [ann, bob, cat] {
            person.client.close().await;
        }
    });
    until("the one that was away to know the goal", || {
        (region(&cluster.nodes[EU], "us")?["survival_goal"] == "region").then_some(())
    });
    let said = said_everywhere(&mut cluster, &group);
    assert_eq!(said, ["before", "without the home", "we too", "back"]);
}

/// By its own word the node is the only voter of the group's shard, which it was
/// when the copy was made.
#[test]
fn a_folder_of_before_others_voted_does_not_lead_by_its_own_word() {
    let runtime = runtime();
    let wan = Wan::new(REGIONS.len(), 0.0);
    let flags = ["--shards=1", "--voters=1", "--follow=full"];
    let (mut cluster, _sites) = cluster(&runtime, &wan, &flags);
    let (id, group) = make_group(&cluster.nodes[EU], "lounge", "eu");
    let mut bob = runtime.block_on(Person::new(&cluster.nodes[US], "bob", id));
    runtime.block_on(async {
        bob.say("alone").await;
        bob.hears("alone").await;
    });
    assert!(cluster.nodes[EU].stop().success());
    let data = cluster.nodes[EU].data.clone();
    let kept = beside(&data, "kept");
    copy(&data, &kept);
    cluster.nodes[EU].again();
    cluster.nodes[US].json(&["region", "goal", "eu", "region"]);
    until("voters in three regions", || {
        (region(&cluster.nodes[US], "eu")?["survives"] == "region").then_some(())
    });
    runtime.block_on(bob.say("with others"));
    cluster.nodes[EU].kill();
    std::fs::remove_dir_all(&data).expect("removed");
    std::fs::rename(&kept, &data).expect("moved");
    cluster.nodes[EU].again();
    until("it is ready", || cluster.nodes[EU].at.ready().then_some(()));
    let log = cluster.nodes[EU].log();
    assert!(log.contains("the data folder is older"), "{log}");
    runtime.block_on(async {
        let mut ann = Person::new(&cluster.nodes[EU], "ann", id).await;
        ann.say("at home again").await;
        bob.hears("at home again").await;
        ann.hears("at home again").await;
        for person in [ann, bob] {
            person.client.close().await;
        }
    });
    let said = said_everywhere(&mut cluster, &group);
    assert_eq!(said, ["alone", "with others", "at home again"]);
}

#[test]
fn a_goal_that_cannot_be_set_is_refused_with_what_to_do() {
    let runtime = runtime();
    let wan = Wan::new(REGIONS.len(), 0.0);
    let (cluster, _sites) = cluster(&runtime, &wan, &["--shards=1", "--voters=1"]);
    let node = &cluster.nodes[EU];
    let refused = |args: &[&str]| {
        let answer = node.ask(args);
        assert!(!answer.status.success());
        String::from_utf8_lossy(&answer.stderr).into_owned()
    };
    let unknown = refused(&["region", "goal", "mars", "region"]);
    assert!(unknown.contains("no region is called mars"), "{unknown}");
    let goal = refused(&["region", "goal", "eu", "planet"]);
    assert!(goal.contains("topology, node, region"), "{goal}");
    let regions = node.json(&["region", "ls"]);
    assert_eq!(regions[0]["survival_goal"], "node");
    assert_eq!(regions[0]["survives"], "nothing");
}
