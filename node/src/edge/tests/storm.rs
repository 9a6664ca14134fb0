//! Many join a large group: nobody is told of each.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{
    CreateGroup, GetUnread, Kind, MemberSelf, SetApplyVersion, UpdateSelf, command, row,
};
use folkmoot_wire::{GroupId, limits, version};
use tokio::time::timeout;

use super::client::Client;
use super::world::World;
use crate::backend::Backend;

/// Longer than it takes to be told of a count.
const WHILE: Duration = Duration::from_millis(2_500);

fn large(create: &mut CreateGroup) {
    create.member_cap = limits::MEMBER_CAP_MAX;
}

async fn square() -> (Arc<World>, Client, GroupId) {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    // By the newest rules.
    let version = version::APPLY;
    let raise = command::Op::SetApplyVersion(SetApplyVersion { version });
    let own = ann.user.unwrap().self_group();
    world.propose(own, raise).await.unwrap();
    let group = ann.create("square", large).await;
    ann.say(group, "welcome").await;
    ann.activate(group, 2, Bytes::new()).await;
    (world, ann, group)
}

/// Everything about the group that comes within [`WHILE`].
async fn pushes(client: &mut Client) -> Vec<Body> {
    let mut all = Vec::new();
    let until = tokio::time::Instant::now() + WHILE;
    while let Ok(push) = tokio::time::timeout_at(until, client.push()).await {
        if matches!(push, Body::Deliver(_) | Body::RowsChanged(_) | Body::Gap(_)) {
            all.push(push);
        }
    }
    all
}

/// Counts of members that pushes tell of. None tells of a member, nor of an
/// entry; cursors are for all to see while the group is small.
fn counts(pushes: &[Body]) -> Vec<u32> {
    let mut counts = Vec::new();
    for push in pushes {
        let Body::RowsChanged(changed) = push else {
            panic!("{push:?}")
        };
        for row in &changed.rows {
            match &row.value {
                Some(row::Value::Group(value)) => counts.push(value.member_count),
                Some(row::Value::Cursor(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn who_looks_on_is_told_of_the_count_once_a_second() {
    let (world, mut ann, group) = square().await;
    for n in 0..50 {
        let mut one = Client::connect(&world, &format!("user{n}")).await;
        assert_eq!(one.join(group, &format!("nick{n}")).await, 0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = pushes(&mut ann).await;
    let counts = counts(&told);
    assert!((1..=3).contains(&counts.len()), "{counts:?}");
    assert_eq!(counts.last(), Some(&51));
    assert!(pushes(&mut ann).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_comes_is_in_at_once_and_has_nothing_to_read() {
    let (world, mut ann, group) = square().await;
    let mut bob = Client::connect(&world, "bob").await;
    bob.join(group, "bob").await;
    let Body::Unread(unread) = bob.call(Request::GetUnread(GetUnread::default())).await else {
        panic!("no unread")
    };
    assert!(unread.groups.is_empty());
    let active = bob.activate(group, 0, Bytes::new()).await;
    assert_eq!((active.error, active.live_from), (None, 2));
    ann.say(group, "hello bob").await;
    bob.delivered(3, 3).await;
    // What is the user's own goes to the user's devices, and to nobody else's.
    let own = MemberSelf {
        muted: true,
        ..MemberSelf::default()
    };
    let update = UpdateSelf {
        group: group.to_bytes(),
        self_: Some(own),
    };
    bob.call(Request::UpdateSelf(update)).await;
    let own = bob.push_of(|push| match push {
        Body::RowsChanged(changed) => Some(changed.rows),
        _ => None,
    });
    let rows = timeout(WHILE, own).await.expect("told");
    assert!(rows.iter().any(|row| matches!(
        &row.value,
        Some(row::Value::Member(member)) if member.self_.as_ref().is_some_and(|own| own.muted)
    )));
    let mut told = pushes(&mut ann).await;
    told.retain(|push| !matches!(push, Body::Deliver(_)));
    assert_eq!(counts(&told).last(), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_and_comes_again_sees_the_group_again() {
    let (world, mut ann, group) = square().await;
    let mut bob = Client::connect(&world, "bob").await;
    bob.join(group, "bob").await;
    bob.activate(group, 0, Bytes::new()).await;
    let leave = bob.entry(group, Kind::Leave, Bytes::new());
    assert_eq!(bob.send(leave).await.seq, 3);
    bob.push_of(|push| match push {
        Body::AccessLost(lost) => Some(lost),
        _ => None,
    })
    .await;
    assert_eq!(bob.join(group, "bob").await, 0);
    let active = bob.activate(group, 0, Bytes::new()).await;
    assert_eq!(active.error, None);
    ann.say(group, "there you are").await;
    bob.delivered(4, 4).await;
}
