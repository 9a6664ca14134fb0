//! One move, and what happens beside it.

use bytes::Bytes;
use folkmoot_storage::log;
use folkmoot_wire::proto::{
    ActivateGroup, BeginMove, FenceGroup, HomePhase, ImportEntry, ImportGroup, SealedEntry,
    SetApplyVersion, command, outcome,
};
use folkmoot_wire::{Code, UserId, version};

use super::world::World;
use crate::rehome::{Next, Rehoming};
use crate::testing::{Got, Home, got, group, head, user};

fn begun(from: usize, to: u32) -> World {
    let mut world = World::new();
    world.begin(from, 1, to).expect("begins");
    world
}

#[test]
fn a_group_moves_and_goes_on_where_it_was() {
    let mut world = World::new();
    assert_eq!(world.join(1, 2, 1), Got::Seq(2));
    assert_eq!(world.say(1, 2, 2), Got::Seq(3));
    world.begin(1, 1, 2).expect("begins");
    // Nothing is held up yet, and nothing is to be had from the other one.
    assert_eq!(world.say(1, 2, 3), Got::Seq(4));
    world.drive_to_the_end(1);
    assert_eq!(world.phase(1), HomePhase::Gone);
    assert_eq!(world.say(1, 2, 4), Got::Moved(2));
    // What was said before is known, what is new comes behind it.
    assert_eq!(world.say(2, 2, 3), Got::Again(4));
    assert_eq!(world.say(2, 2, 4), Got::Seq(5));
    assert_eq!(world.log_of(2).len(), 5);
    // The old home keeps where it went, and nothing else.
    world.clean(1);
    assert_eq!(world.log_of(1).len(), 0);
    assert_eq!(world.rows(1), 0);
    assert_eq!(world.say(1, 2, 5), Got::Moved(2));
    world.check_replicas();
}

#[test]
fn it_moves_on_and_back_and_its_birth_shard_knows() {
    let mut world = World::new();
    let mut said = 1;
    for (epoch, (from, to)) in (1..).zip([(1, 2), (2, 3), (3, 1), (1, 3)]) {
        world.begin(from, epoch, to).expect("begins");
        world.drive_to_the_end(from);
        world.clean(from);
        said += 1;
        assert_eq!(world.say(to as usize, 1, said), Got::Seq(said));
        if to != 1 {
            assert_eq!(world.say(1, 1, said), Got::Moved(to));
        }
        assert_eq!(world.homes(), [to as usize]);
    }
    assert_eq!(world.log_of(3).len(), 5);
    world.check_replicas();
}

#[test]
fn what_is_on_its_way_is_not_to_be_had() {
    let mut world = begun(1, 2);
    let mut driver = world.driver(1).expect("is under way");
    while world.phase(1) == HomePhase::Leaving {
        world.drive(1, &mut driver, false);
        assert_eq!(world.say(2, 1, 1), Got::Moved(0), "ask where it was born");
    }
}

#[test]
fn behind_the_fence_nothing_changes() {
    let mut world = begun(1, 2);
    let fenced = world.step(1, command::Op::FenceGroup(FenceGroup { epoch: 1 }));
    assert_eq!(fenced.expect("fences").phase(), HomePhase::Fenced);
    let before = head(&world.seat(1), world.group);
    assert_eq!(world.say(1, 1, 1), Got::No(Code::Unavailable));
    assert_eq!(world.join(1, 2, 2), Got::No(Code::Unavailable));
    assert_eq!(got(&world.read(1, 1)), Got::No(Code::Unavailable));
    assert_eq!(head(&world.seat(1), world.group), before);
}

#[test]
fn one_that_is_given_up_leaves_the_home_where_it_was() {
    let mut world = begun(1, 2);
    let mut driver = world.driver(1).expect("is under way");
    for _ in 0..3 {
        assert!(world.drive(1, &mut driver, false));
    }
    driver.give_up();
    while world.drive(1, &mut driver, false) {}
    assert_eq!(world.phase(1), HomePhase::Here);
    assert_eq!(world.phase(2), HomePhase::Cancelled);
    assert_eq!(world.say(1, 1, 1), Got::Seq(2));
    // Whoever still drives it gets nowhere.
    let late = ActivateGroup {
        epoch: 1,
        head: Some(head(&world.seat(1), world.group)),
    };
    let state = world.step(2, command::Op::ActivateGroup(late));
    assert_eq!(state.expect("answers").phase(), HomePhase::Cancelled);
    assert_eq!(world.homes(), [1]);
    // The next attempt succeeds, once what was left is gone.
    world.clean(2);
    world.begin(1, 2, 2).expect("begins");
    world.drive_to_the_end(1);
    assert_eq!(world.say(2, 1, 2), Got::Seq(3));
    world.check_replicas();
}

#[test]
fn one_that_has_arrived_is_not_given_up_any_more() {
    let mut world = begun(1, 2);
    let mut driver = world.driver(1).expect("is under way");
    while world.phase(2) != HomePhase::Here {
        world.drive(1, &mut driver, false);
    }
    let mut other = world.driver(1).expect("is under way still");
    other.give_up();
    while world.drive(1, &mut other, false) {}
    assert_eq!(world.phase(1), HomePhase::Gone);
    assert_eq!(world.phase(2), HomePhase::Here);
}

#[test]
fn a_large_group_comes_in_parts_and_what_changed_meanwhile_comes_again() {
    let mut world = World::new();
    let mut number = 0;
    for who in 2..=250 {
        number += 1;
        world.join(1, who, number);
    }
    for n in 0..600_u64 {
        number += 1;
        world.say(1, 1 + (n % 100) as u8, number);
    }
    world.begin(1, 1, 2).expect("begins");
    let mut driver = world.driver(1).expect("is under way");
    let mut parts = 0;
    while world.phase(1) == HomePhase::Leaving {
        parts += 1;
        number += 1;
        // A new row each time, among those that were sent.
        let said = world.say(1, 100 + parts, number);
        assert!(matches!(said, Got::Seq(_)), "{said:?}");
        world.drive(1, &mut driver, false);
    }
    assert!(parts > 4, "it took {parts} parts");
    let sent = |world: &World| -> usize {
        let rows = world.proposed.iter().map(|(_, command)| match &command.op {
            Some(command::Op::ImportGroup(import)) => import.rows.len(),
            _ => 0,
        });
        rows.sum()
    };
    let before = sent(&world);
    assert!(before > 300, "{before} rows went ahead");
    while world.drive(1, &mut driver, false) {}
    assert_eq!(world.phase(2), HomePhase::Here);
    assert_eq!(world.log_of(2).len() as u64, number + 1);
    assert_eq!(world.rows(2), world.rows(1));
    let again = sent(&world) - before;
    assert!((1..before).contains(&again), "{again} rows came again");
    world.check_replicas();
}

#[test]
fn what_does_not_follow_from_the_log_does_not_arrive() {
    let mut world = World::new();
    for number in 1..4 {
        world.say(1, 1, number);
    }
    world.begin(1, 1, 2).expect("begins");
    let seat = world.seat(1);
    let whole = head(&seat, world.group);
    let entries = log::read_entries(&seat, &world.group, 0, 0, 9, usize::MAX).expect("reads");
    let import = |entry: SealedEntry| {
        let entry = ImportEntry {
            entry: Some(entry),
            ..ImportEntry::default()
        };
        command::Op::ImportGroup(ImportGroup {
            epoch: 1,
            from_shard: 1,
            entries: vec![entry],
            ..ImportGroup::default()
        })
    };
    // One that leaves a gap, and one that was changed.
    let gap = world.step(2, import(entries[2].1.clone()));
    assert_eq!(gap.expect_err("is refused").code, Code::Invalid);
    let mut changed = entries[0].1.clone();
    changed.body = Bytes::from_static(b"something else");
    let changed = world.step(2, import(changed));
    assert_eq!(changed.expect_err("is refused").code, Code::Invalid);
    // An erased one is as good.
    let erased = world.step(2, import(entries[0].1.erased()));
    assert_eq!(erased.expect("is taken").held, 1);
    // Not all of it: no home.
    let activate = ActivateGroup {
        epoch: 1,
        head: Some(whole),
    };
    let early = world.step(2, command::Op::ActivateGroup(activate));
    assert_eq!(early.expect_err("is refused").code, Code::NotHere);
}

#[test]
fn what_cannot_move() {
    let mut world = World::new();
    let refused = |world: &mut World, epoch, to| {
        let refused = world.begin(1, epoch, to);
        refused.expect_err("is refused").code
    };
    assert_eq!(refused(&mut world, 1, 1), Code::Invalid, "to where it is");
    assert_eq!(refused(&mut world, 1, 0), Code::Invalid, "to no shard");
    assert_eq!(refused(&mut world, 2, 2), Code::Invalid, "in a later epoch");
    let moving = std::mem::replace(&mut world.group, group(9));
    assert_eq!(refused(&mut world, 1, 2), Code::NotFound, "what is not");
    world.group = UserId::self_group(&user(1));
    assert_eq!(refused(&mut world, 1, 2), Code::Invalid, "a user's own");
    world.group = moving;
    world.begin(1, 1, 2).expect("begins");
    assert_eq!(refused(&mut world, 1, 3), Code::Invalid, "what moves");
}

/// A list that a member's leaving changed at the next home must not be changed
/// by the joining at this one, which was held up.
#[test]
fn a_group_leaves_once_what_it_has_for_others_is_delivered() {
    let mut world = World::new();
    world.begin(1, 1, 2).expect("begins");
    let mut driver = world.driver(1).expect("a move is under way");
    let waits = |world: &World, driver: &mut Rehoming| {
        let (seat, home) = (world.seat(1), world.home(1));
        driver.next(&seat, &home).expect("reads") == Next::Wait
    };
    while !waits(&world, &mut driver) {
        assert!(world.drive(1, &mut driver, false));
    }
    assert!(waits(&world, &mut driver), "for as long as it takes");
    assert_eq!(world.phase(1), HomePhase::Leaving);
    world.deliver(1);
    while world.phase(1) == HomePhase::Leaving {
        assert!(world.drive(1, &mut driver, false));
    }
    world.drive_to_the_end(1);
    assert_eq!(world.homes(), [2]);
}

/// Replicas of an older version would not know what to do.
#[test]
fn nothing_moves_before_all_voters_can() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[]);
    let begin = |home: &mut Home| {
        let begin = BeginMove {
            epoch: 1,
            to_shard: 2,
        };
        home.quiet(Some(group(1)), command::Op::BeginMove(begin))
    };
    let raise = |home: &mut Home, version| {
        let raise = SetApplyVersion { version };
        home.quiet(None, command::Op::SetApplyVersion(raise));
    };
    raise(&mut home, version::APPLY_MOVES - 1);
    assert_eq!(got(&begin(&mut home)), Got::No(Code::Unavailable));
    raise(&mut home, version::APPLY_MOVES);
    let result = begin(&mut home).result;
    assert!(matches!(result, Some(outcome::Result::HomeState(_))));
}
