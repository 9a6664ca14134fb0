//! Rows as they change, and what comes first in a session.

use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{MemberSelf, MemberValue, Resume, RowsChanged, UpdateSelf, row};

use super::client::{Client, hello};
use super::world::World;

/// The member row that ends with `user`.
fn member(changed: RowsChanged, user: &Bytes) -> Option<MemberValue> {
    let mut rows = changed.rows.into_iter();
    rows.find_map(|row| match row.value {
        Some(row::Value::Member(member)) if row.key.ends_with(user) => Some(member),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn settings_are_pushed_to_ones_own_sessions_only() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let mut bobs_other = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    ann.activate(group, 0, Bytes::new()).await;
    bobs_other.activate(group, 0, Bytes::new()).await;
    let update = UpdateSelf {
        group: group.to_bytes(),
        self_: Some(MemberSelf {
            pinned: true,
            ..MemberSelf::default()
        }),
    };
    assert!(matches!(
        bob.call(Request::UpdateSelf(update)).await,
        Body::Ok(_)
    ));
    let user = bob.user();
    for (client, pinned) in [(&mut ann, false), (&mut bobs_other, true)] {
        let value = client
            .push_of(|push| match push {
                Body::RowsChanged(changed) => member(changed, &user),
                _ => None,
            })
            .await;
        let own = value.self_.unwrap();
        assert_eq!((own.nick.as_str(), own.pinned), ("bob", pinned));
    }
}

#[tokio::test(start_paused = true)]
async fn welcome_is_the_first_frame() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let passive = ann.create("passive", |_| {}).await;
    let active = ann.create("active", |_| {}).await;
    bob.join(passive, "bob").await;
    bob.join(active, "bob").await;
    // Each head takes two seconds: while the active group is prepared, the
    // passive one is registered already, has news and is swept.
    *world.latency.lock() = Duration::from_secs(2);
    let mut again = Client::silent(&world, true);
    let mut greeting = hello("bob");
    greeting.active = vec![Resume {
        group: active.to_bytes(),
        ..Resume::default()
    }];
    again.ask(Request::Hello(greeting)).await;
    for _ in 0..10 {
        ann.say(passive, "news").await;
    }
    let first = again.frame().await.unwrap();
    assert!(matches!(first.body, Some(Body::Welcome(_))), "{first:?}");
    let bump = again
        .push_of(|push| match push {
            Body::Bump(bump) if bump.group == passive.to_bytes() => Some(bump),
            _ => None,
        })
        .await;
    assert!(bump.unread > 0);
}
