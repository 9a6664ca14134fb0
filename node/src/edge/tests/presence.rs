//! Who is there, and who is writing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{Kind, MuteBody, Ping, Presences, Typing, UserPresence, WatchPresence};
use folkmoot_wire::{Code, GroupId, limits};
use prost::Message;
use tokio::time::timeout;

use super::client::{Client, error};
use super::world::World;

/// An answer of a home, and what follows from it, is there after this time.
const SOON: Duration = Duration::from_secs(3);

async fn ask_to_watch(client: &mut Client, group: GroupId, users: &[Bytes]) -> Body {
    let (group, users) = (group.to_bytes(), users.to_vec());
    let request = Request::WatchPresence(WatchPresence { group, users });
    client.call(request).await
}

/// Who of them is known to be there at once.
async fn watch(client: &mut Client, group: GroupId, users: &[Bytes]) -> Vec<Bytes> {
    match ask_to_watch(client, group, users).await {
        Body::Presences(Presences { users, .. }) => users
            .into_iter()
            .filter(|user| user.online)
            .map(|user| user.user)
            .collect(),
        other => panic!("no presences: {other:?}"),
    }
}

async fn types(client: &mut Client, group: GroupId, stopped: bool) -> Body {
    let group = group.to_bytes();
    client
        .call(Request::Typing(Typing { group, stopped }))
        .await
}

/// What is told next, of one user.
async fn told(client: &mut Client) -> UserPresence {
    let told = client.push_of(|push| match push {
        Body::PresenceChanged(changed) => Some(changed.users),
        _ => None,
    });
    let mut users = told.await;
    assert_eq!(users.len(), 1, "{users:?}");
    users.remove(0)
}

async fn nothing_is_told(client: &mut Client, within: Duration) {
    assert!(timeout(within, told(client)).await.is_err());
}

/// Two who have a group active.
async fn two(world: &Arc<World>) -> (GroupId, Client, Client) {
    let mut ann = Client::connect(world, "ann").await;
    let group = ann.create("tea", |create| create.open = true).await;
    let mut bob = Client::connect(world, "bob").await;
    bob.join(group, "bob").await;
    for client in [&mut ann, &mut bob] {
        client.activate(group, 0, Bytes::new()).await;
    }
    (group, ann, bob)
}

#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_is_seen_by_those_who_watch() {
    let world = World::new();
    let (group, mut ann, bob) = two(&world).await;
    let users = [bob.user()];
    assert!(watch(&mut ann, group, &users).await.is_empty());
    let is = timeout(SOON, told(&mut ann)).await.expect("told soon");
    assert!(is.online && is.user == users[0]);
    // Known now, to the next one who asks.
    assert_eq!(watch(&mut ann, group, &users).await, users);
    drop(bob);
    // Might come back, or to another edge.
    nothing_is_told(&mut ann, limits::PRESENCE_GRACE - SOON).await;
    let is = timeout(limits::PRESENCE_LEASE, told(&mut ann)).await;
    assert!(!is.expect("told in time").online);
    // Whoever watches nobody is told nothing.
    watch(&mut ann, group, &[]).await;
    let _bob = Client::connect(&world, "bob").await;
    nothing_is_told(&mut ann, limits::PRESENCE_LEASE).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_writing_is_seen_until_it_ends() {
    let world = World::new();
    let (group, mut ann, mut bob) = two(&world).await;
    watch(&mut ann, group, &[bob.user()]).await;
    assert!(told(&mut ann).await.online);
    assert!(matches!(types(&mut bob, group, false).await, Body::Ok(_)));
    let is = timeout(SOON, told(&mut ann)).await.expect("told soon");
    assert!(is.online && is.typing);
    assert!(matches!(types(&mut bob, group, true).await, Body::Ok(_)));
    let is = timeout(SOON, told(&mut ann)).await.expect("told soon");
    assert!(is.online && !is.typing);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_people_whom_they_share_no_group_with() {
    let world = World::new();
    let (group, mut ann, bob) = two(&world).await;
    let eve = Client::connect(&world, "eve").await;
    watch(&mut ann, group, &[eve.user()]).await;
    nothing_is_told(&mut ann, limits::PRESENCE_LEASE).await;
    let mut mallory = Client::connect(&world, "mallory").await;
    let asked = ask_to_watch(&mut mallory, group, &[bob.user()]).await;
    assert_eq!(error(asked).0, Code::Invalid, "the group is not active");
    let many = vec![bob.user(); limits::WATCHED_USERS + 1];
    let asked = ask_to_watch(&mut ann, group, &many).await;
    assert_eq!(error(asked).0, Code::Invalid);
    let asked = ask_to_watch(&mut ann, group, &[Bytes::from_static(b"no id")]).await;
    assert_eq!(error(asked).0, Code::Invalid);
}

#[tokio::test(start_paused = true)]
async fn who_is_put_out_is_seen_no_more_and_sees_no_more() {
    let world = World::new();
    let (group, mut ann, mut bob) = two(&world).await;
    let mut cid = Client::connect(&world, "cid").await;
    cid.join(group, "cid").await;
    watch(&mut ann, group, &[bob.user()]).await;
    watch(&mut bob, group, &[cid.user()]).await;
    assert!(told(&mut ann).await.online && told(&mut bob).await.online);
    ann.ban(group, bob.user()).await;
    drop(cid);
    nothing_is_told(&mut bob, limits::PRESENCE_LEASE).await;
    assert!(matches!(
        ann.call(Request::Ping(Ping {})).await,
        Body::Pong(_)
    ));
    drop(bob);
    nothing_is_told(&mut ann, limits::PRESENCE_LEASE).await;
}

#[tokio::test(start_paused = true)]
async fn writing_is_for_those_who_may_speak_in_small_groups() {
    let world = World::new();
    let (group, mut ann, mut bob) = two(&world).await;
    let mut mute = ann.entry(
        group,
        Kind::Mute,
        MuteBody { until_ms: u64::MAX }.encode_to_vec().into(),
    );
    mute.subject = bob.user();
    ann.send(mute).await;
    assert_eq!(error(types(&mut bob, group, false).await).0, Code::Muted);
    for n in 0..limits::SMALL_GROUP {
        let mut guest = Client::connect(&world, &format!("guest {n}")).await;
        guest.join(group, "guest").await;
    }
    let (code, refused) = error(types(&mut ann, group, false).await);
    assert_eq!(code, Code::Invalid);
    assert!(refused.message.contains("200"), "{}", refused.message);
}

#[tokio::test(start_paused = true)]
async fn a_home_that_was_out_of_reach_is_told_all() {
    let world = World::new();
    *world.no_homes.lock() = Some(Code::Unavailable.into());
    let (group, mut ann, bob) = two(&world).await;
    watch(&mut ann, group, &[bob.user()]).await;
    nothing_is_told(&mut ann, Duration::from_secs(20)).await;
    *world.no_homes.lock() = None;
    let is = timeout(limits::PRESENCE_RENEW, told(&mut ann)).await;
    assert!(is.expect("told in time").online);
}
