use folkmoot_wire::proto::{GroupMoved, Head, MetaState, ShardRecord};
use folkmoot_wire::{RegionId, Slot};

use super::*;

const BIRTH: ShardId = ShardId(1);

fn group(n: u8) -> GroupId {
    GroupId::new(RegionId(1), Slot(5), [n; 11])
}

fn again() -> Again {
    let shard = |id: u32| ShardRecord {
        id,
        region: id,
        slot_to: u32::from(u16::MAX),
        ..ShardRecord::default()
    };
    let view = ClusterView::new(MetaState {
        shards: (1..=2).map(shard).collect(),
        ..MetaState::default()
    });
    Again::new(Arc::new(view), Arc::default())
}

fn push(n: u8, moved: bool) -> GroupPush {
    let to = GroupMoved {
        shard: 2,
        epoch: 1,
        version: 9,
    };
    GroupPush {
        group: group(n).to_bytes(),
        head: (!moved).then(Head::default),
        moved: moved.then_some(to),
        ..GroupPush::default()
    }
}

#[test]
fn what_tells_of_no_move_goes_on_as_it_is() {
    assert_eq!(again().heed(BIRTH, &[push(1, false)]), None);
}

#[test]
fn sessions_see_nothing_of_a_move_and_the_node_learns_of_it() {
    let again = again();
    let pushes = [push(1, false), push(2, true)];
    assert_eq!(again.heed(BIRTH, &pushes), Some(vec![push(1, false)]));
    let home = |n| again.view.home_of(&group(n)).unwrap().id;
    assert_eq!((home(1), home(2)), (BIRTH, ShardId(2)));
}

#[test]
fn only_what_sessions_want_is_followed_elsewhere() {
    let again = again();
    again.followers.want(BIRTH, group(1));
    let pushes = [push(1, true), push(2, true)];
    assert_eq!(again.heed(BIRTH, &pushes), Some(Vec::new()));
    let due: Vec<GroupId> = again.due.lock().iter().copied().collect();
    assert_eq!(due, [group(1)]);
}

#[test]
fn what_is_wanted_of_slots_that_a_shard_lost_is_looked_for_again() {
    let again = again();
    let other = GroupId::new(RegionId(1), Slot(9), [3; 11]);
    for group in [group(1), group(2), other] {
        again.followers.want(BIRTH, group);
    }
    again.look(BIRTH, (Slot(0), Slot(9)));
    assert!(again.due.lock().is_empty());
    again.look(BIRTH, (Slot(0), Slot(8)));
    let due: Vec<GroupId> = again.due.lock().iter().copied().collect();
    assert_eq!(due, [other]);
}

#[tokio::test]
async fn what_goes_on_while_it_is_being_followed_is_followed_once_more() {
    let again = again();
    again.find(vec![group(1)]);
    let followed = Mutex::new(0);
    let follow = |group| {
        let (again, followed) = (&again, &followed);
        async move {
            *followed.lock() += 1;
            if *followed.lock() == 1 {
                // Its shard is split, or it is moved again.
                again.find(vec![group]);
            }
            Ok(())
        }
    };
    again.follow_due(follow).await;
    again.follow_due(follow).await;
    again.follow_due(follow).await;
    assert_eq!(*followed.lock(), 2);
}

#[tokio::test]
async fn what_cannot_be_followed_now_stays_due() {
    let again = again();
    again.find(vec![group(1), group(2), group(3)]);
    let refused = |one: GroupId| async move {
        match one == group(1) {
            true => Err(Code::Unavailable.into()),
            false => Err(Code::NotFound.into()),
        }
    };
    again.follow_due(refused).await;
    let due: Vec<GroupId> = again.due.lock().iter().copied().collect();
    assert_eq!(due, [group(1)]);
}
