//! The index against a plain reading of all rows, whatever is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_wire::proto::{
    CursorValue, ListedValue, MemberAuthority, MemberSelf, MemberStatus, MemberValue, Row, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{GroupId, RegionId, Slot, UserId};
use proptest::prelude::*;

use super::{Entry, Indexed, ROLES, Sorted, check_index, gone, member_counts, members, readers};
use crate::{Batch, Direction, MemStore, Place, Read, Seat, Store, Table, keys, value};

fn user(n: u8) -> UserId {
    UserId::new(RegionId(1), Slot(u16::from(n)), [n; 11])
}

/// Two groups of one shard, one of its neighbour, and one that was born in
/// another region.
fn places() -> [Place; 4] {
    let group = |slot, n| GroupId::new(RegionId(1), Slot(slot), [n; 11]);
    let far = GroupId::new(RegionId(2), Slot(3), [9; 11]);
    [
        Place::of_birth(group(3, 1)),
        Place::of_birth(group(3, 2)),
        Place::of_birth(group(4, 1)),
        Place {
            region: RegionId(1),
            group: far,
        },
    ]
}

fn member(n: u8, status: MemberStatus, role: u8, nick: &str) -> Row {
    came(n, status, role, nick, 0)
}

/// One whose cursor was put somewhere at the join.
fn came(n: u8, status: MemberStatus, role: u8, nick: &str, cursor_base: u64) -> Row {
    Row {
        key: RowKey::Member(user(n)).to_bytes(),
        value: Some(row::Value::Member(MemberValue {
            authority: Some(MemberAuthority {
                seq: 1,
                status: status as i32,
                role: role.into(),
                cursor_base,
                ..MemberAuthority::default()
            }),
            self_: Some(MemberSelf {
                nick: nick.into(),
                ..MemberSelf::default()
            }),
        })),
    }
}

fn put(batch: &mut Batch, place: &Place, row: &Row) {
    let mut one = Batch::new();
    let key = RowKey::from_slice(&row.key).unwrap();
    one.put(
        Table::Rows,
        keys::rows::key(&place.group, &key),
        value::encode_value(row),
    );
    batch.extend(seat(place).batch(one));
}

fn seat(place: &Place) -> Seat {
    Seat::new(Arc::new(MemStore::new()), place.region)
}

/// Groups of more members than this are large here.
const SMALL: u64 = 2;

fn indexed() -> Arc<dyn Store> {
    Indexed::with_small(Arc::new(MemStore::new()), SMALL).unwrap()
}

fn cursor(n: u8, seq: u64) -> Row {
    Row {
        key: RowKey::Cursor(user(n)).to_bytes(),
        value: Some(row::Value::Cursor(CursorValue {
            seq,
            ..CursorValue::default()
        })),
    }
}

/// A group that is on a list, or was.
fn listed(n: u8, listed: bool) -> Row {
    Row {
        key: RowKey::Listed(places()[usize::from(n) % 4].group).to_bytes(),
        value: Some(row::Value::Listed(ListedValue {
            listed,
            ..ListedValue::default()
        })),
    }
}

/// How many have read, by reading all rows.
fn expected_readers(store: &dyn Read, place: &Place, seq: u64) -> u64 {
    let (from, to) = keys::rows::group_range(&place.group);
    let rows = place
        .seat(store)
        .scan(Table::Rows, &from, &to, usize::MAX, Direction::Forward)
        .unwrap();
    let mut readers = 0;
    for (_, stored) in rows {
        let row: Row = value::decode_value(stored).unwrap();
        match row.value {
            Some(row::Value::Cursor(cursor)) => readers += i64::from(cursor.seq >= seq),
            Some(row::Value::Member(member)) => {
                readers -= i64::from(member.authority.unwrap().cursor_base >= seq);
            }
            _ => {}
        }
    }
    readers.try_into().unwrap_or(0)
}

/// All pages, each of two.
fn all(store: &dyn Read, place: &Place, sorted: &Sorted) -> Vec<(String, u8)> {
    let (mut found, mut after) = (Vec::new(), Bytes::new());
    loop {
        let (rows, next) = members(store, place, sorted, &after, 2).unwrap();
        let entries = rows.iter().map(|row| Entry::of(row).unwrap());
        found.extend(entries.map(|entry| (entry.nick, entry.role)));
        if next.is_empty() {
            return found;
        }
        after = next;
    }
}

/// What the index has to say of a place, by reading all its rows.
fn expected(store: &dyn Read, place: &Place) -> BTreeMap<UserId, Entry> {
    let (from, to) = keys::rows::group_range(&place.group);
    let rows = place
        .seat(store)
        .scan(Table::Rows, &from, &to, usize::MAX, Direction::Forward)
        .unwrap();
    let entry = |(key, stored): &(Bytes, Bytes)| match keys::rows::parse(key).unwrap().1 {
        RowKey::Member(user) => Some((user, Entry::stored(stored)?)),
        _ => None,
    };
    rows.iter().filter_map(entry).collect()
}

/// Rows of who left, by reading all.
fn departed(store: &dyn Read) -> Vec<Bytes> {
    let rows = store.scan(
        Table::Rows,
        &[],
        keys::TABLE_END,
        usize::MAX,
        Direction::Forward,
    );
    let is_left = |(_, stored): &(Bytes, Bytes)| {
        let row: Row = value::decode_value(stored.clone()).unwrap();
        match row.value {
            Some(row::Value::Member(member)) => {
                member.authority.unwrap().status() == MemberStatus::Left
            }
            Some(row::Value::Listed(listed)) => !listed.listed,
            _ => false,
        }
    };
    let rows = rows.unwrap().into_iter();
    rows.filter(is_left).map(|(key, _)| key).collect()
}

/// Seqs of one span, of the next, and of one far away.
const SEQS: [u64; 6] = [1, 2, 1_023, 1_024, 5_000, u64::MAX / 2];

fn check(store: &dyn Read) {
    for place in places() {
        let read = SEQS.map(|seq| expected_readers(store, &place, seq));
        assert_eq!(readers(store, &place, &SEQS).unwrap(), read, "{place:?}");
        let wanted = expected(store, &place);
        let mut counts = [0; ROLES];
        for entry in wanted.values() {
            counts[usize::from(entry.role)] += 1;
        }
        assert_eq!(member_counts(store, &place).unwrap(), counts, "{place:?}");
        for role in 0..ROLES as u8 {
            let of_role = wanted.values().filter(|entry| entry.role == role);
            let of_role: Vec<_> = of_role.map(|e| (e.nick.clone(), e.role)).collect();
            assert_eq!(all(store, &place, &Sorted::Role(role)), of_role);
        }
        for prefix in ["", "a", "An", "zoë"] {
            let folded = keys::index::fold(prefix);
            let mut named: Vec<_> = wanted
                .iter()
                .filter(|(_, entry)| entry.nick.starts_with(&folded))
                .map(|(user, entry)| (entry.nick.clone(), *user, entry.role))
                .collect();
            named.sort();
            let named: Vec<_> = named
                .into_iter()
                .map(|(nick, _, role)| (nick, role))
                .collect();
            let found = all(store, &place, &Sorted::Nick(prefix.into()));
            assert_eq!(found, named, "{prefix:?}");
        }
    }
    let kept: usize = places()
        .map(|place| expected(store, &place).len())
        .iter()
        .sum();
    assert_eq!(
        gone(store, &[], keys::TABLE_END, usize::MAX).unwrap(),
        departed(store)
    );
    // Nothing is left of what is gone, either.
    assert_eq!(check_index(store).unwrap(), Ok(kept as u64));
}

/// One change of a batch.
#[derive(Debug, Clone)]
enum Change {
    Put(usize, u8, MemberStatus, u8, &'static str, u64),
    Cursor(usize, u8, u64),
    Listed(usize, u8, bool),
    Delete(usize, u8),
    /// From and to a row or the beginning of a group.
    Range((usize, Option<u8>), (usize, Option<u8>)),
    Slots(u16, u16),
    All,
}

fn seq() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), prop::sample::select(SEQS.to_vec())]
}

fn change() -> impl Strategy<Value = Change> {
    let status = prop_oneof![
        4 => Just(MemberStatus::Member),
        1 => Just(MemberStatus::Left),
        1 => Just(MemberStatus::Banned)
    ];
    let nick = prop::sample::select(vec!["ann", "Anna", "bob", "ZOË", "zoë", ""]);
    let bound = || (0..4usize, prop::option::of(0..6u8));
    prop_oneof![
        12 => (0..4usize, 0..6u8, status, 1..5u8, nick, seq())
            .prop_map(|(p, n, status, role, nick, base)| Change::Put(p, n, status, role, nick, base)),
        8 => (0..4usize, 0..6u8, seq()).prop_map(|(p, n, seq)| Change::Cursor(p, n, seq)),
        3 => (0..4usize, 0..6u8, any::<bool>()).prop_map(|(p, n, is)| Change::Listed(p, n, is)),
        3 => (0..4usize, 0..6u8).prop_map(|(p, n)| Change::Delete(p, n)),
        2 => (bound(), bound()).prop_map(|(a, b)| Change::Range(a, b)),
        1 => (2..5u16, 2..5u16).prop_map(|(a, b)| Change::Slots(a, b)),
        1 => Just(Change::All),
    ]
}

fn bound((place, row): (usize, Option<u8>)) -> Bytes {
    let place = &places()[place];
    match row {
        None => place.key(),
        Some(n) => {
            let row = RowKey::Member(user(n)).to_bytes();
            Bytes::from([&place.key()[..], &row[..]].concat())
        }
    }
}

fn add(batch: &mut Batch, change: &Change) {
    match change {
        Change::Put(place, n, status, role, nick, base) => {
            let row = came(*n, *status, *role, nick, *base);
            put(batch, &places()[*place], &row);
        }
        Change::Cursor(place, n, seq) => put(batch, &places()[*place], &cursor(*n, *seq)),
        Change::Listed(place, n, is) => put(batch, &places()[*place], &listed(*n, *is)),
        Change::Delete(place, n) => {
            let of_list = RowKey::Listed(places()[usize::from(*n) % 4].group).to_bytes();
            let of_list = [&places()[*place].key()[..], &of_list[..]].concat();
            batch.delete(Table::Rows, of_list);
            let of_cursor = RowKey::Cursor(user(*n)).to_bytes();
            let of_cursor = [&places()[*place].key()[..], &of_cursor[..]].concat();
            batch.delete(Table::Rows, of_cursor);
            batch.delete(Table::Rows, bound((*place, Some(*n))));
        }
        Change::Range(a, b) => {
            let (a, b) = (bound(*a), bound(*b));
            batch.delete_range(Table::Rows, a.clone().min(b.clone()), a.max(b));
        }
        Change::Slots(a, b) => {
            let slots = keys::slots::range(RegionId(1), Slot(*a.min(b)), Slot(*a.max(b)));
            batch.delete_range(Table::Rows, slots.0, slots.1);
        }
        Change::All => batch.delete_range(Table::Rows, Bytes::new(), keys::TABLE_END),
    }
}

proptest! {
    #[test]
    fn it_says_what_the_rows_say(
        batches in prop::collection::vec(prop::collection::vec(change(), 1..12), 1..12),
    ) {
        let store = indexed();
        for changes in &batches {
            let mut batch = Batch::new();
            for change in changes {
                add(&mut batch, change);
            }
            store.write(batch).unwrap();
            check(&*store);
        }
    }
}

#[test]
fn a_store_from_before_gets_one() {
    let below: Arc<dyn Store> = Arc::new(MemStore::new());
    let mut batch = Batch::new();
    for (n, place) in (0..).zip(places()) {
        put(
            &mut batch,
            &place,
            &member(n, MemberStatus::Member, 2, "ann"),
        );
        put(
            &mut batch,
            &place,
            &member(7, MemberStatus::Member, 4, "bob"),
        );
        put(&mut batch, &place, &member(8, MemberStatus::Left, 2, "cid"));
        put(&mut batch, &place, &cursor(7, 1_024));
    }
    // Left over from an attempt that was not finished.
    let stray = keys::index::by_nick(&places()[0].key(), "dot", &user(9));
    batch.put(Table::Index, stray, Bytes::new());
    below.write(batch).unwrap();
    let store = Indexed::with_small(Arc::clone(&below), 1).unwrap();
    check(&*store);
    // Whoever looks through it sees what is not as the rows are.
    let ann = keys::index::by_nick(&places()[1].key(), "ann", &user(1));
    let mut batch = Batch::new();
    batch.delete(Table::Index, ann);
    below.write(batch).unwrap();
    let told = check_index(&*below).unwrap().unwrap_err();
    assert!(told.contains("is not found as"), "{told}");
    let mut batch = Batch::new();
    batch.delete(Table::Index, keys::index::counts(&places()[0].key()));
    below.write(batch).unwrap();
    let told = check_index(&*below).unwrap().unwrap_err();
    assert!(told.contains("members by role"), "{told}");
    let mut batch = Batch::new();
    batch.delete(Table::Index, keys::index::tally(&places()[2].key(), 1, 1));
    below.write(batch).unwrap();
    let told = check_index(&*below).unwrap().unwrap_err();
    assert!(told.contains("members by role"), "one at a time: {told}");
    // It was made once.
    let store = Indexed::over(below).unwrap();
    assert_eq!(member_counts(&*store, &places()[0]).unwrap(), [0; ROLES]);
}

#[test]
fn a_page_goes_on_where_the_one_before_ended() {
    let store = indexed();
    let place = places()[3];
    let mut batch = Batch::new();
    for (n, nick) in ["bob", "Ann", "anna", "Änne", "ann"]
        .into_iter()
        .enumerate()
    {
        put(
            &mut batch,
            &place,
            &member(n as u8, MemberStatus::Member, 2, nick),
        );
    }
    store.write(batch).unwrap();
    let by_nick = all(&*store, &place, &Sorted::Nick(String::new()));
    let nicks: Vec<_> = by_nick.iter().map(|(nick, _)| nick.as_str()).collect();
    assert_eq!(nicks, ["ann", "ann", "anna", "bob", "änne"]);
    let some = all(&*store, &place, &Sorted::Nick("AN".into()));
    assert_eq!(some.len(), 3);
    // A token of another question finds nothing outside of this one.
    let bob = keys::index::by_nick(&[], "bob", &user(0));
    let (rows, next) = members(&*store, &place, &Sorted::Nick("an".into()), &bob, 5).unwrap();
    assert!(rows.is_empty() && next.is_empty());
}

#[test]
fn nicks_are_cut_between_characters() {
    let long = "ß".repeat(49);
    assert_eq!(keys::index::fold(&long), "ß".repeat(48));
    assert_eq!(keys::index::fold("A\0B"), "ab");
    // One that grows: two bytes become three.
    assert!(keys::index::fold(&"İ".repeat(64)).len() <= 96);
}
