//! Edges that fall silent: which are left, and which are not.

use std::time::Duration;

use folkmoot_client::{Event, Events, MemoryStore};
use futures_util::FutureExt;

use super::LATENCY;
use super::support::{Edge, Fate, group};

/// The name of each edge that an event told of.
fn edges(events: &mut Events) -> Vec<String> {
    let mut edges = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        if let Event::Connected { edge, .. } = event {
            edges.push(edge);
        }
    }
    edges
}

#[tokio::test(start_paused = true)]
async fn a_silent_edge_is_left_for_one_that_answers() {
    let edge = Edge::start(LATENCY);
    let builder = edge.builder(&MemoryStore::default());
    let client = builder.edge(Edge::address(3)).connect().await;
    let client = client.expect("the edge is well");
    let mut events = client.events();
    edge.state().fates = [Fate::CommitAndStall(Duration::from_secs(60))].into();
    let start = tokio::time::Instant::now();
    let sent = client.group(group()).send("heard?").await.expect("sent");
    assert_eq!((sent.seq, sent.duplicate), (1, true));
    assert!(start.elapsed() < Duration::from_secs(1), "virtual time");
    assert_eq!(edges(&mut events), [Edge::address(3)]);
    // It stays there.
    client.group(group()).send("yes").await.expect("sent");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(edges(&mut events), Vec::<String>::new());
    assert_eq!(edge.texts(), ["heard?", "yes"]);
}

/// Sends a message after another, two seconds apart, to edges that each fall
/// silent for `stall` at the first. Gives how long each took.
async fn times_at_edges_that_stall(stall: Duration) -> Vec<Duration> {
    let edge = Edge::start(LATENCY);
    let builder = edge.builder(&MemoryStore::default());
    let client = builder.edge(Edge::address(3)).connect().await;
    let client = client.expect("the edge is well");
    let mut times = Vec::new();
    for number in 0..8 {
        edge.state().fates = [Fate::CommitAndStall(stall)].into();
        let start = tokio::time::Instant::now();
        let sent = client.group(group()).send(number.to_string()).await;
        sent.expect("sent");
        times.push(start.elapsed());
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    times
}

#[tokio::test(start_paused = true)]
async fn edges_that_die_one_after_the_other_are_each_left_at_once() {
    let times = times_at_edges_that_stall(Duration::from_secs(3_600)).await;
    let slowest = times.iter().max();
    assert!(slowest < Some(&Duration::from_secs(1)), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn edges_that_are_slow_are_not_left_again_and_again() {
    let times = times_at_edges_that_stall(Duration::from_secs(1)).await;
    let left = |time: &&Duration| **time < Duration::from_secs(1);
    // Three, and one more in five seconds; the one that is not left then has a
    // long round trip.
    assert_eq!(times.iter().filter(left).count(), 5, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_stalls_is_kept_when_no_other_is_there() {
    let edge = Edge::start(LATENCY);
    let builder = edge.builder(&MemoryStore::default());
    let client = builder.edge(Edge::address(9)).connect().await;
    let client = client.expect("the edge is well");
    let mut events = client.events();
    edge.state().fates = [Fate::CommitAndStall(Duration::from_secs(2))].into();
    let sent = client.group(group()).send("slow").await.expect("sent");
    assert_eq!((sent.seq, sent.duplicate), (1, false));
    assert_eq!(edges(&mut events), Vec::<String>::new());
    assert_eq!(edge.state().arrived.len(), 1);
}
