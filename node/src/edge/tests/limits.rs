//! Clients that say nothing, read nothing, ask too much; nodes that go away.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{Goodbye, History, Kind, Ping, Send};
use folkmoot_wire::{Code, Fault, limits};

use super::client::{Client, error, said, text};
use super::world::World;
use crate::edge::EdgeOptions;

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_closed() {
    let world = World::new();
    let mut without_stream = Client::silent(&world, false);
    let mut without_hello = Client::silent(&world, true);
    assert_eq!(without_hello.closing().await, Code::HelloTimeout);
    let closed = without_stream
        .end
        .closed
        .wait_for(Option::is_some)
        .await
        .unwrap();
    assert_eq!(closed.clone().unwrap().0, Code::HelloTimeout as u32);
    let mut idle = Client::connect(&world, "ann").await;
    assert_eq!(idle.closing().await, Code::IdleTimeout);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_session() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    for _ in 0..10 {
        tokio::time::sleep(limits::HEARTBEAT).await;
        assert!(matches!(
            ann.call(Request::Ping(Ping {})).await,
            Body::Pong(_)
        ));
    }
    assert_eq!(world.edge().stats().sessions_sim, 1);
    ann.ask(Request::Goodbye(Goodbye {})).await;
    assert!(ann.frame().await.is_none());
    let closed = ann.end.closed.wait_for(Option::is_some).await.unwrap();
    assert_eq!(closed.clone().unwrap().0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_costs_little_and_is_cut_off() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    bob.activate(group, 0, Bytes::new()).await;
    // Bob reads no more. Twelve megabytes pass by in lines of 60 KB.
    let large = "x".repeat(60_000);
    for _ in 0..200 {
        ann.say(group, &large).await;
        let queued = world.edge().stats().queue_bytes;
        assert!(
            queued <= limits::SESSION_QUEUE_BYTES as u64,
            "{queued} bytes wait"
        );
    }
    assert!(world.edge().stats().gaps > 0);
    let closed = bob.end.closed.wait_for(Option::is_some).await.unwrap();
    assert_eq!(closed.clone().unwrap().0, Code::SlowConsumer as u32);
    drop(closed);
    assert_eq!(world.edge().stats().slow_consumers, 1);
    // Ann noticed nothing.
    assert!(ann.say(group, "still here").await > 200);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_a_gap_and_closes_it_by_history() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    let mut known = bob.activate(group, 0, Bytes::new()).await.live_from;
    let large = "x".repeat(50_000);
    let mut last = 0;
    for i in 0..120 {
        last = ann.say(group, &format!("{i} {large}")).await;
    }
    let mut lines = Vec::new();
    let mut gaps = 0;
    while known < last {
        match bob.push().await {
            Body::Deliver(deliver) => {
                let covers = deliver.covers.unwrap();
                assert_eq!(covers.from, known + 1, "a hole without a gap");
                known = covers.to;
                lines.extend(deliver.entries.iter().map(said));
            }
            Body::Gap(gap) => {
                gaps += 1;
                let head = gap.head.unwrap().seq;
                while known < head {
                    let ask = History {
                        group: group.to_bytes(),
                        after: known,
                        before: head + 1,
                        ..History::default()
                    };
                    let Body::Log(slice) = bob.call(Request::History(ask)).await else {
                        panic!("no log")
                    };
                    known = slice.covers.unwrap().to;
                    lines.extend(slice.entries.iter().map(said));
                }
            }
            _ => {}
        }
    }
    assert!(gaps > 0);
    let numbers: Vec<_> = lines
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let expected: Vec<_> = (0..120).map(|i| i.to_string()).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_too_fast_is_told_to_wait() {
    let world = World::with(EdgeOptions {
        sends: (10, 16),
        ..EdgeOptions::default()
    });
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    let mut ids = Vec::new();
    for i in 0..30 {
        let send = ann.entry(group, Kind::Message, text(&i.to_string()));
        ids.push(ann.ask(Request::Send(send)).await);
    }
    let (mut sent, mut refused) = (0, Vec::new());
    for id in ids {
        match ann.answer(id).await {
            Body::Sent(_) if refused.is_empty() => sent += 1,
            body => refused.push(error(body)),
        }
    }
    assert_eq!((sent, refused.len()), (16, 14));
    for (code, told) in &refused {
        assert_eq!(*code, Code::TooManyRequests);
        assert!(told.temporary && told.retry_after_ms > 0);
    }
    tokio::time::sleep(Duration::from_millis(refused[0].1.retry_after_ms)).await;
    assert_eq!(ann.say(group, "slower").await, 2 + 16);
}

#[tokio::test(start_paused = true)]
async fn a_session_has_a_bounded_number_of_open_requests() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    *world.latency.lock() = Duration::from_secs(1);
    let mut ids = Vec::new();
    for i in 0..limits::SESSION_REQUESTS + 5 {
        let send = ann.entry(group, Kind::Message, text(&i.to_string()));
        ids.push(ann.ask(Request::Send(send)).await);
    }
    let mut codes = Vec::new();
    for id in ids {
        match ann.answer(id).await {
            Body::Sent(_) => codes.push(None),
            body => codes.push(Some(error(body).0)),
        }
    }
    let (taken, refused) = codes.split_at(limits::SESSION_REQUESTS);
    assert!(taken.iter().all(Option::is_none));
    assert!(
        refused
            .iter()
            .all(|code| *code == Some(Code::TooManyRequests))
    );
}

fn seq_of(body: Body) -> u64 {
    match body {
        Body::Sent(sent) => sent.seq,
        other => panic!("it was to be sent, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn behind_a_send_that_failed_for_now_none_overtakes() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    *world.latency.lock() = Duration::from_millis(50);
    *world.fail.lock() = Some(Fault::from(Code::Busy).retry_after(200));
    let sends: Vec<Send> = (0..5)
        .map(|i| ann.entry(group, Kind::Message, text(&i.to_string())))
        .collect();
    let mut ids = Vec::new();
    for send in &sends {
        ids.push(ann.ask(Request::Send(send.clone())).await);
        // The first is proposed alone; the others queue behind it.
        tokio::task::yield_now().await;
    }
    for id in ids {
        let (code, told) = error(ann.answer(id).await);
        assert_eq!(code, Code::Busy);
        assert_eq!(told.retry_after_ms, 200);
    }
    // In flight when the failure was told: refused as well, however long the
    // network held it back.
    let early = ann.entry(group, Kind::Message, text("early"));
    for wait in [0, 200, 2_000] {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let (code, _) = error(ann.call(Request::Send(early.clone())).await);
        assert_eq!(code, Code::Busy);
    }
    for (send, seq) in sends.into_iter().chain([early]).zip(2..) {
        assert_eq!(seq_of(ann.call(Request::Send(send)).await), seq);
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_what_failed_is_heard_again_after_a_while() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    *world.fail.lock() = Some(Code::Unavailable.into());
    let given_up = ann.entry(group, Kind::Message, text("given up"));
    error(ann.call(Request::Send(given_up)).await);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let next = ann.entry(group, Kind::Message, text("next"));
    let (code, _) = error(ann.call(Request::Send(next.clone())).await);
    assert_eq!(code, Code::Unavailable);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(seq_of(ann.call(Request::Send(next)).await), 2);
}

#[tokio::test(start_paused = true)]
async fn there_is_a_bound_on_sessions() {
    let world = World::with(EdgeOptions {
        sessions: 1,
        ..EdgeOptions::default()
    });
    let _ann = Client::connect(&world, "ann").await;
    let mut bob = Client::silent(&world, true);
    let closed = bob.end.closed.wait_for(Option::is_some).await.unwrap();
    assert_eq!(closed.clone().unwrap().0, Code::Busy as u32);
    assert_eq!(world.edge().stats().refused_sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_answers_what_is_open_and_sends_clients_away() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    *world.latency.lock() = Duration::from_millis(500);
    let send = ann.entry(group, Kind::Message, text("last"));
    let id = ann.ask(Request::Send(send)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let edge = std::sync::Arc::clone(world.edge());
    let draining = tokio::spawn(async move { edge.drain().await });
    assert!(matches!(ann.answer(id).await, Body::Sent(_)));
    assert_eq!(ann.closing().await, Code::Draining);
    draining.await.unwrap();
    let mut late = Client::silent(&world, true);
    let closed = late.end.closed.wait_for(Option::is_some).await.unwrap();
    assert_eq!(closed.clone().unwrap().0, Code::Draining as u32);
}

#[tokio::test(start_paused = true)]
async fn clients_are_sent_away_and_may_come_back() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    world.edge().send_away(true);
    assert_eq!(ann.closing().await, Code::ClockDrift);
    let mut bob = Client::silent(&world, true);
    let closed = bob.end.closed.wait_for(Option::is_some).await.unwrap();
    assert_eq!(closed.clone().unwrap().0, Code::ClockDrift as u32);
    world.edge().send_away(false);
    let mut ann = Client::connect(&world, "ann").await;
    ann.create("tea", |_| {}).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_stamp_nothing_is_taken() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("g", |_| {}).await;
    world.no_stamp.store(true, Ordering::SeqCst);
    let send = ann.entry(group, Kind::Message, text("a"));
    for request in [Request::Send(send), Request::Ping(Ping {})] {
        assert_eq!(error(ann.call(request).await).0, Code::StorageFailed);
    }
    let head = ann.activate(group, 0, Bytes::new()).await.head;
    assert_eq!(head.unwrap().seq, 1, "only its making");
}
