use bytes::Bytes;
use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_crdt::profile::Profile;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use proptest::strategy::{Just, Strategy};
use prost::Message;

use super::{RowError, RowKey, fingerprint, fingerprint_input, merge};
use crate::proto::row::Value;
use crate::proto::{
    CursorValue, GroupValue, Head, ListedValue, MemberAuthority, MemberSelf, MemberValue, Row,
};
use crate::{GroupId, RegionId, Slot, UserId};

fn user(unique: u8) -> UserId {
    UserId::new(RegionId(1), Slot(2), [unique; 11])
}

fn keys() -> Vec<RowKey> {
    vec![
        RowKey::Group,
        RowKey::Profile,
        RowKey::Member(user(1)),
        RowKey::Cursor(user(1)),
        RowKey::Listed(user(1).self_group()),
    ]
}

/// A profile with some of a few changes; the same ones whenever asked.
fn profile(mask: u8) -> Bytes {
    let mut all = Profile::new();
    for bit in 0..3u8 {
        if mask & (1 << bit) != 0 {
            let mut one = Profile::new();
            let changes = one
                .edit(&[bit], |e| {
                    e.pin(u64::from(bit))?;
                    e.set_name(&format!("name {bit}"))
                })
                .unwrap();
            all.apply(&changes, 10_000).unwrap();
        }
    }
    Bytes::from(all.save())
}

/// Values of the kind that `key` has; small domains make equal seqs with
/// different content common.
fn value(key: RowKey) -> impl Strategy<Value = Value> {
    (
        0u64..3,
        0u64..3,
        0i32..4,
        "[ab]{0,2}",
        any::<[bool; 4]>(),
        0u8..8,
        0u64..2,
    )
        .prop_map(
            move |(seq, other, number, name, flags, mask, quiet)| match key {
                RowKey::Group => Value::Group(GroupValue {
                    seq,
                    kind: number,
                    dissolved: flags[0],
                    name,
                    member_count: other as u32,
                    quiet,
                    ..Default::default()
                }),
                RowKey::Profile => Value::Profile(profile(mask)),
                RowKey::Member(_) => Value::Member(MemberValue {
                    authority: flags[3].then_some(MemberAuthority {
                        seq,
                        status: number,
                        role: number,
                        muted_until_ms: other,
                        visible_from: 0,
                        quiet,
                        cursor_base: other,
                    }),
                    self_: flags[2].then_some(MemberSelf {
                        hlc: other,
                        node: mask.into(),
                        nick: name,
                        muted: flags[0],
                        pinned: flags[1],
                        hidden: false,
                    }),
                }),
                RowKey::Cursor(_) => Value::Cursor(CursorValue {
                    seq,
                    count: other,
                    at_all: mask.into(),
                }),
                RowKey::Listed(_) => Value::Listed(ListedValue {
                    source_seq: seq,
                    listed: flags[0],
                    name,
                    source_quiet: quiet,
                }),
            },
        )
}

fn rows<const N: usize>() -> impl Strategy<Value = [Row; N]> {
    select(keys()).prop_flat_map(|key| {
        (Just(key), proptest::collection::vec(value(key), N)).prop_map(|(key, values)| {
            let rows: Vec<Row> = values
                .into_iter()
                .map(|value| Row {
                    key: key.to_bytes(),
                    value: Some(value),
                })
                .collect();
            rows.try_into().unwrap_or_else(|_| unreachable!())
        })
    })
}

proptest! {
    #[test]
    fn merge_is_commutative_associative_idempotent([a, b, c] in rows::<3>()) {
        let join = |a: &Row, b: &Row| merge(a, b).unwrap();
        let print = |row: &Row| fingerprint_input(row).unwrap();
        prop_assert_eq!(print(&join(&a, &b)), print(&join(&b, &a)));
        prop_assert_eq!(
            print(&join(&join(&a, &b), &c)),
            print(&join(&a, &join(&b, &c)))
        );
        prop_assert_eq!(print(&join(&a, &a)), print(&a));
        prop_assert_eq!(print(&join(&join(&a, &b), &b)), print(&join(&a, &b)));
        if !matches!(a.value, Some(Value::Profile(_))) {
            prop_assert_eq!(join(&a, &b), join(&b, &a));
        }
    }

    #[test]
    fn replicas_that_merge_the_same_rows_have_one_digest(
        (rows, order) in rows::<4>().prop_flat_map(|rows| (Just(rows), Just([0, 1, 2, 3]).prop_shuffle())),
    ) {
        let key = [7; 32];
        // Each keeps its digest up to date with every merge it makes.
        let replica = |order: [usize; 4]| {
            let mut row: Option<Row> = None;
            let mut digest = RowSetDigest::default();
            for i in order {
                let next = row.as_ref().map_or_else(|| rows[i].clone(), |old| merge(old, &rows[i]).unwrap());
                let old = row.as_ref().map(|old| fingerprint(&key, old).unwrap());
                digest.replace(old.as_ref(), &fingerprint(&key, &next).unwrap());
                row = Some(next);
            }
            digest
        };
        prop_assert_eq!(replica(order), replica([0, 1, 2, 3]));
        prop_assert_eq!(replica(order).count, 1);
    }

    #[test]
    fn the_fingerprint_does_not_depend_on_who_encoded([row] in rows::<1>()) {
        let again = Row::decode(&row.encode_to_vec()[..]).unwrap();
        prop_assert_eq!(fingerprint_input(&again), fingerprint_input(&row));
        // Absent parts of a member are default ones.
        if let Some(Value::Member(member)) = &row.value {
            let full = MemberValue {
                authority: Some(member.authority.unwrap_or_default()),
                self_: Some(member.self_.clone().unwrap_or_default()),
            };
            let full = Row { value: Some(Value::Member(full)), ..row.clone() };
            prop_assert_eq!(fingerprint_input(&full), fingerprint_input(&row));
        }
    }

    #[test]
    fn different_values_have_different_fingerprints([a, b] in rows::<2>()) {
        let same = fingerprint_input(&a) == fingerprint_input(&b);
        if a == b {
            prop_assert!(same);
        } else if !matches!(a.value, Some(Value::Profile(_) | Value::Member(_))) {
            prop_assert!(!same);
        }
    }

    #[test]
    fn a_value_of_another_kind_is_refused([row] in rows::<1>(), key in select(keys())) {
        let key_fits = row.key == key.to_bytes();
        let row = Row { key: key.to_bytes(), ..row };
        prop_assert_eq!(fingerprint_input(&row).is_ok(), key_fits);
        prop_assert_eq!(merge(&row, &row).is_ok(), key_fits);
        if !key_fits {
            prop_assert_eq!(merge(&row, &row), Err(RowError::Kind(key.kind())));
        }
    }

    #[test]
    fn row_keys_round_trip_and_sort_by_kind(unique in any::<[u8; 2]>()) {
        let mut keys: Vec<RowKey> = keys();
        keys.extend(unique.map(|u| RowKey::Member(user(u))));
        keys.extend(unique.map(|u| RowKey::Listed(GroupId::new(RegionId(9), Slot(9), [u; 11]))));
        for a in &keys {
            let bytes = a.to_bytes();
            prop_assert_eq!(RowKey::from_slice(&bytes), Ok(*a));
            prop_assert_eq!(bytes[0], a.kind() as u8);
            prop_assert!(RowKey::from_slice(&[&bytes[..], &[0]].concat()).is_err());
            for b in &keys {
                prop_assert_eq!(a.cmp(b), a.to_bytes().cmp(&b.to_bytes()));
            }
        }
    }
}

#[test]
fn a_member_keeps_authority_and_own_part_from_different_rows() {
    let row = |seq, hlc, nick: &str| Row {
        key: RowKey::Member(user(1)).to_bytes(),
        value: Some(Value::Member(MemberValue {
            authority: Some(MemberAuthority {
                seq,
                status: 1,
                role: 2,
                ..Default::default()
            }),
            self_: Some(MemberSelf {
                hlc,
                nick: nick.into(),
                ..Default::default()
            }),
        })),
    };
    assert_eq!(
        merge(&row(5, 1, "old"), &row(3, 2, "new")),
        Ok(row(5, 2, "new"))
    );
}

#[test]
fn errors_tell_what_is_wrong() {
    let cursor = Row {
        key: RowKey::Cursor(user(1)).to_bytes(),
        value: Some(Value::Cursor(CursorValue::default())),
    };
    let other = Row {
        key: RowKey::Cursor(user(2)).to_bytes(),
        ..cursor.clone()
    };
    assert_eq!(merge(&cursor, &other), Err(RowError::Keys));
    let empty = Row {
        value: None,
        ..cursor.clone()
    };
    assert!(matches!(merge(&cursor, &empty), Err(RowError::NoValue(_))));
    let unkeyed = Row {
        key: Bytes::new(),
        ..cursor
    };
    assert!(matches!(fingerprint_input(&unkeyed), Err(RowError::Key(_))));
    let member = Row {
        key: RowKey::Member(user(1)).to_bytes(),
        value: Some(Value::Member(MemberValue {
            authority: Some(MemberAuthority {
                role: 99,
                ..Default::default()
            }),
            self_: None,
        })),
    };
    assert_eq!(
        fingerprint_input(&member),
        Err(RowError::Number {
            field: "role",
            number: 99
        })
    );
    let broken = Row {
        key: RowKey::Profile.to_bytes(),
        value: Some(Value::Profile("not a document".into())),
    };
    assert!(matches!(merge(&broken, &broken), Err(RowError::Profile(_))));
}

#[test]
fn a_head_tells_the_digest_of_its_rows() {
    let digest = RowSetDigest {
        sum: [3; 32],
        count: 4,
    };
    let head = Head {
        rows_digest: Bytes::copy_from_slice(&digest.sum),
        rows_count: 4,
        ..Default::default()
    };
    assert_eq!(RowSetDigest::try_from(&head), Ok(digest));
    assert_eq!(
        RowSetDigest::try_from(&Head::default()),
        Ok(RowSetDigest::default())
    );
    let short = Head {
        rows_digest: "short".into(),
        ..head
    };
    assert_eq!(
        RowSetDigest::try_from(&short),
        Err(RowError::DigestLength(5))
    );
}
