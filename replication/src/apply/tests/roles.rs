//! Roles, mutes, bans, nicks.

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::Code;
use folkmoot_wire::proto::{Append, Kind, MuteBody, RenameBody, Role, RoleBody};
use prost::Message;

use crate::testing::{Got, Home, check_laws, group, user};

fn role(role: Role) -> RoleBody {
    RoleBody { role: role as u32 }
}

/// 1 owner, 2 and 3 admins, 4 and 5 members.
fn staffed() -> Home {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2), user(3), user(4), user(5)]);
    for n in [2, 3] {
        let made = home.act(group(1), Kind::Role, user(1), user(n), &role(Role::Admin));
        assert!(matches!(made, Got::Seq(_)));
    }
    home
}

#[test]
fn roles_are_given_downwards_only() {
    let mut home = staffed();
    let no = Got::No(Code::Forbidden);
    let g = group(1);
    assert_eq!(
        home.act(g, Kind::Role, user(4), user(5), &role(Role::ReadOnly)),
        no
    );
    assert_eq!(
        home.act(g, Kind::Role, user(2), user(4), &role(Role::Admin)),
        no
    );
    assert_eq!(
        home.act(g, Kind::Role, user(2), user(4), &role(Role::Owner)),
        no
    );
    assert_eq!(
        home.act(g, Kind::Role, user(2), user(3), &role(Role::Member)),
        no
    );
    assert_eq!(
        home.act(g, Kind::Role, user(2), user(1), &role(Role::Member)),
        no
    );
    assert_eq!(
        home.act(g, Kind::Role, user(4), user(4), &role(Role::Admin)),
        no
    );
    let invalid = Got::No(Code::Invalid);
    assert_eq!(
        home.act(g, Kind::Role, user(1), user(9), &role(Role::Member)),
        invalid
    );
    assert_eq!(
        home.act(g, Kind::Role, user(1), user(4), &role(Role::None)),
        invalid
    );
    assert_eq!(
        home.act(
            g,
            Kind::Role,
            user(1),
            user(4),
            &RoleBody { role: u32::MAX }
        ),
        invalid
    );
    let quiet = home.act(g, Kind::Role, user(2), user(4), &role(Role::ReadOnly));
    assert!(matches!(quiet, Got::Seq(_)));
    assert_eq!(home.say(g, user(4)), no);
    assert_eq!(home.on(g, Kind::Edit, user(4), 1), no);
}

#[test]
fn ownership_is_handed_over_whole() {
    let mut home = staffed();
    let given = home.act(group(1), Kind::Role, user(1), user(4), &role(Role::Owner));
    assert!(matches!(given, Got::Seq(_)));
    let of = |home: &Home, n| home.member(group(1), user(n)).authority.expect("a").role();
    assert_eq!((of(&home, 1), of(&home, 4)), (Role::Admin, Role::Owner));
    assert_eq!(home.group_value(group(1)).owner, user(4).to_bytes());
    let leave = home.fresh(user(1), Kind::Leave);
    assert!(matches!(home.one(group(1), leave), Got::Seq(_)));
    check_laws(&*home.store);
}

#[test]
fn a_mute_lasts_until_its_time_by_the_log() {
    let mut home = staffed();
    let until = MuteBody {
        until_ms: home.ms + 1_000,
    };
    let by_member = home.act(group(1), Kind::Mute, user(4), user(5), &until);
    assert_eq!(by_member, Got::No(Code::Forbidden));
    let stranger = home.act(group(1), Kind::Mute, user(2), user(9), &until);
    assert_eq!(stranger, Got::No(Code::Invalid));
    let muted = home.act(group(1), Kind::Mute, user(2), user(4), &until);
    assert!(matches!(muted, Got::Seq(_)));
    assert_eq!(home.say(group(1), user(4)), Got::No(Code::Muted));
    // Out and in again changes nothing about it.
    let leave = home.fresh(user(4), Kind::Leave);
    assert!(matches!(home.one(group(1), leave), Got::Seq(_)));
    assert!(matches!(home.join(group(1), user(4)), Got::Seq(_)));
    assert_eq!(home.say(group(1), user(4)), Got::No(Code::Muted));
    home.ms = until.until_ms;
    assert!(matches!(home.say(group(1), user(4)), Got::Seq(_)));
}

#[test]
fn after_a_ban_no_append_by_that_user() {
    let mut home = staffed();
    assert!(matches!(home.say(group(1), user(4)), Got::Seq(_)));
    let count = home.group_value(group(1)).member_count;
    let banned = home.act(group(1), Kind::Ban, user(2), user(4), &());
    let Got::Seq(ban) = banned else {
        panic!("{banned:?}")
    };
    assert_eq!(home.group_value(group(1)).member_count, count - 1);
    assert_eq!(
        home.act(group(1), Kind::Ban, user(2), user(4), &()),
        Got::Done
    );
    let kinds = [
        Kind::Message,
        Kind::Action,
        Kind::Notice,
        Kind::Edit,
        Kind::Recall,
        Kind::Join,
        Kind::Leave,
        Kind::Rename,
        Kind::Role,
        Kind::Mute,
        Kind::Ban,
        Kind::Unban,
        Kind::Profile,
        Kind::Dissolve,
        Kind::Create,
    ];
    for kind in kinds {
        let append = Append {
            target: 6,
            ..home.fresh(user(4), kind)
        };
        let answer = home.one(group(1), append);
        assert!(!matches!(answer, Got::Seq(_)), "{kind:?}: {answer:?}");
    }
    assert_eq!(home.head(group(1)).seq, ban);
    assert_eq!(home.join(group(1), user(4)), Got::No(Code::Banned));
    let added = home.act(group(1), Kind::Join, user(1), user(4), &());
    assert_eq!(added, Got::No(Code::Banned));
    assert_eq!(
        home.act(group(1), Kind::Unban, user(3), user(4), &()),
        Got::Seq(ban + 1)
    );
    assert_eq!(home.say(group(1), user(4)), Got::No(Code::NotFound));
    assert_eq!(home.join(group(1), user(4)), Got::Seq(ban + 2));
    check_laws(&*home.store);
}

#[test]
fn bans_go_downwards_and_reach_people_who_never_joined() {
    let mut home = staffed();
    let no = Got::No(Code::Forbidden);
    assert_eq!(home.act(group(1), Kind::Ban, user(2), user(3), &()), no);
    assert_eq!(home.act(group(1), Kind::Ban, user(2), user(1), &()), no);
    assert_eq!(home.act(group(1), Kind::Ban, user(2), user(2), &()), no);
    assert_eq!(home.act(group(1), Kind::Ban, user(4), user(5), &()), no);
    let count = home.group_value(group(1)).member_count;
    assert!(matches!(
        home.act(group(1), Kind::Ban, user(2), user(9), &()),
        Got::Seq(_)
    ));
    assert_eq!(home.group_value(group(1)).member_count, count);
    assert_eq!(home.join(group(1), user(9)), Got::No(Code::Banned));
    assert_eq!(
        home.act(group(1), Kind::Unban, user(2), user(5), &()),
        Got::Done
    );
}

/// A ban and a message in one payload: the order of the commands decides.
#[test]
fn a_ban_counts_within_its_own_payload() {
    let mut home = staffed();
    let ban = Append {
        subject: user(4).to_bytes(),
        ..home.fresh(user(1), Kind::Ban)
    };
    let before = home.fresh(user(4), Kind::Message);
    let after = home.fresh(user(4), Kind::Message);
    let commands = [before, ban, after].map(|a| crate::testing::command(group(1), a));
    let answers: Vec<_> = home
        .run(commands.to_vec())
        .iter()
        .map(crate::testing::got)
        .collect();
    assert!(matches!(answers[..2], [Got::Seq(_), Got::Seq(_)]));
    assert_eq!(answers[2], Got::No(Code::Banned));
}

#[test]
fn members_rename_themselves_only() {
    let mut home = staffed();
    let to = |to: &str| RenameBody {
        from: String::new(),
        to: to.into(),
    };
    let g = group(1);
    assert_eq!(
        home.act(g, Kind::Rename, user(1), user(4), &to("x")),
        Got::No(Code::Forbidden)
    );
    assert_eq!(
        home.act(g, Kind::Rename, user(4), user(4), &to("")),
        Got::No(Code::Invalid)
    );
    let long = to(&"x".repeat(65));
    assert_eq!(
        home.act(g, Kind::Rename, user(4), user(4), &long),
        Got::No(Code::Invalid)
    );
    assert_eq!(
        home.act(g, Kind::Rename, user(9), user(9), &to("x")),
        Got::No(Code::NotFound)
    );
    let renamed = Append {
        body: to("dee").encode_to_vec().into(),
        ..home.fresh(user(4), Kind::Rename)
    };
    assert!(matches!(home.one(g, renamed), Got::Seq(_)));
    let own = home.member(g, user(4)).self_.expect("self");
    assert_eq!(own.nick, "dee");
    assert!(Hlc::from_u64(own.hlc) > Hlc::ZERO);
}
