use folkmoot_wire::proto::{MetaState, ShardRecord};
use folkmoot_wire::{RegionId, Slot};

use super::*;

const BIRTH: ShardId = ShardId(1);

fn view() -> ClusterView {
    let shard = |id: u32| ShardRecord {
        id,
        region: id,
        slot_to: u32::from(u16::MAX),
        ..ShardRecord::default()
    };
    ClusterView::new(MetaState {
        shards: (1..=3).map(shard).collect(),
        ..MetaState::default()
    })
}

fn group() -> GroupId {
    GroupId::new(RegionId(1), Slot(5), [7; 11])
}

fn home(view: &ClusterView) -> u32 {
    view.home_of(&group()).unwrap().id.0
}

fn told(view: &ClusterView, asked: u32, shard: u32, epoch: u64) -> u32 {
    let fault = view.moved(&group(), ShardId(asked), Moved { shard, epoch });
    assert_eq!(fault.code, Code::Moved);
    home(view)
}

#[test]
fn a_group_is_at_home_where_it_was_born_unless_it_was_heard_to_move() {
    let view = view();
    assert_eq!(home(&view), BIRTH.0);
    assert_eq!(told(&view, 1, 2, 1), 2);
    assert_eq!(view.place_of(&group()).region, RegionId(2));
}

#[test]
fn later_epochs_win_in_whatever_order_they_are_heard_of() {
    let view = view();
    assert_eq!(told(&view, 2, 3, 2), 3);
    assert_eq!(told(&view, 1, 2, 1), 3, "a replica that lags behind");
    assert_eq!(told(&view, 3, 1, 3), 1, "it came back");
}

#[test]
fn who_is_taken_for_the_home_and_does_not_know_leaves_it_to_the_birth_shard() {
    let view = view();
    told(&view, 1, 2, 1);
    assert_eq!(told(&view, 3, 0, 0), 2, "another one that does not know");
    assert_eq!(told(&view, 2, 0, 0), BIRTH.0);
}

#[test]
fn a_shard_that_is_not_placed_is_not_believed_in() {
    let view = view();
    assert_eq!(told(&view, 1, 9, 1), BIRTH.0);
}

#[test]
fn a_slot_that_was_split_off_is_looked_for_where_it_is() {
    let view = view();
    told(&view, 1, 2, 1);
    let mut state = MetaState::clone(view.placement().state());
    state.version += 1;
    let slot = u32::from(group().slot().0);
    let child = ShardRecord {
        id: 4,
        slot_from: slot,
        parent: 2,
        unborn: true,
        ..state.shards[1].clone()
    };
    state.shards[1].slot_to = slot - 1;
    state.shards.push(child);
    view.set_meta(state.clone());
    // Until it is known to be done the parent is asked, who knows more.
    assert_eq!(home(&view), 2);
    assert_eq!(told(&view, 2, 4, 0), 4);
    // Who heard of the move alone gets there too, and on from there.
    let other = ClusterView::new(state.clone());
    other.moved(&group(), BIRTH, Moved { shard: 2, epoch: 1 });
    assert_eq!(home(&other), 2);
    state.version += 1;
    state.shards[3].unborn = false;
    other.set_meta(state);
    assert_eq!(home(&other), 4);
    assert_eq!(told(&other, 4, 3, 2), 3);
    assert_eq!(told(&other, 3, 0, 0), BIRTH.0);
}
