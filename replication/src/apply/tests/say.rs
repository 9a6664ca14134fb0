//! Messages, edits, recalls, notices: who may say what.

use bytes::Bytes;
use folkmoot_wire::proto::{Append, Kind, MemberStatus, Role, RoleBody};
use folkmoot_wire::{Code, GroupId, limits};

use crate::testing::{Got, Home, check_laws, group, user};

fn chatting() -> Home {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2), user(3)]);
    home
}

#[test]
fn counts_and_the_senders_cursor_follow_what_is_said() {
    let mut home = chatting();
    home.say(group(1), user(2));
    home.on(group(1), Kind::Recall, user(2), 4);
    let all = Append {
        mentions_all: true,
        ..home.fresh(user(1), Kind::Message)
    };
    home.one(group(1), all);
    let head = home.head(group(1));
    assert_eq!((head.seq, head.count, head.at_all), (6, 2, 1));
    check_laws(&*home.store);
}

#[test]
fn only_admins_mention_all_and_only_by_speaking() {
    let mut home = chatting();
    home.say(group(1), user(2));
    let all = Append {
        mentions_all: true,
        ..home.fresh(user(2), Kind::Message)
    };
    assert_eq!(home.one(group(1), all), Got::No(Code::Forbidden));
    for kind in [
        Kind::Edit,
        Kind::Recall,
        Kind::Leave,
        Kind::Join,
        Kind::Rename,
    ] {
        let sneaky = Append {
            mentions_all: true,
            target: 4,
            ..home.fresh(user(2), kind)
        };
        let answer = home.one(group(1), sneaky);
        assert_eq!(answer, Got::No(Code::Invalid), "{kind:?}");
    }
    assert_eq!(home.head(group(1)).at_all, 0);
}

#[test]
fn ones_own_messages_are_edited() {
    let mut home = chatting();
    assert_eq!(home.say(group(1), user(2)), Got::Seq(4));
    assert_eq!(home.on(group(1), Kind::Edit, user(2), 4), Got::Seq(5));
    assert_eq!(
        home.on(group(1), Kind::Edit, user(1), 4),
        Got::No(Code::Forbidden)
    );
    // An edit, a join, the future and nothing at all are no messages.
    for target in [5, 2, 99, 0, u64::MAX] {
        let answer = home.on(group(1), Kind::Edit, user(2), target);
        assert_eq!(answer, Got::No(Code::TargetNotFound), "{target}");
    }
    assert_eq!(home.head(group(1)).count, 1);
}

#[test]
fn recalls_are_the_senders_and_the_admins() {
    let mut home = chatting();
    home.say(group(1), user(2));
    assert_eq!(
        home.on(group(1), Kind::Recall, user(3), 4),
        Got::No(Code::Forbidden)
    );
    assert_eq!(home.on(group(1), Kind::Recall, user(2), 4), Got::Seq(5));
    assert_eq!(home.on(group(1), Kind::Recall, user(1), 4), Got::Seq(6));
}

#[test]
fn notices_are_admins() {
    let mut home = chatting();
    let by_member = home.fresh(user(2), Kind::Notice);
    assert_eq!(home.one(group(1), by_member), Got::No(Code::Forbidden));
    let role = RoleBody {
        role: Role::Admin as u32,
    };
    home.act(group(1), Kind::Role, user(1), user(2), &role);
    let by_admin = home.fresh(user(2), Kind::Notice);
    assert!(matches!(home.one(group(1), by_admin), Got::Seq(_)));
    assert_eq!(home.head(group(1)).count, 0);
}

#[test]
fn what_is_out_of_form_is_refused_before_it_is_looked_at() {
    let mut home = chatting();
    let fresh = |home: &mut Home| home.fresh(user(2), Kind::Message);
    let many = vec![user(1).to_bytes(); limits::MENTIONS_MAX + 1];
    let cases = [
        (
            Append {
                id: Bytes::new(),
                ..fresh(&mut home)
            },
            Code::Invalid,
        ),
        (
            Append {
                sender: Bytes::from_static(b"x"),
                ..fresh(&mut home)
            },
            Code::Invalid,
        ),
        (
            Append {
                salt: Bytes::new(),
                ..fresh(&mut home)
            },
            Code::Invalid,
        ),
        (
            Append {
                client_msg_id: Bytes::new(),
                ..fresh(&mut home)
            },
            Code::Invalid,
        ),
        (
            Append {
                client_msg_id: Bytes::from_static(b"x"),
                ..fresh(&mut home)
            },
            Code::Invalid,
        ),
        (
            Append {
                subject: Bytes::from_static(b"x"),
                ..fresh(&mut home)
            },
            Code::Invalid,
        ),
        (
            Append {
                mentions: vec![Bytes::new()],
                ..fresh(&mut home)
            },
            Code::Invalid,
        ),
        (
            Append {
                mentions: many,
                ..fresh(&mut home)
            },
            Code::TooLarge,
        ),
        (
            Append {
                kind: 99,
                ..fresh(&mut home)
            },
            Code::Invalid,
        ),
        (
            Append {
                kind: Kind::Listed as i32,
                ..fresh(&mut home)
            },
            Code::Invalid,
        ),
        (
            Append {
                kind: 0,
                ..fresh(&mut home)
            },
            Code::Invalid,
        ),
        (
            Append {
                body: vec![0; limits::BODY_MAX + 1].into(),
                ..fresh(&mut home)
            },
            Code::TooLarge,
        ),
    ];
    for (n, (append, code)) in cases.into_iter().enumerate() {
        assert_eq!(home.one(group(1), append), Got::No(code), "case {n}");
    }
    assert_eq!(home.head(group(1)).seq, 3);
}

#[test]
fn a_user_speaks_in_the_own_self_group_and_cannot_end_it() {
    let mut home = Home::new();
    let own: GroupId = user(1).self_group();
    home.open_group(group(1), user(1), &[]);
    let waiting = crate::apply::pending(&*home.store, crate::testing::SHARD, 10).expect("reads");
    home.run(waiting.into_iter().map(|p| p.command).collect());
    let head = home.head(own);
    assert_eq!(home.say(own, user(1)), Got::Seq(head.seq + 1));
    assert_eq!(home.say(own, user(2)), Got::No(Code::NotFound));
    let end = home.fresh(user(1), Kind::Dissolve);
    assert_eq!(home.one(own, end), Got::No(Code::Forbidden));
    let status = home
        .member(own, user(1))
        .authority
        .expect("authority")
        .status();
    assert_eq!(status, MemberStatus::Member);
}
