//! Something did not come by this edge: who may still see the group is looked
//! up before anything more goes out.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::Code;
use folkmoot_wire::proto::server_frame::Body;

use super::client::Client;
use super::world::World;

/// What was not published yet never is.
fn forget_news(world: &World) {
    world.held_news.lock().clear();
    world.release_news();
}

/// Why the client loses the group, with nothing of it said before.
async fn loses(client: &mut Client) -> u32 {
    let lost = client.push_of(|push| match push {
        Body::AccessLost(lost) => Some(lost.code),
        Body::Gap(_) | Body::Deliver(_) | Body::RowsChanged(_) => {
            panic!("told of what it may not see")
        }
        _ => None,
    });
    lost.await
}

/// In what this node did not get there may be the entry that puts somebody out.
#[tokio::test(start_paused = true)]
async fn who_was_put_out_in_a_gap_gets_nothing_behind_it() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    ann.activate(group, 0, Bytes::new()).await;
    bob.activate(group, 0, Bytes::new()).await;
    world.hold_news.store(true, Ordering::SeqCst);
    ann.ban(group, bob.user()).await;
    forget_news(&world);
    ann.say(group, "not for bob").await;
    ann.say(group, "nor this").await;
    assert_eq!(loses(&mut bob).await, Code::Banned as u32);
    // Who stayed goes on.
    assert_eq!(ann.gap().await.seq, 4);
    assert_eq!(ann.delivered(5, 5).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_was_put_out_in_a_gap_while_joining_never_is_live() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    // What bob's activation reads is 100 ms old when it arrives.
    *world.latency.lock() = Duration::from_millis(100);
    let id = bob.ask_to_activate(group, 0, Bytes::new()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    *world.latency.lock() = Duration::ZERO;
    world.hold_news.store(true, Ordering::SeqCst);
    ann.ban(group, bob.user()).await;
    forget_news(&world);
    ann.say(group, "not for bob").await;
    let activated = bob.activated(id).await;
    match activated.error {
        Some(error) => assert_eq!(error.code, Code::Banned as u32),
        None => assert_eq!(loses(&mut bob).await, Code::Banned as u32),
    }
}

#[tokio::test(start_paused = true)]
async fn after_what_is_held_was_replaced_everybody_is_looked_up() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let mut cat = Client::connect(&world, "cat").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    ann.activate(group, 0, Bytes::new()).await;
    bob.activate(group, 0, Bytes::new()).await;
    world.hold_news.store(true, Ordering::SeqCst);
    ann.say(group, "ann fetches this").await;
    ann.ban(group, bob.user()).await;
    forget_news(&world);
    let cats = cat.user.unwrap().self_group();
    world.edge().replaced(|of| *of == group || *of == cats);
    // With nothing new in the group.
    assert_eq!(loses(&mut bob).await, Code::Banned as u32);
    assert_eq!(ann.gap().await.seq, 4);
    ann.say(group, "and on").await;
    assert_eq!(ann.delivered(5, 5).await.len(), 1);
    // Whose list of groups it is begins anew.
    let closed = cat.end.closed.wait_for(Option::is_some).await.unwrap();
    assert_eq!(closed.as_ref().unwrap().0, Code::Unavailable as u32);
}

/// The simulator found it: what came by while access was looked up was in no
/// gap, and in no push.
#[tokio::test(start_paused = true)]
async fn what_comes_while_access_is_looked_up_is_in_the_gap() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    bob.activate(group, 0, Bytes::new()).await;
    world.hold_news.store(true, Ordering::SeqCst);
    ann.say(group, "did not come by").await;
    forget_news(&world);
    // What is looked up is 100 ms old when it arrives.
    *world.latency.lock() = Duration::from_millis(100);
    ann.say(group, "puts bob in doubt").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    *world.latency.lock() = Duration::ZERO;
    ann.say(group, "comes meanwhile").await;
    assert_eq!(bob.gap().await.seq, 5);
    ann.say(group, "comes behind it").await;
    assert_eq!(bob.delivered(6, 6).await.len(), 1);
}
