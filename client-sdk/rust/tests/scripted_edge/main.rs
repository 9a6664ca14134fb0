//! The SDK against a scripted edge, over the simulated network and under
//! virtual time: what breaks, and that nothing is lost, doubled or reordered.

mod edges;
mod support;

use std::time::Duration;

use folkmoot_client::{
    Client, ClientError, Code, Entries, Event, MemoryStore, NewGroup, SendOptions, Start,
};
use support::store::SlowStore;
use support::{Edge, Fate, Push, group, user};

const LATENCY: Duration = Duration::from_millis(20);

async fn connect(edge: &Edge) -> Client {
    let client = edge.builder(&MemoryStore::default()).connect().await;
    client.expect("the edge is well")
}

async fn take(entries: &mut Entries, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    for _ in 0..count {
        let next = tokio::time::timeout(Duration::from_secs(60), entries.next()).await;
        seqs.push(next.expect("in time").expect("the stream goes on").seq());
    }
    seqs
}

#[tokio::test(start_paused = true)]
async fn it_says_and_reads() {
    let edge = Edge::start(LATENCY);
    let client = connect(&edge).await;
    assert_eq!(client.user(), user());
    let room = client.group(group());
    let mut entries = room.entries().await.expect("activated");
    let sent = room.send("hello").await.expect("committed");
    assert_eq!((sent.seq, sent.duplicate), (1, false));
    let entry = entries.next().await.expect("pushed");
    assert_eq!(entry.text().as_deref(), Some("hello"));
    assert_eq!(entry.client_msg_id(), Some(sent.client_msg_id));
    assert!(!entry.follows);
    let made = client
        .create_group(NewGroup::default())
        .await
        .expect("made");
    assert_eq!(made.id(), group());
    client.close().await;
    assert!(entries.next().await.is_none());
    assert_eq!(room.send("late").await, Err(ClientError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_a_lost_answer_is_the_same_message() {
    let edge = Edge::start(LATENCY);
    edge.state().fates = [
        Fate::Cut,
        Fate::Refuse(Code::Busy),
        Fate::Ignore,
        Fate::CommitAndCut,
    ]
    .into();
    let client = connect(&edge).await;
    let sent = client.group(group()).send("once").await.expect("committed");
    assert!(sent.duplicate);
    let state = edge.state();
    assert_eq!(state.arrived, [sent.client_msg_id; 5]);
    assert_eq!(state.log.len(), 1);
    assert_eq!(state.hellos.len(), 3);
    assert!(
        state
            .hellos
            .iter()
            .all(|hello| hello.device == client.device().0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_busy_edge_is_asked_for_pages_when_it_said() {
    let edge = Edge::start(LATENCY);
    edge.say("before");
    edge.state().busy = [3_000].into();
    let (client, start) = (connect(&edge).await, tokio::time::Instant::now());
    let mut entries = client.group(group()).entries().await.expect("activated");
    assert_eq!(take(&mut entries, 1).await, [1]);
    assert!(start.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_pass_is_told_and_the_rest_goes_on() {
    let edge = Edge::start(LATENCY);
    edge.state().fates = [Fate::Refuse(Code::Forbidden)].into();
    let client = connect(&edge).await;
    let room = client.group(group());
    let refused = room.submit("no").await.expect("queued");
    let fine = room.submit("yes").await.expect("queued");
    assert_eq!(
        refused.await.expect_err("refused").code(),
        Some(Code::Forbidden)
    );
    assert_eq!(fine.await.expect("committed").seq, 1);
    let long = SendOptions::text("x".repeat(100_000));
    let refused = room.send_with(long).await.expect_err("too long");
    assert_eq!(refused.code(), Some(Code::TooLarge));
    assert_eq!(edge.texts(), ["yes"]);
}

#[tokio::test(start_paused = true)]
async fn one_by_one_the_order_is_that_of_the_calls() {
    let edge = Edge::start(LATENCY);
    edge.state().fates = [
        Fate::Refuse(Code::Unavailable),
        Fate::CommitAndCut,
        Fate::Cut,
        Fate::Ignore,
    ]
    .into();
    let client = connect(&edge).await;
    let room = client.group(group());
    let mut receipts = Vec::new();
    for n in 0..20 {
        receipts.push(room.submit(n.to_string()).await.expect("queued"));
    }
    for (n, receipt) in receipts.into_iter().enumerate() {
        assert_eq!(receipt.await.expect("committed").seq, n as u64 + 1);
    }
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(edge.texts(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_survives_a_cut_in_order() {
    let edge = Edge::start(LATENCY);
    edge.state().fates = [Fate::CommitAndCut].into();
    let builder = edge.builder(&MemoryStore::default()).pipeline(16);
    let client = builder.connect().await.expect("connected");
    let room = client.group(group());
    let mut receipts = Vec::new();
    for n in 0..40 {
        receipts.push(room.submit(n.to_string()).await.expect("queued"));
    }
    for receipt in receipts {
        receipt.await.expect("committed");
    }
    let expected: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(edge.texts(), expected);
}

#[tokio::test(start_paused = true)]
async fn gaps_losses_doubles_and_cuts_do_not_show() {
    let edge = Edge::start(LATENCY);
    for n in 0..250 {
        edge.say(&n.to_string());
    }
    let client = connect(&edge).await;
    let room = client.group(group());
    let mut entries = room.entries().await.expect("activated");
    assert_eq!(
        take(&mut entries, 250).await,
        (1..=250).collect::<Vec<u64>>()
    );
    edge.state().pushes = [Push::Nothing, Push::Twice, Push::Gap, Push::Nothing].into();
    for n in 0..6 {
        edge.say(&n.to_string());
    }
    assert_eq!(take(&mut entries, 6).await, [251, 252, 253, 254, 255, 256]);
    // A cut, and entries during it.
    let mut events = client.events();
    edge.drain();
    while !matches!(events.next().await, Some(Event::Disconnected { .. })) {}
    for n in 0..6 {
        edge.say(&n.to_string());
    }
    assert_eq!(take(&mut entries, 6).await, [257, 258, 259, 260, 261, 262]);
    let state = edge.state();
    assert_eq!(state.hellos.len(), 2);
    let resume = &state.hellos[1].active[0];
    assert_eq!(resume.chain, state.log[resume.seq as usize - 1].chain);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_everything_and_nothing_is_kept_for_it() {
    let edge = Edge::start(LATENCY);
    let builder = edge.builder(&MemoryStore::default()).room(4);
    let client = builder.connect().await.expect("connected");
    let room = client.group(group());
    let mut entries = room.entries().await.expect("activated");
    for n in 0..100 {
        edge.say(&n.to_string());
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(
        edge.state().fetches.is_empty(),
        "it asks for what there is room for"
    );
    assert_eq!(
        take(&mut entries, 100).await,
        (1..=100).collect::<Vec<u64>>()
    );
    assert!(!edge.state().fetches.is_empty());
    edge.say("live again");
    assert_eq!(take(&mut entries, 1).await, [101]);
}

#[tokio::test(start_paused = true)]
async fn a_second_reader_takes_over_without_a_gap() {
    let edge = Edge::start(LATENCY);
    for n in 0..9 {
        edge.say(&n.to_string());
    }
    let client = connect(&edge).await;
    let room = client.group(group());
    let mut first = room
        .entries_from(Start::Recent(7))
        .await
        .expect("activated");
    assert_eq!(take(&mut first, 2).await, [3, 4]);
    let mut second = room.entries().await.expect("taken over");
    assert_eq!(take(&mut second, 5).await, [5, 6, 7, 8, 9]);
    drop(second);
    edge.say("nobody reads");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut third = room.entries().await.expect("taken over");
    assert_eq!(take(&mut third, 1).await, [10]);
}

#[tokio::test(start_paused = true)]
async fn outbox_and_place_survive_a_restart() {
    let edge = Edge::start(LATENCY);
    let store = MemoryStore::default();
    let client = edge.builder(&store).connect().await.expect("connected");
    let room = client.group(group());
    edge.say("before");
    let mut entries = room.entries().await.expect("activated");
    assert_eq!(take(&mut entries, 1).await, [1]);
    // Asking for the next one says that the first was dealt with.
    let next = tokio::time::timeout(Duration::from_secs(1), entries.next()).await;
    assert!(next.is_err(), "there is none yet");
    edge.state().fates = [Fate::CommitAndCut].into();
    let receipt = room
        .submit("sent, and not known to be")
        .await
        .expect("queued");
    drop(room.submit("not sent").await.expect("queued"));
    while edge.state().arrived.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client.close().await;
    assert_eq!(receipt.await, Err(ClientError::Closed));
    assert_eq!(store.saved().outbox.len(), 2);
    let device = client.device();

    let client = edge.builder(&store).connect().await.expect("connected");
    assert_eq!(client.device(), device);
    let mut events = client.events();
    let mut settled = Vec::new();
    while settled.len() < 2 {
        if let Some(Event::Settled { result, .. }) = events.next().await {
            settled.push(result.expect("committed"));
        }
    }
    assert!(settled[0].duplicate && !settled[1].duplicate);
    assert_eq!(
        edge.texts(),
        ["before", "sent, and not known to be", "not sent"]
    );
    let room = client.group(group());
    let mut entries = room.entries().await.expect("activated");
    assert_eq!(take(&mut entries, 2).await, [2, 3]);
    client.close().await;
    assert!(store.saved().outbox.is_empty());
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told() {
    let edge = Edge::start(LATENCY);
    edge.state().refusals = [Code::TokenExpired].into();
    let refused = edge.builder(&MemoryStore::default()).connect().await;
    assert_eq!(
        refused.expect_err("refused").code(),
        Some(Code::TokenExpired)
    );
    edge.state().refusals = [Code::Busy, Code::Draining].into();
    let client = connect(&edge).await;
    let unknown = "g000000000000000000000000".parse().expect("an id");
    let refused = client.group(unknown).entries().await;
    assert_eq!(refused.expect_err("not there").code(), Some(Code::NotFound));
    let mut events = client.events();
    let mut entries = client.group(group()).entries().await.expect("activated");
    edge.lose_access();
    assert!(entries.next().await.is_none());
    let lost = events.next().await.expect("told");
    assert!(matches!(lost, Event::AccessLost { fault, .. } if fault.code == Code::Banned));
}

#[tokio::test(start_paused = true)]
async fn a_store_of_another_user_is_refused() {
    use folkmoot_client::{Identity, LocalStore, Record, UserId};
    let edge = Edge::start(LATENCY);
    let mut store = MemoryStore::default();
    let other = Identity {
        cluster: [7; 16],
        user: UserId::new(folkmoot_wire::RegionId(9), folkmoot_wire::Slot(9), [9; 11]),
    };
    store
        .append(vec![Record::Identity(other)])
        .await
        .expect("kept");
    let refused = edge.builder(&store).connect().await;
    assert!(matches!(refused, Err(ClientError::WrongStore { .. })));
}

/// One story with cuts and refusals, as a trace.
async fn story() -> Vec<String> {
    let start = tokio::time::Instant::now();
    let edge = Edge::start(LATENCY);
    edge.state().fates = [Fate::Refuse(Code::Busy), Fate::CommitAndCut, Fate::Cut].into();
    edge.state().pushes = [Push::Gap, Push::Twice, Push::Nothing].into();
    let client = connect(&edge).await;
    let room = client.group(group());
    let mut entries = room.entries().await.expect("activated");
    let mut trace = Vec::new();
    for n in 0..5 {
        let sent = room.send(n.to_string()).await.expect("committed");
        trace.push(format!("{sent:?} {:?}", start.elapsed()));
    }
    for seq in take(&mut entries, 5).await {
        trace.push(format!("{seq} {:?}", start.elapsed()));
    }
    trace
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_trace() {
    assert_eq!(story().await, story().await);
}

/// Sent again by an application that died, it could be committed: its sender
/// may be a member by then.
#[tokio::test(start_paused = true)]
async fn what_was_told_to_be_refused_is_never_sent_again() {
    let edge = Edge::start(LATENCY);
    edge.state().fates = [Fate::Refuse(Code::NotFound)].into();
    let store = SlowStore::default();
    let client = edge.builder(&MemoryStore::default()).store(store.clone());
    let client = client.connect().await.expect("the edge is well");
    let room = client.group(group());
    let refused = room.send("let me in").await.expect_err("refused");
    assert_eq!(refused.code(), Some(Code::NotFound));
    assert_eq!(store.on_disk().outbox.len(), 0, "it is on disk by then");
}
