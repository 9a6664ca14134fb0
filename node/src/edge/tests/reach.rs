//! Homes that do not answer, and edges that are behind their clients.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{Kind, Resume};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, GroupId, UserId, limits};
use tokio::time::Instant;

use super::client::{Client, hello, said};
use super::world::World;
use crate::backend::Backend;
use crate::edge::EdgeOptions;

/// Nothing of the group is held.
fn whole(group: GroupId) -> Resume {
    Resume {
        group: group.to_bytes(),
        ..Resume::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_welcome_does_not_wait_for_a_home_out_of_reach() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let groups = [
        ann.create("tea", |_| {}).await,
        ann.create("cake", |_| {}).await,
    ];
    *world.latency.lock() = Duration::from_secs(60);
    let mut back = hello("ann");
    back.active = groups.map(whole).to_vec();
    back.changed_since = Bytes::from_static(b"what the client has");
    let asked = Instant::now();
    let (mut ann, welcome) = Client::hello(&world, back).await;
    let within = limits::WELCOME_LIST + limits::ACTIVATE_DEADLINE;
    assert!(asked.elapsed() <= within, "{:?}", asked.elapsed());
    let changed = welcome.changed.unwrap();
    assert_eq!(&changed.changed_since[..], b"what the client has");
    for activated in welcome.active {
        let fault = activated.error.unwrap();
        assert_eq!(fault.code, Code::Unavailable as u32);
        assert!(fault.temporary);
    }
    let wanted = |group: GroupId| world.wanted.lock().get(&group).copied().unwrap_or(0);
    assert_eq!(groups.map(wanted), [0, 0]);
    *world.latency.lock() = Duration::ZERO;
    let activated = ann.activate(groups[0], 0, Bytes::new()).await;
    assert_eq!((activated.error, activated.live_from), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_ahead_of_this_edge_is_asked_to_come_back_later() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    let activated = ann.activate(group, 9, Bytes::from(vec![0; 32])).await;
    let fault = activated.error.unwrap();
    assert_eq!(fault.code, Code::NotHere as u32);
    assert!(fault.temporary);
}

/// Of a herd as many come in at once as there are places for, and those who are
/// sent away are told when to come: not all at one moment.
#[tokio::test(start_paused = true)]
async fn a_herd_is_let_in_by_and_by() {
    let world = World::with(EdgeOptions {
        greetings: (2, 2),
        ..EdgeOptions::default()
    });
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    *world.latency.lock() = Duration::from_secs(60);
    let come = |_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut back = hello("ann");
            back.active = vec![whole(group)];
            Client::try_hello(&world, back).await
        })
    };
    let herd: Vec<_> = (0..20).map(come).collect();
    let mut welcome = 0;
    let mut times = BTreeSet::new();
    for one in herd {
        match one.await.unwrap() {
            Ok(_) => welcome += 1,
            Err(fault) => {
                assert_eq!(fault.code, Code::Busy as u32);
                assert!(fault.temporary);
                times.insert(fault.retry_after_ms);
            }
        }
    }
    assert_eq!(welcome, 4);
    assert!(times.len() > 10, "{times:?}");
    let stats = world.edge().stats();
    assert_eq!((stats.refused_greetings, stats.greetings_waiting), (16, 0));
}

/// The home took the join, and the copy here is a moment behind it.
#[tokio::test(start_paused = true)]
async fn who_has_just_joined_is_a_member_though_the_copy_here_does_not_say_so() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    let bobs = UserId::from_slice(&bob.user()).unwrap();
    world.not_here.lock().insert(RowKey::Member(bobs));
    let told = bob.activate(group, 0, Bytes::new()).await;
    assert_eq!(told.error, None);
    ann.activate(group, 0, Bytes::new()).await;
    ann.say(group, "welcome").await;
    assert_eq!(said(&bob.delivered(3, 3).await[0]), "welcome");
    // Who is none by the home either still is none.
    let mut eve = Client::connect(&world, "eve").await;
    let told = eve.activate(group, 0, Bytes::new()).await;
    assert_eq!(told.error.unwrap().code, Code::NotFound as u32);
}

/// The simulator found it: by the home one is a member as of an entry that has
/// not come to the copy here, and was live before it.
#[tokio::test(start_paused = true)]
async fn who_has_just_joined_is_live_once_the_join_is_here() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    let before = world.head(group).await.unwrap();
    assert_eq!(bob.join(group, "bob").await, 2);
    *world.head_here.lock() = before;
    let never = bob.activate(group, 0, Bytes::new()).await.error.unwrap();
    assert_eq!((never.code, never.temporary), (Code::NotHere as u32, true));
    let (asked, ms) = (Instant::now(), Duration::from_millis);
    let id = bob.ask_to_activate(group, 0, Bytes::new()).await;
    tokio::time::sleep(ms(100)).await;
    *world.head_here.lock() = None;
    let told = bob.activated(id).await;
    assert_eq!((told.error, told.live_from), (None, 2));
    assert!(asked.elapsed() >= ms(100));
}

/// An edge whose copy lies behind hears of a departure after it has read that
/// the user is back.
#[tokio::test(start_paused = true)]
async fn who_came_back_is_not_put_out_by_the_departure_before_it() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let mut bobs_phone = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    world.hold_news.store(true, Ordering::SeqCst);
    let leave = bob.entry(group, Kind::Leave, Bytes::new());
    assert_eq!(bob.send(leave).await.seq, 3);
    assert_eq!(bob.join(group, "bob").await, 4);
    let told = bob.activate(group, 0, Bytes::new()).await;
    assert_eq!((told.error, told.live_from), (None, 4));
    // One is live by then, and one is not yet.
    *world.latency.lock() = Duration::from_millis(100);
    let id = bobs_phone.ask_to_activate(group, 0, Bytes::new()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    *world.latency.lock() = Duration::ZERO;
    world.release_news();
    let told = bobs_phone.activated(id).await;
    assert_eq!((told.error, told.live_from), (None, 4));
    assert_eq!(ann.say(group, "welcome back").await, 5);
    for client in [&mut bob, &mut bobs_phone] {
        assert_eq!(said(&client.delivered(5, 5).await[0]), "welcome back");
    }
    // What comes behind it does put him out.
    let user = bob.user();
    assert_eq!(ann.ban(group, user).await, 6);
    for client in [&mut bob, &mut bobs_phone] {
        let lost = client.push_of(|push| match push {
            Body::AccessLost(lost) => Some(lost.code),
            _ => None,
        });
        assert_eq!(lost.await, Code::Banned as u32);
    }
}
