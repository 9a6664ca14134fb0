use bytes::Bytes;
use folkmoot_wire::proto::{Head, MemberValue, Row, SealedEntry, row};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{GroupId, RegionId, Slot, UserId};

use super::{
    heads_in, read_entries, read_entries_back, read_entry, read_head, read_heads, read_row,
    read_rows, read_rows_of,
};
use crate::value::encode_value;
use crate::{Batch, MemStore, Place, Store, StoreError, Table, keys};

const ALL: usize = usize::MAX;

fn group(n: u8) -> GroupId {
    GroupId::new(RegionId(1), Slot(n.into()), [n; 11])
}

fn user(region: u16, n: u8) -> UserId {
    UserId::new(RegionId(region), Slot(0), [n; 11])
}

/// Groups 1 to 3 with entries `from..=200`, 100 bytes of body each.
fn store(from: u64) -> MemStore {
    let store = MemStore::new();
    let mut batch = Batch::new();
    for n in 1..=3 {
        let group = group(n);
        for seq in from..=200 {
            let entry = SealedEntry {
                header: Bytes::copy_from_slice(&seq.to_be_bytes()),
                body: Bytes::from(vec![n; 100]),
                ..SealedEntry::default()
            };
            batch.put(
                Table::Log,
                keys::log::key(&group, seq),
                encode_value(&entry),
            );
        }
        let head = Head {
            seq: 200,
            ..Head::default()
        };
        batch.put(Table::Heads, keys::heads::key(&group), encode_value(&head));
    }
    store.write(batch).unwrap();
    store
}

fn seqs(entries: Result<Vec<(u64, SealedEntry)>, StoreError>) -> Vec<u64> {
    let check = |(seq, entry): (u64, SealedEntry)| {
        assert_eq!(entry.header, seq.to_be_bytes().as_slice());
        assert_eq!(entry.body[0], 2, "an entry of another group");
        seq
    };
    entries.unwrap().into_iter().map(check).collect()
}

fn range(numbers: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    numbers.collect()
}

#[test]
fn pages_forward() {
    let (store, g) = (store(1), group(2));
    let page = |after, before, limit| seqs(read_entries(&store, &g, after, before, limit, ALL));
    assert_eq!(page(0, 0, ALL), range(1..=200));
    assert_eq!(page(10, 15, ALL), range(11..=14));
    assert_eq!(page(10, 0, 3), range(11..=13));
    assert_eq!(page(0, 0, 64), range(1..=64));
    assert_eq!(page(0, 0, 130), range(1..=130));
    assert_eq!(page(199, u64::MAX, ALL), [200]);
    for (after, before) in [(200, 0), (u64::MAX, 0), (20, 10), (20, 21)] {
        assert!(page(after, before, ALL).is_empty());
    }
    assert!(page(0, 0, 0).is_empty());
}

#[test]
fn pages_backward_in_order_of_seq() {
    let (store, g) = (store(1), group(2));
    let page =
        |after, before, limit| seqs(read_entries_back(&store, &g, after, before, limit, ALL));
    assert_eq!(page(0, 0, 3), range(198..=200));
    assert_eq!(page(0, 100, 3), range(97..=99));
    assert_eq!(page(0, 0, ALL), range(1..=200));
    assert_eq!(page(0, 150, 130), range(20..=149));
    assert_eq!(page(97, 100, ALL), range(98..=99));
    assert!(page(200, 0, ALL).is_empty());
}

#[test]
fn pages_are_bounded_in_bytes_and_never_empty_for_it() {
    let (store, g) = (store(1), group(2));
    let page = |max| seqs(read_entries(&store, &g, 0, 0, ALL, max));
    assert_eq!(page(1), [1]);
    let one = store.get_len(&g, 1);
    assert_eq!(page(3 * one), range(1..=3));
    assert_eq!(page(4 * one - 1), range(1..=3));
    assert_eq!(page(100 * one).len(), 100);
    let back = seqs(read_entries_back(&store, &g, 0, 0, ALL, 2 * one));
    assert_eq!(back, range(199..=200));
}

impl MemStore {
    fn get_len(&self, group: &GroupId, seq: u64) -> usize {
        use crate::Read;
        let key = keys::log::key(group, seq);
        self.get(Table::Log, &key).unwrap().unwrap().len()
    }
}

#[test]
fn a_copy_that_begins_late_is_read_from_there() {
    let (store, g) = (store(50), group(2));
    assert_eq!(seqs(read_entries(&store, &g, 0, 0, 2, ALL)), [50, 51]);
    assert_eq!(read_entry(&store, &g, 49).unwrap(), None);
    assert!(read_entry(&store, &g, 50).unwrap().is_some());
}

#[test]
fn errors_name_group_and_seq() {
    let (store, g) = (store(1), group(2));
    let mut batch = Batch::new();
    batch.put(Table::Log, keys::log::key(&g, 7), &b"\x01\xff"[..]);
    batch.put(Table::Heads, keys::heads::key(&g), &b"\x02"[..]);
    batch.put(
        Table::Rows,
        keys::rows::key(&g, &RowKey::Group),
        Bytes::new(),
    );
    store.write(batch).unwrap();
    let error = read_entries(&store, &g, 0, 0, ALL, ALL).unwrap_err();
    assert!(matches!(error, StoreError::Entry { group, seq: 7, .. } if group == g));
    let text = error.to_string();
    let begin = format!("entry 7 of group {g}: a stored SealedEntry cannot be read: ");
    assert!(text.starts_with(&begin), "{text}");
    assert_eq!(read_entry(&store, &g, 7).unwrap_err(), error);
    let error = read_head(&store, &g).unwrap_err().to_string();
    let begin = format!("the head of group {g}: a stored Head has version 2");
    assert!(error.starts_with(&begin), "{error}");
    assert!(read_heads(&store, None, ALL).is_err());
    let error = read_row(&store, &g, &RowKey::Group).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("row Group of group {g}: a stored Row cannot be read: it is empty")
    );
    assert_eq!(read_rows(&store, &g, &[], &[], ALL).unwrap_err(), error);
}

#[test]
fn heads_and_lists_of_groups() {
    let store = store(1);
    assert_eq!(read_head(&store, &group(2)).unwrap().unwrap().seq, 200);
    assert_eq!(read_head(&store, &group(9)).unwrap(), None);
    let ids = |after: Option<u8>, limit| -> Vec<GroupId> {
        let after = after.map(|n| Place::of_birth(group(n)));
        let heads = read_heads(&store, after.as_ref(), limit).unwrap();
        heads.into_iter().map(|(place, _)| place.group).collect()
    };
    assert_eq!(ids(None, ALL), [group(1), group(2), group(3)]);
    assert_eq!(ids(None, 2), [group(1), group(2)]);
    assert_eq!(ids(Some(1), ALL), [group(2), group(3)]);
    assert!(ids(Some(3), ALL).is_empty());
    let (from, to) = keys::slots::range(RegionId(1), Slot(2), Slot(2));
    let heads = heads_in(&store, &from, &to, ALL).unwrap();
    assert_eq!(heads.len(), 1);
    assert_eq!(heads[0].0, group(2));
}

#[test]
fn rows_in_pages() {
    let (store, g) = (MemStore::new(), group(1));
    let mut batch = Batch::new();
    let member = Row {
        key: Bytes::new(),
        value: Some(row::Value::Member(MemberValue::default())),
    };
    let members: Vec<RowKey> = [(1, 1), (1, 2), (2, 1), (2, 2)]
        .map(|(region, n)| RowKey::Member(user(region, n)))
        .into();
    let cursor = RowKey::Cursor(user(1, 1));
    for key in members.iter().chain([&cursor, &RowKey::Group]) {
        batch.put(Table::Rows, keys::rows::key(&g, key), encode_value(&member));
    }
    batch.put(
        Table::Rows,
        keys::rows::key(&group(2), &members[0]),
        encode_value(&member),
    );
    store.write(batch).unwrap();
    let keys_of = |rows: Result<Vec<(RowKey, Row)>, StoreError>| -> Vec<RowKey> {
        let check = |(key, row): (RowKey, Row)| {
            assert_eq!(row.key, key.to_bytes(), "the key is that of its place");
            key
        };
        rows.unwrap().into_iter().map(check).collect()
    };
    assert_eq!(keys_of(read_rows(&store, &g, &[], &[], ALL)).len(), 6);
    let of_kind =
        |after: &[u8], limit| keys_of(read_rows_of(&store, &g, RowKind::Member, after, limit));
    assert_eq!(of_kind(&[], ALL), members);
    let first = of_kind(&[], 3);
    assert_eq!(first, members[..3]);
    assert_eq!(of_kind(&first[2].to_bytes(), 3), members[3..]);
    assert!(of_kind(&members[3].to_bytes(), 3).is_empty());
    // An "after" in front of the kind begins at the kind.
    assert_eq!(of_kind(&RowKey::Group.to_bytes(), ALL), members);
    // Members whose home is region 2.
    let prefix = [RowKind::Member as u8, 0, 2];
    let rows = keys_of(read_rows(&store, &g, &prefix, &[], ALL));
    assert_eq!(rows, members[2..]);
    assert!(read_row(&store, &g, &members[0]).unwrap().is_some());
    assert_eq!(read_row(&store, &g, &RowKey::Profile).unwrap(), None);
}
