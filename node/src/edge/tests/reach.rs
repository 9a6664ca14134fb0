//! Homes that do not answer, and edges that are behind their clients.

use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::Resume;
use folkmoot_wire::{Code, GroupId, limits};
use tokio::time::Instant;

use super::client::{Client, hello};
use super::world::World;

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
