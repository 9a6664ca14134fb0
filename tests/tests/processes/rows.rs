//! What is no message: read cursors, members and the profile, seen from three
//! regions.

use folkmoot_client::Carrier;
use folkmoot_crdt::profile::Profile;
use folkmoot_wire::limits;
use serde_json::Value;

use super::node::{Cluster, until};
use super::people::{connect, cursor_of, make_group, runtime};

/// What a node's own copy of the group comes to.
fn copy(cluster: &Cluster, at: usize, group: &str) -> Option<Value> {
    let number = (at + 1).to_string();
    // Each time another node is asked about it.
    let asked = &cluster.nodes[(at + 1) % cluster.nodes.len()];
    let output = asked.ask(&["group", "show", group, "--at", &number]);
    let shown = output
        .status
        .success()
        .then(|| super::node::json(&output))?;
    Some(Value::from(vec![
        shown["seq"].clone(),
        shown["chain"].clone(),
        shown["members_listed"].clone(),
        shown["rows"].clone(),
        shown["rows_digest"].clone(),
        shown["digest_of_members"].clone(),
        shown["digest_of_cursors"].clone(),
        shown["digest_of_profile"].clone(),
    ]))
}

/// Waits until all nodes hold the same, and gives it.
fn agreed(cluster: &Cluster, group: &str) -> Value {
    until("all regions to hold the same", || {
        let copies: Option<Vec<Value>> = (0..cluster.nodes.len())
            .map(|at| copy(cluster, at, group))
            .collect();
        let copies = copies?;
        copies
            .windows(2)
            .all(|pair| pair[0] == pair[1])
            .then(|| copies[0].clone())
    })
}

#[test]
fn cursors_members_and_profile_are_the_same_in_all_regions() {
    let cluster = Cluster::start(&["eu", "us", "ap"], &["--shards", "2"]);
    let (id, group) = make_group(&cluster.nodes[1], "lounge", "us");
    let runtime = runtime();
    // While they have the group open, their regions follow it.
    let _open = runtime.block_on(async {
        let ann = connect(&cluster.nodes[0], "ann", Carrier::Quic).await;
        let bob = connect(&cluster.nodes[2], "bob", Carrier::WebSocket).await;
        let cid = connect(&cluster.nodes[1], "cid", Carrier::Quic).await;
        let (anns, bobs, cids) = (ann.group(id), bob.group(id), cid.group(id));
        bobs.join("Bob").await.expect("the group is open");
        cids.join("Cid").await.expect("the group is open");
        for group in [&anns, &bobs, &cids] {
            group.activate().await.expect("a member");
        }
        let first = anns.send("shall we?").await.expect("sent").seq;
        let second = bobs.send("we shall").await.expect("sent").seq;
        // Ann's own message moved her cursor; now she reads Bob's too.
        anns.mark_read(second).await.expect("it is there");
        cursor_of(&bobs, ann.user(), second).await;
        cids.mark_read(first).await.expect("it is there");
        cursor_of(&anns, cid.user(), first).await;
        cursor_of(&anns, bob.user(), second).await;
        let refused = cids.mark_read(second + 100).await;
        assert!(refused.is_err(), "no cursor passes the head");
        [ann, bob, cid]
    });
    let before = agreed(&cluster, &group);
    runtime.block_on(async {
        let ann = connect(&cluster.nodes[0], "ann", Carrier::WebSocket).await;
        let bob = connect(&cluster.nodes[2], "bob", Carrier::Quic).await;
        let anns = ann.group(id);
        let held = anns.profile().await.expect("a member");
        let mut profile = Profile::load(&held, limits::PROFILE_MAX).expect("a profile");
        let changes = profile
            .edit(&[7; 16], |edit| edit.set_topic("tea"))
            .expect("an edit");
        let changes = changes.into_iter().map(Into::into).collect();
        anns.update_profile(changes).await.expect("it fits");
        anns.rename("Ann", "Anna").await.expect("free");
        bob.group(id).leave().await.expect("a member");
    });
    let after = until("the changes in all regions", || {
        let after = agreed(&cluster, &group);
        (after[5] != before[5] && after[7] != before[7]).then_some(after)
    });
    assert_ne!(before[4], after[4], "the rows changed");
    runtime.block_on(async {
        let cid = connect(&cluster.nodes[1], "cid", Carrier::Quic).await;
        let held = cid.group(id).profile().await.expect("a member");
        let profile = Profile::load(&held, limits::PROFILE_MAX).expect("a profile");
        assert_eq!(profile.topic(), "tea");
    });
}
