//! Creating, joining, leaving: who may, and what an outsider learns.

use folkmoot_wire::proto::{
    Append, Cipher, CreateBody, GroupKind, JoinBody, Kind, MemberStatus, Role,
};
use folkmoot_wire::{Code, GroupId};
use prost::Message;

use crate::testing::{Got, Home, check_laws, group, open_body, user};

fn closed() -> CreateBody {
    CreateBody {
        open: false,
        ..open_body()
    }
}

#[test]
fn a_new_group_has_its_creator_as_owner() {
    let mut home = Home::new();
    assert_eq!(home.create(group(1), user(1), open_body()), Got::Seq(1));
    let value = home.group_value(group(1));
    assert_eq!((value.member_count, value.member_cap), (1, 500));
    assert_eq!(value.owner, user(1).to_bytes());
    let member = home.member(group(1), user(1));
    let authority = member.authority.expect("authority");
    assert_eq!(authority.role(), Role::Owner);
    assert_eq!(authority.visible_from, 1);
    assert_eq!(member.self_.expect("self").nick, "owner");
    let again = home.create(group(1), user(1), open_body());
    assert_eq!(again, Got::No(Code::AlreadyExists));
    check_laws(&*home.store);
}

#[test]
fn creations_out_of_form_are_refused() {
    let mut home = Home::new();
    let long = "x".repeat(257);
    let cases = [
        (
            CreateBody {
                name: long.clone(),
                ..open_body()
            },
            Code::TooLarge,
        ),
        (
            CreateBody {
                nick: long,
                ..open_body()
            },
            Code::TooLarge,
        ),
        (
            CreateBody {
                member_cap: 1_000_001,
                ..open_body()
            },
            Code::Invalid,
        ),
        (
            CreateBody {
                kind: GroupKind::Self_ as i32,
                ..open_body()
            },
            Code::Invalid,
        ),
        (
            CreateBody {
                kind: GroupKind::Direct as i32,
                ..open_body()
            },
            Code::Invalid,
        ),
        (
            CreateBody {
                kind: 0,
                ..open_body()
            },
            Code::Invalid,
        ),
    ];
    for (body, code) in cases {
        assert_eq!(home.create(group(1), user(1), body), Got::No(code));
    }
    let sealed = Append {
        cipher: Cipher::Mls as i32,
        body: open_body().encode_to_vec().into(),
        ..home.fresh(user(1), Kind::Create)
    };
    assert_eq!(home.one(group(1), sealed), Got::No(Code::Invalid));
    assert_eq!(home.create(group(1), user(1), open_body()), Got::Seq(1));
}

#[test]
fn a_direct_group_is_of_its_two_users_only() {
    let mut home = Home::new();
    let id = GroupId::direct(&user(1), &user(2));
    let body = CreateBody {
        kind: GroupKind::Direct as i32,
        open: false,
        ..open_body()
    };
    let wrong = home.act(id, Kind::Create, user(1), user(3), &body);
    assert_eq!(wrong, Got::No(Code::Invalid));
    assert_eq!(
        home.act(id, Kind::Create, user(1), user(2), &body),
        Got::Seq(1)
    );
    assert_eq!(home.say(id, user(1)), Got::Seq(2));
    assert_eq!(home.say(id, user(2)), Got::Seq(3));
    assert_eq!(home.say(id, user(3)), Got::No(Code::NotFound));
    assert_eq!(home.join(id, user(3)), Got::No(Code::NotFound));
    let add = home.act(id, Kind::Join, user(1), user(3), &JoinBody::default());
    assert_eq!(add, Got::No(Code::NotFound));
    // Nobody could let the leaver in again, so nobody leaves.
    let leave = home.fresh(user(1), Kind::Leave);
    assert_eq!(home.one(id, leave), Got::No(Code::Forbidden));
    assert_eq!(home.group_value(id).member_cap, 2);
    check_laws(&*home.store);
}

#[test]
fn joining_twice_makes_one_entry() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[]);
    assert_eq!(home.join(group(1), user(2)), Got::Seq(2));
    assert_eq!(home.join(group(1), user(2)), Got::Done);
    assert_eq!(home.group_value(group(1)).member_count, 2);
    assert_eq!(home.head(group(1)).seq, 2);
}

#[test]
fn a_closed_group_is_entered_by_an_admins_hand() {
    let mut home = Home::new();
    home.create(group(1), user(1), closed());
    assert_eq!(home.join(group(1), user(2)), Got::No(Code::NotFound));
    let nick = JoinBody {
        nick: "bo".into(),
        role: 0,
    };
    assert_eq!(
        home.act(group(1), Kind::Join, user(1), user(2), &nick),
        Got::Seq(2)
    );
    assert_eq!(
        home.member(group(1), user(2)).self_.expect("self").nick,
        "bo"
    );
    // The entry is the admin's: it is said under the admin's nick.
    let entry = folkmoot_storage::log::read_entry(&*home.store, &group(1), 2);
    let header = entry.expect("reads").expect("is there").decode_header();
    assert_eq!(header.expect("a header").nick, "owner");
    let by_member = home.act(group(1), Kind::Join, user(2), user(3), &nick);
    assert_eq!(by_member, Got::No(Code::Forbidden));
    let by_outsider = home.act(group(1), Kind::Join, user(4), user(3), &nick);
    assert_eq!(by_outsider, Got::No(Code::NotFound));
    let leave = home.fresh(user(2), Kind::Leave);
    assert!(matches!(home.one(group(1), leave), Got::Seq(_)));
    assert_eq!(home.join(group(1), user(2)), Got::No(Code::Forbidden));
}

/// Whatever an outsider tries, a closed group that exists answers like one
/// that does not.
#[test]
fn an_outsider_cannot_tell_a_group_that_exists() {
    let mut home = Home::new();
    home.create(group(1), user(1), closed());
    home.create(group(3), user(1), closed());
    let dissolve = home.fresh(user(1), Kind::Dissolve);
    assert_eq!(home.one(group(3), dissolve), Got::Seq(2));
    let kinds = [
        Kind::Message,
        Kind::Action,
        Kind::Notice,
        Kind::Edit,
        Kind::Recall,
        Kind::Join,
        Kind::Leave,
        Kind::Role,
        Kind::Mute,
        Kind::Ban,
        Kind::Unban,
        Kind::Profile,
        Kind::Dissolve,
    ];
    for kind in kinds {
        for subject in [None, Some(user(1)), Some(user(8))] {
            for stamp in [home.ms, home.ms - 30 * 24 * 3_600_000] {
                let mut answers = Vec::new();
                for id in [group(1), group(2), group(3)] {
                    let number = home.index;
                    let attempt = Append {
                        body: bytes::Bytes::new(),
                        subject: subject.map(|s| s.to_bytes()).unwrap_or_default(),
                        target: 1,
                        ..crate::testing::append(user(9), kind, stamp, number)
                    };
                    answers.push(home.one(id, attempt));
                }
                assert_eq!(answers, [answers[1]; 3], "{kind:?} {subject:?} at {stamp}");
            }
        }
    }
    assert_eq!(home.head(group(1)).seq, 1);
    assert_eq!(home.head(group(2)).seq, 0);
}

#[test]
fn the_cap_is_never_passed() {
    let mut home = Home::new();
    let body = CreateBody {
        member_cap: 3,
        ..open_body()
    };
    home.create(group(1), user(1), body);
    for n in 2..=3 {
        assert!(matches!(home.join(group(1), user(n)), Got::Seq(_)));
    }
    assert_eq!(home.join(group(1), user(4)), Got::No(Code::GroupFull));
    let add = home.act(group(1), Kind::Join, user(1), user(4), &JoinBody::default());
    assert_eq!(add, Got::No(Code::GroupFull));
    let leave = home.fresh(user(3), Kind::Leave);
    home.one(group(1), leave);
    assert!(matches!(home.join(group(1), user(4)), Got::Seq(_)));
    assert_eq!(home.group_value(group(1)).member_count, 3);
    check_laws(&*home.store);
}

#[test]
fn leaving_ends_membership_and_owners_stay() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2), user(3)]);
    let leave = home.fresh(user(1), Kind::Leave);
    assert_eq!(home.one(group(1), leave), Got::No(Code::Forbidden));
    let leave = home.fresh(user(2), Kind::Leave);
    assert_eq!(home.one(group(1), leave), Got::Seq(4));
    let leave = home.fresh(user(2), Kind::Leave);
    assert_eq!(home.one(group(1), leave), Got::Done);
    assert_eq!(home.say(group(1), user(2)), Got::No(Code::NotFound));
    let left = home.member(group(1), user(2)).authority.expect("authority");
    assert_eq!(
        (left.status(), left.role()),
        (MemberStatus::Left, Role::None)
    );
    // Removed by the owner, and by nobody lesser.
    let by_member = home.act(group(1), Kind::Leave, user(3), user(1), &());
    assert_eq!(by_member, Got::No(Code::Forbidden));
    assert_eq!(
        home.act(group(1), Kind::Leave, user(1), user(3), &()),
        Got::Seq(5)
    );
    assert_eq!(home.group_value(group(1)).member_count, 1);
    check_laws(&*home.store);
}

#[test]
fn history_from_join_hides_what_came_before_each_joining() {
    let mut home = Home::new();
    let body = CreateBody {
        history_from_join: true,
        ..open_body()
    };
    home.create(group(1), user(1), body);
    home.say(group(1), user(1));
    home.join(group(1), user(2));
    let visible = |home: &Home| {
        home.member(group(1), user(2))
            .authority
            .expect("a")
            .visible_from
    };
    assert_eq!(visible(&home), 3);
    let leave = home.fresh(user(2), Kind::Leave);
    home.one(group(1), leave);
    home.say(group(1), user(1));
    home.join(group(1), user(2));
    assert_eq!(visible(&home), 6);
    // What is hidden is not there to act on either.
    assert_eq!(
        home.on(group(1), Kind::Recall, user(2), 2),
        Got::No(Code::TargetNotFound)
    );
}

#[test]
fn a_dissolved_group_takes_nothing_more() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2)]);
    let by_member = home.fresh(user(2), Kind::Dissolve);
    assert_eq!(home.one(group(1), by_member), Got::No(Code::Forbidden));
    let by_owner = home.fresh(user(1), Kind::Dissolve);
    assert_eq!(home.one(group(1), by_owner), Got::Seq(3));
    for sender in [user(1), user(2)] {
        assert_eq!(home.say(group(1), sender), Got::No(Code::Dissolved));
    }
    let again = home.create(group(1), user(1), open_body());
    assert_eq!(again, Got::No(Code::AlreadyExists));
    assert_eq!(home.head(group(1)).seq, 3);
}
