//! A shard that loses slots, and the one that gets them.

use std::sync::Arc;

use folkmoot_storage::{Batch, MemStore, Store};
use folkmoot_wire::proto::{
    AbortMove, BeginMove, BeginOutbox, EndMove, FenceGroup, HomePhase, OutboxAck, Outcome,
    SplitOff, command,
};
use folkmoot_wire::{Code, ShardId, Slot, version};

use crate::apply::{ShardApply, ShardConfig, applied, home_record, home_records, pending};
use crate::testing::{Got, Home, SHARD, at, check_laws, config, got, group, payload, user};

const CHILD: ShardId = ShardId(9);

fn split_off(home: &mut Home, from: u16, shard: ShardId) -> Got {
    let split = SplitOff {
        from: u32::from(from),
        shard: shard.0,
    };
    got(&home.quiet(None, command::Op::SplitOff(split)))
}

/// The other shard, over the same store, behind the same place of the log.
fn child(home: &Home) -> Home {
    let mut child = Home::new();
    child.store = Arc::clone(&home.store);
    let config = ShardConfig {
        shard: CHILD,
        generation: 2,
        ..config()
    };
    child.apply = ShardApply::open(config, home.store.clone()).expect("opens");
    (child.index, child.ms) = (child.apply.applied_index(), home.ms);
    child
}

fn slot(n: u8) -> u16 {
    group(n).slot().0
}

fn with_groups() -> Home {
    let mut home = Home::new();
    home.raise(version::APPLY);
    for n in 1..=4 {
        home.open_group(group(n), user(n), &[user(7)]);
        assert!(matches!(home.say(group(n), user(7)), Got::Seq(_)));
    }
    home
}

fn moved_to(home: &mut Home, n: u8, to: u32, epoch: u64) -> Outcome {
    let (group, to_shard) = (Some(group(n)), to);
    home.quiet(group, command::Op::BeginMove(BeginMove { epoch, to_shard }))
}

#[test]
fn each_goes_on_with_its_own() {
    let mut home = with_groups();
    let heads: Vec<_> = (1..=4).map(|n| home.head(group(n))).collect();
    assert_eq!(split_off(&mut home, slot(3), CHILD), Got::Done);
    assert_eq!(home.apply.take_child(), Some(CHILD));
    assert_eq!(home.apply.slots(), (Slot(0), Slot(slot(3) - 1)));
    let state = applied(&*home.store, SHARD).unwrap().unwrap();
    assert_eq!((state.split_at, state.split_off), (home.index, CHILD.0));

    let mut child = child(&home);
    assert_eq!(child.apply.slots(), (Slot(slot(3)), Slot(u16::MAX)));
    assert_eq!(child.index, home.index, "versions go on rising");
    for n in 1..=4 {
        assert_eq!(home.head(group(n)), heads[usize::from(n) - 1], "untouched");
        let (ours, theirs, away) = match n < 3 {
            true => (&mut home, &mut child, Got::Moved(0)),
            false => (&mut child, &mut home, Got::Moved(CHILD.0)),
        };
        assert_eq!(ours.say(group(n), user(n)), Got::Seq(4));
        assert_eq!(theirs.say(group(n), user(n)), away, "ask there");
    }
    for n in 3..=4 {
        let (before, now) = (&heads[usize::from(n) - 1], home.head(group(n)));
        assert!(now.version > before.version && now.hlc > before.hlc);
    }
    check_laws(&*home.store);
}

#[test]
fn a_repetition_is_known_on_the_other_side() {
    let mut home = with_groups();
    let said = home.fresh(user(7), folkmoot_wire::proto::Kind::Message);
    assert_eq!(home.one(group(4), said.clone()), Got::Seq(4));
    split_off(&mut home, slot(4), CHILD);
    let mut child = child(&home);
    assert_eq!(child.one(group(4), said), Got::Again(4));
}

fn numbers(home: &Home, shard: ShardId) -> Vec<u64> {
    let waiting = pending(&*home.store, shard, 100).unwrap();
    waiting.into_iter().map(|one| one.number).collect()
}

/// Who joined before a split and leaves behind it is not put on the list again
/// by what waited.
#[test]
fn effects_behind_a_split_wait_for_those_before_it() {
    let mut home = with_groups();
    let waiting = numbers(&home, SHARD);
    let last = *waiting.last().expect("joins that are not delivered");
    split_off(&mut home, slot(3), CHILD);
    assert_eq!(numbers(&home, SHARD), waiting, "they stay where they are");
    let mut child = child(&home);
    assert!(matches!(child.join(group(3), user(8)), Got::Seq(_)));
    assert!(numbers(&child, CHILD).is_empty());
    let begin = |up_to| command::Op::BeginOutbox(BeginOutbox { up_to });
    let early = child.quiet(None, begin(last - 1));
    assert_eq!(got(&early), Got::No(Code::Busy));
    assert!(numbers(&child, CHILD).is_empty());
    // Split again meanwhile: that waits as long as this one does.
    assert_eq!(split_off(&mut child, slot(4), ShardId(10)), Got::Done);
    let waits = |shard| applied(&*home.store, shard).unwrap().unwrap().outbox_waits;
    assert!(waits(ShardId(10)) > 0);
    assert_eq!(got(&child.quiet(None, begin(last))), Got::Done);
    assert_eq!(numbers(&child, CHILD), [1], "under its own number");
    assert_eq!(
        got(&child.quiet(None, begin(0))),
        Got::Done,
        "twice is once"
    );
}

#[test]
fn a_shard_that_has_nothing_to_deliver_is_waited_for_by_nobody() {
    let mut home = with_groups();
    let up_to = *numbers(&home, SHARD).last().unwrap();
    home.quiet(None, command::Op::OutboxAck(OutboxAck { up_to }));
    split_off(&mut home, slot(3), CHILD);
    let mut child = child(&home);
    assert!(matches!(child.join(group(3), user(8)), Got::Seq(_)));
    assert_eq!(numbers(&child, CHILD), [1]);
}

#[test]
fn what_is_known_of_moved_groups_goes_along() {
    let mut home = with_groups();
    for n in [2, 4] {
        moved_to(&mut home, n, 77, 0);
        let epoch = 1;
        home.quiet(
            Some(group(n)),
            command::Op::FenceGroup(FenceGroup { epoch }),
        );
        home.quiet(Some(group(n)), command::Op::EndMove(EndMove { epoch }));
    }
    assert_eq!(home.say(group(4), user(7)), Got::Moved(77));
    assert_eq!(split_off(&mut home, slot(3), CHILD), Got::Done);
    let groups = |shard| {
        let records = home_records(&*home.store, shard, None, 100).unwrap();
        records.into_iter().map(|one| one.group).collect::<Vec<_>>()
    };
    assert_eq!(
        (groups(SHARD), groups(CHILD)),
        (vec![group(2)], vec![group(4)])
    );
    let mut child = child(&home);
    assert_eq!(child.say(group(4), user(7)), Got::Moved(77));
    assert_eq!(child.say(group(3), user(7)), Got::Seq(4));
    let record = home_record(&*home.store, CHILD, &group(4))
        .unwrap()
        .unwrap();
    assert_eq!(record.phase(), HomePhase::Gone);
}

/// Groups that leave go on leaving, under the number that the other shard knows.
#[test]
fn a_move_goes_on_behind_a_split() {
    let mut home = with_groups();
    for n in [2, 4] {
        moved_to(&mut home, n, 77, 0);
    }
    assert_eq!(split_off(&mut home, slot(4), CHILD), Got::Done);
    let record = |shard, n| home_record(&*home.store, shard, &group(n)).unwrap();
    assert_eq!(record(SHARD, 4), None);
    assert_eq!(record(SHARD, 2).unwrap().leaves_as, 0);
    let gone = record(CHILD, 4).unwrap();
    assert_eq!(
        (gone.phase(), gone.leaves_as),
        (HomePhase::Leaving, SHARD.0)
    );
    // The steps are the other one's now, and who asks here is told so.
    let epoch = 1;
    let fence = || command::Op::FenceGroup(FenceGroup { epoch });
    let mut child = child(&home);
    assert_eq!(
        got(&home.quiet(Some(group(4)), fence())),
        Got::Moved(CHILD.0)
    );
    assert_eq!(got(&child.quiet(Some(group(4)), fence())), Got::Done);
    assert_eq!(child.say(group(4), user(7)), Got::No(Code::Unavailable));
    // Given up, and begun again: by then it leaves as what it is in.
    child.quiet(Some(group(4)), command::Op::AbortMove(AbortMove { epoch }));
    assert_eq!(child.say(group(4), user(7)), Got::Seq(4));
    moved_to(&mut child, 4, 77, 0);
    let again = home_record(&*home.store, CHILD, &group(4))
        .unwrap()
        .unwrap();
    assert_eq!((again.epoch, again.leaves_as), (2, 0));
}

#[test]
fn twice_is_once_and_nothing_is_left_without_slots() {
    let mut home = with_groups();
    assert_eq!(split_off(&mut home, slot(3), CHILD), Got::Done);
    let slots = home.apply.slots();
    assert_eq!(split_off(&mut home, slot(3), CHILD), Got::Done);
    assert_eq!(home.apply.slots(), slots);
    assert_eq!(split_off(&mut home, 0, ShardId(10)), Got::No(Code::Invalid));
    let mut old = Home::new();
    assert_eq!(split_off(&mut old, 5, CHILD), Got::No(Code::Unavailable));
}

/// Commands behind a split in one payload, and payloads behind it that are
/// applied before the store has it, see it too.
#[test]
fn what_is_staged_counts() {
    let home = with_groups();
    let mut home = home;
    moved_to(&mut home, 4, 77, 0);
    let store: Arc<MemStore> = Arc::clone(&home.store);
    let mut apply = ShardApply::open(config(), store.clone()).unwrap();
    let quiet = |group: Option<folkmoot_wire::GroupId>, op| folkmoot_wire::proto::Command {
        group: group.map(|group| group.to_bytes()).unwrap_or_default(),
        op: Some(op),
    };
    let (epoch, from) = (1, u32::from(slot(3)));
    let split = SplitOff {
        from,
        shard: CHILD.0,
    };
    let mut staged = Batch::new();
    let mut run = |index: u64, commands| {
        let mut batch = Batch::new();
        let bytes = payload(home.ms + index, commands);
        let (outcomes, pushes) = apply.apply(at(index), &bytes, &mut batch).unwrap();
        staged.extend(batch);
        (outcomes.iter().map(got).collect::<Vec<_>>(), pushes)
    };
    let next = home.index + 1;
    let ends = vec![
        quiet(
            Some(group(4)),
            command::Op::FenceGroup(FenceGroup { epoch }),
        ),
        quiet(Some(group(4)), command::Op::EndMove(EndMove { epoch })),
    ];
    assert_eq!(run(next, ends).0, [Got::Done, Got::Done]);
    let append = crate::testing::append(
        user(7),
        folkmoot_wire::proto::Kind::Message,
        home.ms + next,
        900,
    );
    let splits = vec![
        crate::testing::command(group(3), append.clone()),
        quiet(None, command::Op::SplitOff(split)),
        crate::testing::command(group(3), append),
    ];
    let (outcomes, pushes) = run(next + 1, splits);
    assert_eq!(outcomes, [Got::Seq(4), Got::Done, Got::Moved(CHILD.0)]);
    // Who looks at the group hears of what came before the split.
    assert!(pushes.iter().any(|push| push.group == group(3).to_bytes()));
    store.write(staged).unwrap();
    assert_eq!(home_records(&*store, SHARD, None, 100).unwrap(), []);
    let records = home_records(&*store, CHILD, None, 100).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].home.redirect, 77);
}
