//! One `(user, device, client_msg_id)` makes at most one entry.

use bytes::Bytes;
use folkmoot_storage::{Batch, Direction, Read, Store, Table, keys};
use folkmoot_wire::proto::{Append, CreateBody, JoinBody, Kind, MuteBody};
use folkmoot_wire::{Code, limits, version};
use prost::Message;

use crate::testing::{
    Got, Home, append, at, check_laws, command, dump, got, group, open_body, payload, user,
};

fn chatting() -> Home {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2)]);
    home
}

#[test]
fn the_same_id_gets_the_same_answer() {
    let mut home = chatting();
    let first = home.fresh(user(2), Kind::Message);
    let made = home.run(vec![command(group(1), first.clone())]);
    for _ in 0..5 {
        home.say(group(1), user(1));
    }
    // Another attempt has another id and salt, and is the same message.
    let retry = Append {
        id: home.fresh(user(2), Kind::Message).id,
        salt: Bytes::from_static(&[6; 16]),
        ..first.clone()
    };
    let again = home.run(vec![command(group(1), retry)]);
    let committed = |outcomes: &[folkmoot_wire::proto::Outcome]| match &outcomes[0].result {
        Some(folkmoot_wire::proto::outcome::Result::Committed(c)) => c.clone(),
        other => panic!("{other:?}"),
    };
    let (made, again) = (committed(&made), committed(&again));
    assert!(again.duplicate && !made.duplicate);
    assert_eq!(
        (made.seq, made.hlc, &made.id),
        (again.seq, again.hlc, &again.id)
    );
    assert_eq!(home.head(group(1)).seq, 8);
}

#[test]
fn another_content_under_the_same_id_is_a_conflict() {
    let mut home = chatting();
    home.say(group(1), user(1));
    let first = home.fresh(user(2), Kind::Message);
    assert_eq!(home.one(group(1), first.clone()), Got::Seq(4));
    let others = [
        Append {
            body: Bytes::from_static(b"other"),
            ..first.clone()
        },
        Append {
            kind: Kind::Action as i32,
            ..first.clone()
        },
        Append {
            reply_to: 3,
            ..first.clone()
        },
        Append {
            thread: 3,
            ..first.clone()
        },
        Append {
            target: 3,
            ..first.clone()
        },
        Append {
            expires_at_ms: 1,
            ..first.clone()
        },
        Append {
            mentions: vec![user(1).to_bytes()],
            ..first.clone()
        },
        Append {
            subject: user(1).to_bytes(),
            ..first.clone()
        },
        Append {
            cipher: 1,
            ..first.clone()
        },
    ];
    for (n, other) in others.into_iter().enumerate() {
        assert_eq!(
            home.one(group(1), other),
            Got::No(Code::Conflict),
            "case {n}"
        );
    }
    // Another user or device is somebody else.
    let device = Append {
        device: 2,
        ..first.clone()
    };
    assert_eq!(home.one(group(1), device), Got::Seq(5));
    let sender = Append {
        sender: user(1).to_bytes(),
        ..first
    };
    assert_eq!(home.one(group(1), sender), Got::Seq(6));
}

#[test]
fn within_one_payload_and_over_several_that_are_not_written_yet() {
    let mut home = chatting();
    let message = home.fresh(user(2), Kind::Message);
    let twice = vec![
        command(group(1), message.clone()),
        command(group(1), message.clone()),
    ];
    let mut all = Batch::new();
    let mut answers = Vec::new();
    for n in 1..=3 {
        let mut batch = Batch::new();
        let bytes = payload(home.ms + n, twice.clone());
        let (outcomes, _) = home
            .apply
            .apply(at(home.index + n), &bytes, &mut batch)
            .expect("applies");
        all.extend(batch);
        answers.extend(outcomes.iter().map(got));
    }
    assert_eq!(answers[0], Got::Seq(3));
    assert_eq!(answers[1..], [Got::Again(3); 5]);
    home.store.write(all).expect("writes");
    home.apply.settled();
    home.index += 3;
    assert_eq!(home.one(group(1), message), Got::Again(3));
    check_laws(&*home.store);
}

#[test]
fn ids_past_the_window_are_expired_by_the_logs_time() {
    let mut home = chatting();
    let message = home.fresh(user(2), Kind::Message);
    assert_eq!(home.one(group(1), message.clone()), Got::Seq(3));
    // The log stands still: a retry is still known, however late.
    home.ms += limits::DEDUP_WINDOW_MS + 60_000;
    assert_eq!(home.one(group(1), message.clone()), Got::Again(3));
    assert!(matches!(home.say(group(1), user(1)), Got::Seq(4)));
    assert_eq!(home.one(group(1), message), Got::No(Code::Expired));
    assert_eq!(home.head(group(1)).seq, 4);
}

#[test]
fn stamps_of_the_future_are_refused_until_they_are_of_the_past() {
    let mut home = chatting();
    let near = append(
        user(2),
        Kind::Message,
        home.ms + limits::HLC_DRIFT_MS,
        1_000,
    );
    assert_eq!(home.one(group(1), near), Got::Seq(3));
    let far = append(user(2), Kind::Message, home.ms + 60_000, 1_001);
    assert_eq!(home.one(group(1), far.clone()), Got::No(Code::ClockDrift));
    let farthest = append(user(2), Kind::Message, u64::MAX, 1_002);
    assert_eq!(home.one(group(1), farthest), Got::No(Code::ClockDrift));
    // The edge's clock was wrong, not the message: it is not lost for that.
    home.ms += 60_000;
    assert_eq!(home.one(group(1), far), Got::Seq(4));
}

#[test]
fn a_refusal_is_not_remembered() {
    let mut home = chatting();
    let message = home.fresh(user(3), Kind::Message);
    assert_eq!(home.one(group(1), message.clone()), Got::No(Code::NotFound));
    home.join(group(1), user(3));
    assert_eq!(home.one(group(1), message), Got::Seq(4));
}

#[test]
fn a_creation_is_deduplicated_too() {
    let mut home = Home::new();
    let body = CreateBody { ..open_body() };
    let create = Append {
        body: prost::Message::encode_to_vec(&body).into(),
        ..home.fresh(user(1), Kind::Create)
    };
    assert_eq!(home.one(group(1), create.clone()), Got::Seq(1));
    assert_eq!(home.one(group(1), create), Got::Again(1));
}

/// Records older than the window go, in bulk; younger ones stay.
#[test]
fn old_records_are_collected() {
    let mut home = chatting();
    let say = |home: &mut Home| {
        let commands: Vec<_> = (0..512)
            .map(|_| command(group(1), home.fresh(user(1), Kind::Message)))
            .collect();
        home.run(commands);
    };
    say(&mut home);
    let old_ms = home.ms;
    home.ms += limits::DEDUP_WINDOW_MS + 60_000;
    say(&mut home);
    say(&mut home);
    let (from, to) = keys::dedup::group_range(&group(1));
    let records = home
        .store
        .scan(Table::Dedup, &from, &to, usize::MAX, Direction::Forward)
        .expect("scans");
    assert!(
        records.len() >= 1_024 && records.len() < 1_100,
        "{}",
        records.len()
    );
    let (stale, to) = keys::dedup::stamped_before(&group(1), old_ms << 16);
    assert!(
        home.store
            .scan(Table::Dedup, &stale, &to, 1, Direction::Forward)
            .expect("scans")
            .is_empty()
    );
    assert_eq!(dump(&*home.store), dump(&*home.store.snapshot()));
    check_laws(&*home.store);
}

/// An attempt may be longer on its way than its sender is out of the group.
#[test]
fn what_was_refused_stays_refused() {
    let mut home = chatting();
    home.raise(version::APPLY_REMEMBERS);
    home.act(group(1), Kind::Leave, user(1), user(2), &());
    let refused = home.fresh(user(2), Kind::Message);
    assert_eq!(home.one(group(1), refused.clone()), Got::No(Code::NotFound));
    assert!(matches!(home.join(group(1), user(2)), Got::Seq(_)));
    assert_eq!(home.one(group(1), refused.clone()), Got::No(Code::NotFound));
    let other = Append {
        body: Bytes::from_static(b"other"),
        ..refused
    };
    assert_eq!(home.one(group(1), other), Got::No(Code::Conflict));
    // The same for what changed nothing.
    let join = Append {
        body: JoinBody::default().encode_to_vec().into(),
        ..home.fresh(user(2), Kind::Join)
    };
    assert_eq!(home.one(group(1), join.clone()), Got::Done);
    home.act(group(1), Kind::Leave, user(1), user(2), &());
    assert_eq!(home.one(group(1), join), Got::Done);
    assert_eq!(home.say(group(1), user(2)), Got::No(Code::NotFound));
}

/// Replicas of an older version would not remember it.
#[test]
fn refusals_are_remembered_once_every_replica_can() {
    let mut home = chatting();
    home.act(group(1), Kind::Leave, user(1), user(2), &());
    let refused = home.fresh(user(2), Kind::Message);
    assert_eq!(home.one(group(1), refused.clone()), Got::No(Code::NotFound));
    assert!(matches!(home.join(group(1), user(2)), Got::Seq(_)));
    assert!(matches!(home.one(group(1), refused), Got::Seq(_)));
}

/// What may succeed later is not settled by its first attempt.
#[test]
fn what_was_refused_for_now_may_succeed() {
    let mut home = chatting();
    home.raise(version::APPLY_REMEMBERS);
    let mute = |home: &mut Home, until_ms| {
        let body = MuteBody { until_ms };
        home.act(group(1), Kind::Mute, user(1), user(2), &body)
    };
    mute(&mut home, u64::MAX / 2);
    let message = home.fresh(user(2), Kind::Message);
    assert_eq!(home.one(group(1), message.clone()), Got::No(Code::Muted));
    mute(&mut home, 0);
    assert!(matches!(home.one(group(1), message), Got::Seq(_)));
}

/// Nobody fills the disk of a group that he has nothing to do with.
#[test]
fn of_outsiders_to_a_closed_group_nothing_is_kept() {
    let mut home = Home::new();
    home.raise(version::APPLY_REMEMBERS);
    let body = CreateBody {
        open: false,
        ..open_body()
    };
    assert_eq!(home.create(group(1), user(1), body), Got::Seq(1));
    let kept = |home: &Home| {
        let end = keys::TABLE_END;
        let all = home
            .store
            .scan(Table::Dedup, &[], end, 1_000, Direction::Forward);
        all.unwrap().len()
    };
    let before = kept(&home);
    for kind in [Kind::Message, Kind::Join, Kind::Leave, Kind::Ban] {
        let knock = home.fresh(user(9), kind);
        assert!(matches!(home.one(group(1), knock), Got::No(_)), "{kind:?}");
    }
    assert_eq!(kept(&home), before);
}
