//! The merge laws of cursors, counts, members and registers, as properties.
//! Small domains make equal keys with different content common.

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::strategy::Strategy;

use crate::counts::Running;
use crate::cursor::Cursor;
use crate::group::{GroupRegister, later_by_seq};
use crate::hlc::Hlc;
use crate::member::{Authority, Member, Role, SelfPart, Status};

fn cursor() -> impl Strategy<Value = Cursor> {
    (0u64..4, 0u64..4, 0u64..3).prop_map(|(seq, count, at_all)| Cursor { seq, count, at_all })
}

fn member() -> impl Strategy<Value = Member> {
    let authority = (
        0u64..3,
        0u64..3,
        0i32..4,
        0i32..5,
        [0u64..3, 0u64..3, 0u64..3],
    )
        .prop_map(
            |(seq, quiet, status, role, [muted_until_ms, visible_from, cursor_base])| Authority {
                seq,
                quiet,
                status: Status::from_number(status).unwrap_or_default(),
                role: Role::from_number(role).unwrap_or_default(),
                muted_until_ms,
                visible_from,
                cursor_base,
            },
        );
    let own = (0u64..3, 0u32..3, "[ab]{0,2}", any::<[bool; 3]>()).prop_map(
        |(hlc, node, nick, [muted, pinned, hidden])| SelfPart {
            hlc: Hlc::from_u64(hlc),
            node,
            nick,
            muted,
            pinned,
            hidden,
        },
    );
    (authority, own).prop_map(|(authority, own)| Member { authority, own })
}

fn register() -> impl Strategy<Value = GroupRegister<String>> {
    (0u64..3, "[ab]{0,2}").prop_map(|(seq, value)| GroupRegister { seq, value })
}

macro_rules! merge_laws {
    ($name:ident, $strategy:expr, $merge:expr) => {
        proptest! {
            #[test]
            fn $name(a in $strategy, b in $strategy, c in $strategy) {
                let merge = $merge;
                prop_assert_eq!(merge(&a, &b), merge(&b, &a), "commutative");
                prop_assert_eq!(
                    merge(&merge(&a, &b), &c),
                    merge(&a, &merge(&b, &c)),
                    "associative"
                );
                prop_assert_eq!(merge(&a, &a), a.clone(), "idempotent");
                prop_assert_eq!(merge(&merge(&a, &b), &b), merge(&a, &b), "absorbs");
            }
        }
    };
}

merge_laws!(cursors_merge, cursor(), Cursor::merge);
merge_laws!(members_merge, member(), Member::merge);
merge_laws!(
    registers_merge,
    register(),
    GroupRegister::<String>::merge_by_seq
);
merge_laws!(later_by_seq_merges, (0u64..3, "[ab]{0,2}"), |a: &(
    u64,
    String
),
                                                          b: &(
    u64,
    String
)| later_by_seq(
    a.clone(),
    b.clone()
));

proptest! {
    #[test]
    fn a_cursor_never_goes_back(a in cursor(), b in cursor()) {
        let merged = a.merge(&b);
        prop_assert_eq!(merged.seq, a.seq.max(b.seq));
        prop_assert!(merged == a || merged == b);
    }

    #[test]
    fn neither_part_of_a_member_overrules_the_other(a in member(), b in member()) {
        let merged = a.merge(&b);
        prop_assert_eq!(merged.authority.seq, a.authority.seq.max(b.authority.seq));
        prop_assert_eq!(
            (merged.own.hlc, merged.own.node),
            (a.own.hlc, a.own.node).max((b.own.hlc, b.own.node))
        );
        if a.authority.seq > b.authority.seq {
            prop_assert_eq!(merged.authority, a.authority);
        }
        if (a.own.hlc, a.own.node) > (b.own.hlc, b.own.node) {
            prop_assert_eq!(merged.own, a.own);
        }
    }

    #[test]
    fn unread_is_the_countable_entries_after_the_cursor(
        log in proptest::collection::vec(any::<(bool, bool)>(), 1..50),
        at in any::<proptest::sample::Index>(),
    ) {
        let mut counts = vec![Running::default()];
        for (countable, all) in &log {
            counts.push(counts[counts.len() - 1].advance(*countable, *all));
        }
        let read = at.index(log.len() + 1);
        let cursor = counts[read].cursor(read as u64);
        let head = counts[log.len()];
        let after = &log[read..];
        prop_assert_eq!(cursor.unread(head.count), after.iter().filter(|e| e.0).count() as u64);
        prop_assert_eq!(
            cursor.unread_at_all(head.at_all),
            after.iter().filter(|e| e.1).count() as u64
        );
        prop_assert_eq!(cursor.unread(0), 0);
    }
}

#[test]
fn numbers_of_statuses_and_roles_round_trip() {
    for number in -2..8 {
        if let Some(status) = Status::from_number(number) {
            assert_eq!(status as i32, number);
        }
        if let Some(role) = Role::from_number(number) {
            assert_eq!(role as i32, number);
        }
    }
    assert_eq!(Status::from_number(4), None);
    assert_eq!(Role::from_number(5), None);
    assert!(Role::Owner > Role::Admin && Role::Admin > Role::Member);
}
