//! The directory, the outbox and its deliveries.

use folkmoot_storage::log;
use folkmoot_wire::proto::{
    Command, GroupKind, Kind, ListedValue, OutboxAck, ResolveUser, command, outcome, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, GroupId, UserId};

use crate::apply::{Pending, directory_place, pending};
use crate::testing::{Got, Home, SHARD, check_laws, dump, got, group, user};

fn resolve(home: &mut Home, realm: &str, subject: &str, candidate: UserId) -> (UserId, bool) {
    let op = command::Op::ResolveUser(ResolveUser {
        realm: realm.into(),
        subject: subject.into(),
        candidate: candidate.to_bytes(),
    });
    match home.quiet(None, op).result {
        Some(outcome::Result::Resolved(r)) => {
            (UserId::from_slice(&r.user).expect("a user"), r.minted)
        }
        other => panic!("{other:?}"),
    }
}

fn waiting(home: &Home) -> Vec<Pending> {
    pending(&*home.store, SHARD, 100).expect("reads")
}

fn listed(home: &Home, who: UserId, of: GroupId) -> Option<ListedValue> {
    match home.row(who.self_group(), RowKey::Listed(of))? {
        row::Value::Listed(value) => Some(value),
        other => panic!("not listed: {other:?}"),
    }
}

#[test]
fn a_subject_gets_one_id_for_ever() {
    let mut home = Home::new();
    assert_eq!(resolve(&mut home, "app", "ann", user(1)), (user(1), true));
    assert_eq!(resolve(&mut home, "app", "ann", user(2)), (user(1), false));
    assert_eq!(resolve(&mut home, "app", "bo", user(2)), (user(2), true));
    assert_eq!(resolve(&mut home, "other", "ann", user(3)), (user(3), true));
    // One self group for each that was minted.
    assert_eq!(waiting(&home).len(), 3);
    assert_ne!(directory_place("ab", "c"), directory_place("a", "bc"));
}

#[test]
fn subjects_out_of_form_are_refused() {
    let mut home = Home::new();
    let long = "x".repeat(513);
    for (realm, subject, code) in [
        ("app", "", Code::Invalid),
        (&long, "ann", Code::TooLarge),
        ("app", &long, Code::TooLarge),
    ] {
        let op = command::Op::ResolveUser(ResolveUser {
            realm: realm.into(),
            subject: subject.into(),
            candidate: user(1).to_bytes(),
        });
        assert_eq!(got(&home.quiet(None, op)), Got::No(code));
    }
    let op = command::Op::ResolveUser(ResolveUser {
        subject: "ann".into(),
        ..ResolveUser::default()
    });
    assert_eq!(got(&home.quiet(None, op)), Got::No(Code::Invalid));
}

#[test]
fn a_self_group_is_made_once_whatever_arrives_first() {
    let mut home = Home::new();
    resolve(&mut home, "app", "ann", user(1));
    home.open_group(group(1), user(1), &[]);
    let deliveries: Vec<Command> = waiting(&home).into_iter().map(|p| p.command).collect();
    assert_eq!(deliveries.len(), 2);
    // Both orders, and everything twice.
    for order in [[0, 1, 0, 1], [1, 0, 1, 0]] {
        let mut receiver = Home::new();
        for n in order {
            let done = receiver.run(vec![deliveries[n].clone()]);
            assert_eq!(got(&done[0]), Got::Done);
        }
        let own = user(1).self_group();
        let value = receiver.group_value(own);
        assert_eq!((value.kind(), value.member_count), (GroupKind::Self_, 1));
        let creates = log::read_entries(&*receiver.store, &own, 0, 0, 99, usize::MAX)
            .expect("reads")
            .iter()
            .filter(|(_, e)| e.decode_header().expect("a header").kind() == Kind::Create)
            .count();
        assert_eq!(creates, 1);
        check_laws(&*receiver.store);
    }
}

#[test]
fn the_list_of_groups_follows_joins_and_leaves() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2)]);
    let leave = home.fresh(user(2), Kind::Leave);
    home.one(group(1), leave);
    let deliveries = waiting(&home);
    let numbers: Vec<u64> = deliveries.iter().map(|p| p.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let commands: Vec<Command> = deliveries.iter().map(|p| p.command.clone()).collect();
    home.run(commands.clone());
    assert!(listed(&home, user(1), group(1)).expect("is listed").listed);
    assert_eq!(
        listed(&home, user(1), group(1)).expect("is listed").name,
        "tea"
    );
    assert!(!listed(&home, user(2), group(1)).expect("was listed").listed);
    let before = dump(&*home.store).len();
    home.run(commands);
    assert!(home.pushes.is_empty(), "once more changes nothing");
    assert_eq!(dump(&*home.store).len(), before);
    check_laws(&*home.store);
}

/// Entries that no edge stamped have ids too, each its own.
#[test]
fn entries_of_one_payload_have_ids_of_their_own() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[]);
    home.open_group(group(2), user(1), &[]);
    let commands: Vec<Command> = waiting(&home).into_iter().map(|p| p.command).collect();
    home.run(commands);
    let own = user(1).self_group();
    let entries = log::read_entries(&*home.store, &own, 0, 0, 99, usize::MAX).expect("reads");
    let ids: std::collections::BTreeSet<_> = entries
        .iter()
        .map(|(_, e)| e.decode_header().expect("a header").id)
        .collect();
    assert_eq!((entries.len(), ids.len()), (3, 3));
}

#[test]
fn an_old_delivery_does_not_undo_a_newer_one() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2)]);
    let joined = waiting(&home);
    let leave = home.fresh(user(2), Kind::Leave);
    home.one(group(1), leave);
    let all = waiting(&home);
    home.run(vec![all[2].command.clone()]);
    home.run(vec![joined[1].command.clone()]);
    assert!(!listed(&home, user(2), group(1)).expect("was listed").listed);
}

#[test]
fn acknowledged_deliveries_go_and_others_stay() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2), user(3)]);
    let ack = |home: &mut Home, up_to| {
        home.quiet(None, command::Op::OutboxAck(OutboxAck { up_to }));
        waiting(home).iter().map(|p| p.number).collect::<Vec<_>>()
    };
    assert_eq!(ack(&mut home, 1), [2, 3]);
    assert_eq!(ack(&mut home, 0), [2, 3]);
    assert_eq!(ack(&mut home, u64::MAX), Vec::<u64>::new());
    home.join(group(1), user(4));
    assert_eq!(waiting(&home)[0].number, 4);
    assert_eq!(pending(&*home.store, SHARD, 0).expect("reads").len(), 0);
}

#[test]
fn deliveries_reach_self_groups_only() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[]);
    let mut stray = waiting(&home)[0].command.clone();
    stray.group = group(1).to_bytes();
    assert_eq!(got(&home.run(vec![stray])[0]), Got::No(Code::Invalid));
}
