use folkmoot_wire::{RegionId, Slot, UserId};

use super::{Cast, differences};
use crate::demo::replay::Log;
use crate::demo::script::Script;
use crate::entry_json::{EntryLine, kind_name};

const LOG: &str =
    "[11:11] <a> x\n[11:11] <b> a: y\n=== a is now known as c\n=== b says z\n[11:12] <c> w";

fn user(number: u8) -> UserId {
    UserId::new(RegionId(1), Slot(7), [number; 11])
}

fn cast() -> Vec<Option<UserId>> {
    (1..=9).map(|number| Some(user(number))).collect()
}

fn line(seq: u64, kind: &str, sender: UserId, nick: &str, body: &str) -> EntryLine {
    EntryLine {
        seq,
        epoch: String::new(),
        hlc: String::new(),
        id: String::new(),
        chain: String::new(),
        kind: kind.into(),
        sender: sender.to_string(),
        nick: nick.into(),
        client_msg_id: String::new(),
        subject: String::new(),
        target: 0,
        mentions: Vec::new(),
        body: body.into(),
    }
}

/// The log that the script asks for.
fn perfect(script: &Script) -> Vec<EntryLine> {
    let mut log = vec![line(1, "create", user(0), "*", "")];
    for (at, step) in script.steps.iter().enumerate() {
        let sender = step.user.map_or(user(0), |number| user(number as u8 + 1));
        log.push(line(
            at as u64 + 2,
            kind_name(step.kind()),
            sender,
            &step.nick,
            step.body(),
        ));
    }
    log[4].mentions = vec![user(1).to_string()];
    log
}

fn check(change: impl FnOnce(&mut Vec<EntryLine>)) -> (Vec<String>, Vec<String>) {
    let script = Log::of(String::new(), LOG.as_bytes()).script;
    let mut log = perfect(&script);
    change(&mut log);
    let users = cast();
    let cast = Cast {
        users: &users,
        bridge: user(0),
    };
    (
        differences(&script, &cast, &log, true),
        differences(&script, &cast, &log, false),
    )
}

#[test]
fn a_perfect_log_differs_in_nothing() {
    let (in_order, by_sender) = check(|_| {});
    assert_eq!((in_order, by_sender), (vec![], vec![]));
}

#[test]
fn other_speakers_may_overtake_only_when_pipelined() {
    // `a` said x before `b` joined.
    let (in_order, by_sender) = check(|log| log.swap(2, 3));
    assert_eq!(in_order.len(), 1);
    assert_eq!(by_sender, Vec::<String>::new());
}

#[test]
fn ones_own_order_always_counts() {
    let (in_order, by_sender) = check(|log| log.swap(1, 2));
    assert_eq!((in_order.len(), by_sender.len()), (1, 1));
}

#[test]
fn lost_double_and_wrong_entries_are_found() {
    for change in [
        (|log| drop(log.remove(2))) as fn(&mut Vec<EntryLine>),
        |log| log.insert(3, log[2].clone()),
        |log| log[2].nick = "d".into(),
        |log| log[2].body.push(' '),
        |log| log[2].kind = "action".into(),
        |log| log[2].sender = user(5).to_string(),
        |log| log[4].mentions.clear(),
        |log| drop(log.remove(0)),
    ] {
        let (in_order, by_sender) = check(change);
        assert!(!in_order.is_empty() && !by_sender.is_empty());
    }
}
