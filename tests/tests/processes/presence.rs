//! Who is there and who is writing, told from one region to another, and over
//! the end of the node that knows it.

use folkmoot_client::{Carrier, Client, Event, Presence};

use super::node::{Cluster, Running, until};
use super::people::{connect, make_group, runtime};
use super::tentative::Person;

/// What is told of the one who is watched.
async fn told(person: &mut Person) -> Presence {
    let one = |event: Event| match event {
        Event::Presence { people, .. } => people.first().copied(),
        _ => None,
    };
    person.see(one).await
}

/// Waits until such a thing is told.
async fn until_told(person: &mut Person, wanted: impl Fn(&Presence) -> bool) {
    while !wanted(&told(person).await) {}
}

/// The node of these that knows somebody to be there.
fn home(cluster: &Cluster, nodes: &[usize]) -> usize {
    let knows = |node: &&usize| {
        let online = cluster.nodes[**node]
            .at
            .metric("folkmoot_online_users", &[]);
        online.is_some_and(|online| online > 0.0)
    };
    until("a home that knows who is there", || {
        nodes.iter().find(knows).copied()
    })
}

#[test]
fn it_is_seen_in_another_region_and_outlives_a_leader() {
    const REGION: [usize; 3] = [1, 2, 3];
    // A leader can be lost where there are three of them.
    let mut cluster = Cluster::start_at(&["eu", "ap", "ap", "ap"], |place| {
        let voters = if place == 0 { "1" } else { "3" };
        let flags = ["--shards", "1", "--voters", voters].map(str::to_owned);
        (Running::anywhere(), flags.into())
    });
    let (id, _) = make_group(&cluster.nodes[0], "lounge", "eu");
    let runtime = runtime();
    let at = |cluster: &Cluster, node: usize| -> Client {
        runtime.block_on(connect(&cluster.nodes[node], "bob", Carrier::Quic))
    };
    // Bob is of that region, and not at the node that is his home.
    let mut bob = at(&cluster, REGION[0]);
    let home_of_bob = home(&cluster, &REGION);
    if home_of_bob == REGION[0] {
        runtime.block_on(bob.close());
        bob = at(&cluster, REGION[1]);
    }
    let (mut ann, bob) = runtime.block_on(async {
        let bob = Person::new(bob, id, "Bob").await;
        let ann = connect(&cluster.nodes[0], "ann", Carrier::WebSocket).await;
        let mut ann = Person::of(ann, id).await;
        ann.group
            .watch_presence([bob.client.user()])
            .await
            .expect("few");
        until_told(&mut ann, |bob| bob.online).await;
        bob.group.typing().await.expect("a small group");
        until_told(&mut ann, |bob| bob.typing).await;
        until_told(&mut ann, |bob| bob.online && !bob.typing).await;
        (ann, bob)
    });
    cluster.nodes[home_of_bob].kill();
    let others: Vec<usize> = REGION
        .into_iter()
        .filter(|node| *node != home_of_bob)
        .collect();
    home(&cluster, &others);
    runtime.block_on(async {
        // He was there all along: that he is writing is the first news.
        bob.group.typing().await.expect("a small group");
        let next = told(&mut ann).await;
        assert!(next.online && next.typing, "{next:?}");
        bob.client.close().await;
        until_told(&mut ann, |bob| !bob.online).await;
        ann.client.close().await;
    });
}
