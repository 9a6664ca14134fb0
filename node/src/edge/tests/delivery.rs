//! Who gets what: activation meets live, visibility, bans, windows.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::Code;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{History, JoinBody, Kind};
use prost::Message;

use super::client::{Client, error, said, text};
use super::world::World;

#[tokio::test(start_paused = true)]
async fn what_is_readable_but_not_published_comes_once() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    // Three entries are in the store when bob activates and are published
    // after it, together with three that came later.
    world.hold_news.store(true, Ordering::SeqCst);
    for i in 0..3 {
        ann.say(group, &format!("before {i}")).await;
    }
    let live_from = bob.activate(group, 0, Bytes::new()).await.live_from;
    assert_eq!(live_from, 5);
    for i in 0..3 {
        ann.say(group, &format!("after {i}")).await;
    }
    world.release_news();
    let entries = bob.delivered(6, 8).await;
    let lines: Vec<_> = entries.iter().map(said).collect();
    assert_eq!(lines, ["after 0", "after 1", "after 2"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_published_during_an_activation_is_neither_lost_nor_doubled() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    // The head that bob's activation reads is 100 ms old when it arrives.
    *world.latency.lock() = Duration::from_millis(100);
    let id = bob.ask_to_activate(group, 0, Bytes::new()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    *world.latency.lock() = Duration::ZERO;
    for i in 0..3 {
        ann.say(group, &format!("during {i}")).await;
    }
    let activated = bob.activated(id).await;
    assert_eq!(activated.head.unwrap().seq, 2, "the test wants an old head");
    // The first left at once and was skipped; the others may still be in the
    // window and come as a delivery. Where history ends, pushes begin.
    assert!((3..=5).contains(&activated.live_from));
    ann.say(group, "after").await;
    bob.delivered(activated.live_from + 1, 6).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_place_is_told_as_a_gap() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    ann.activate(group, 0, Bytes::new()).await;
    world.hold_news.store(true, Ordering::SeqCst);
    ann.say(group, "lost").await;
    world.held_news.lock().clear();
    world.release_news();
    ann.say(group, "seen").await;
    assert_eq!(ann.gap().await.seq, 3);
    ann.say(group, "and on").await;
    assert_eq!(ann.delivered(4, 4).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_head_whose_entries_never_come_is_told_as_a_gap() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    ann.activate(group, 0, Bytes::new()).await;
    world.hold_news.store(true, Ordering::SeqCst);
    ann.say(group, "lost").await;
    for push in world.held_news.lock().iter_mut() {
        (push.covers, push.entries) = (None, vec![]);
        push.rows.clear();
    }
    world.release_news();
    assert_eq!(ann.gap().await.seq, 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_before_visible_from() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |c| c.history_from_join = true).await;
    for i in 0..5 {
        ann.say(group, &format!("secret {i}")).await;
    }
    let joined = bob.join(group, "bob").await;
    assert_eq!(joined, 7);
    let activated = bob.activate(group, 0, Bytes::new()).await;
    assert_eq!(activated.visible_from, joined);
    let asks = [
        (0, 0, false),
        (2, 0, false),
        (0, 8, false),
        (0, 0, true),
        (0, 5, false),
        (0, 7, true),
    ];
    for (after, before, backward) in asks {
        let ask = History {
            group: group.to_bytes(),
            after,
            before,
            backward,
            limit: 100,
        };
        let Body::Log(slice) = bob.call(Request::History(ask)).await else {
            panic!("no log")
        };
        for entry in &slice.entries {
            assert!(entry.decode_header().unwrap().seq >= joined);
        }
    }
    // A resume point that bob cannot have is none of his history.
    let again = bob.activate(group, 3, Bytes::from(vec![0; 32])).await;
    assert!(!again.resumed);
}

#[tokio::test(start_paused = true)]
async fn a_rejoin_within_a_push_hides_what_was_between() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |c| c.history_from_join = true).await;
    bob.join(group, "bob").await;
    bob.activate(group, 0, Bytes::new()).await;
    world.hold_news.store(true, Ordering::SeqCst);
    let leave = bob.entry(group, Kind::Leave, Bytes::new());
    bob.send(leave).await;
    ann.say(group, "behind his back").await;
    let body = JoinBody {
        nick: "bob".into(),
        ..JoinBody::default()
    };
    let join = bob.entry(group, Kind::Join, body.encode_to_vec().into());
    bob.send(join).await;
    world.release_news();
    let lost = bob
        .push_of(|push| match push {
            Body::AccessLost(lost) => Some(lost),
            Body::Deliver(deliver) => {
                assert_eq!(deliver.covers.unwrap().to, 3, "after his leave");
                None
            }
            _ => None,
        })
        .await;
    assert_eq!(lost.code, Code::NotFound as u32);
    // And he may come back in.
    let activated = bob.activate(group, 0, Bytes::new()).await;
    assert_eq!(activated.visible_from, 5);
}

#[tokio::test(start_paused = true)]
async fn a_ban_cuts_delivery_inside_one_push() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    bob.activate(group, 0, Bytes::new()).await;
    world.hold_news.store(true, Ordering::SeqCst);
    ann.say(group, "bob hears this").await;
    ann.ban(group, bob.user()).await;
    ann.say(group, "bob does not hear this").await;
    world.release_news();
    let deliver = bob.delivery().await;
    assert_eq!(deliver.covers.unwrap().to, 4);
    assert_eq!(deliver.entries.len(), 2);
    assert!(matches!(bob.push().await, Body::AccessLost(_)));
}

#[tokio::test(start_paused = true)]
async fn a_ban_cuts_delivery_at_its_entry() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let mut cat = Client::connect(&world, "cat").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    cat.join(group, "cat").await;
    bob.activate(group, 0, Bytes::new()).await;
    cat.activate(group, 0, Bytes::new()).await;
    ann.say(group, "bob hears this").await;
    let banned_at = ann.ban(group, bob.user()).await;
    ann.say(group, "bob does not hear this").await;
    // Cat gets everything.
    assert_eq!(cat.delivered(4, banned_at + 1).await.len(), 3);
    let mut heard = 0;
    let code = loop {
        match bob.push().await {
            Body::Deliver(deliver) => heard = deliver.covers.unwrap().to,
            Body::AccessLost(lost) => break lost.code,
            _ => {}
        }
    };
    assert_eq!(heard, banned_at);
    assert_eq!(code, Code::Banned as u32);
    tokio::time::sleep(Duration::from_secs(3)).await;
    bob.pushes.clear();
    let say = bob.entry(group, Kind::Message, text("let me in"));
    let (code, _) = error(bob.call(Request::Send(say)).await);
    assert_eq!(code, Code::Banned);
    let ask = History {
        group: group.to_bytes(),
        ..History::default()
    };
    let (code, _) = error(bob.call(Request::History(ask)).await);
    assert_eq!(code, Code::Banned);
    let of_group = |push: &Body| matches!(push, Body::Deliver(_) | Body::RowsChanged(_));
    assert!(
        !bob.pushes.iter().any(of_group),
        "after the ban: {:?}",
        bob.pushes
    );
}

#[tokio::test(start_paused = true)]
async fn entries_are_gathered_and_the_first_after_quiet_is_not() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    bob.activate(group, 0, Bytes::new()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    for i in 0..6 {
        ann.say(group, &i.to_string()).await;
    }
    let first = bob.delivery().await;
    assert_eq!(first.entries.len(), 1);
    let rest = bob.delivery().await;
    assert_eq!(rest.entries.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_node_follows_while_somebody_looks() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    let follows = || world.wanted.lock().get(&group).copied().unwrap_or_default();
    let (mut one, mut two) = (
        Client::connect(&world, "ann").await,
        Client::connect(&world, "ann").await,
    );
    one.activate(group, 0, Bytes::new()).await;
    two.activate(group, 0, Bytes::new()).await;
    assert_eq!(follows(), 1);
    drop(one);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(follows(), 1);
    drop(two);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(follows(), 0);
    assert_eq!(world.edge().stats().active_groups, 0);
}
