use folkmoot_storage::{Batch, MemStore};
use folkmoot_wire::proto::{EntryHeader, Kind, MemberValue, SealedEntry};
use folkmoot_wire::{RegionId, Slot, entry};

use super::*;
use crate::cluster::start::digest_key;

const CLUSTER: [u8; 16] = *b"sixteen bytes ok";

fn user(n: u8) -> UserId {
    UserId::new(RegionId(0), Slot(1), [n; 11])
}

/// A copy of three entries. The first user may see all, the second what comes
/// from the third on, the third was banned.
fn copy() -> (GroupId, LocalReads) {
    let group = GroupId::new(RegionId(0), Slot(1), [9; 11]);
    let mut batch = Batch::new();
    let mut chain = entry::genesis(&CLUSTER, &group);
    for seq in 1..=3 {
        let header = EntryHeader {
            seq,
            kind: Kind::Message as i32,
            sender: user(1).to_bytes(),
            ..EntryHeader::default()
        };
        let sealed = entry::seal(
            &chain,
            &header,
            vec![0; entry::SALT_LEN].into(),
            Bytes::new(),
        );
        chain = entry::chain_from(&sealed.chain).unwrap();
        batch.put(
            Table::Log,
            keys::log::key(&group, seq),
            value::encode_value(&sealed),
        );
    }
    let head = Head {
        seq: 3,
        chain: Bytes::copy_from_slice(&chain),
        ..Head::default()
    };
    batch.put(
        Table::Heads,
        keys::heads::key(&group),
        value::encode_value(&head),
    );
    let members = [
        (1, MemberStatus::Member, 1),
        (2, MemberStatus::Member, 3),
        (3, MemberStatus::Banned, 1),
    ];
    for (n, status, visible_from) in members {
        let key = RowKey::Member(user(n));
        let authority = MemberAuthority {
            status: status as i32,
            visible_from,
            ..MemberAuthority::default()
        };
        let row = Row {
            key: key.to_bytes(),
            value: Some(row::Value::Member(MemberValue {
                authority: Some(authority),
                self_: None,
            })),
        };
        batch.put(
            Table::Rows,
            keys::rows::key(&group, &key),
            value::encode_value(&row),
        );
    }
    let (store, sums) = RowSums::over(Arc::new(MemStore::new()), digest_key(&CLUSTER));
    store.write(batch).unwrap();
    (group, LocalReads::new(store, sums, CLUSTER))
}

/// The simulator found it: an edge whose own copy still had somebody as a
/// member, and who read the log at the home, showed what came after a ban.
#[test]
fn whoever_answers_a_fetch_judges_the_reader() {
    let (group, reads) = copy();
    let fetch = |reader: Option<u8>| {
        let fetch = FetchLog {
            group: group.to_bytes(),
            limit: 10,
            max_bytes: 1_000_000,
            reader: reader.map_or_else(Bytes::new, |n| user(n).to_bytes()),
            ..FetchLog::default()
        };
        let slice = reads.fetch_log(&Place::of_birth(group), &fetch);
        slice
            .map(|slice| slice.covers.unwrap_or_default())
            .map(|covers| (covers.from, covers.to))
            .map_err(|fault| fault.code)
    };
    assert_eq!(fetch(None), Ok((1, 3)));
    assert_eq!(fetch(Some(1)), Ok((1, 3)));
    assert_eq!(fetch(Some(2)), Ok((3, 3)));
    assert_eq!(fetch(Some(3)), Err(Code::Banned));
    assert_eq!(fetch(Some(4)), Err(Code::NotFound));
}

/// A disk that gives other bytes than it took: what it gives reaches nobody.
#[test]
fn an_entry_that_does_not_follow_is_not_given_away() {
    type Change = fn(&mut SealedEntry);
    let changes: [(&str, Change); 3] = [
        ("body", |entry| entry.body = "other words".into()),
        ("header", |entry| {
            entry.header = Bytes::from_static(&[0xff; 9])
        }),
        ("chain", |entry| entry.chain = Bytes::from_static(&[7; 32])),
    ];
    for (what, change) in changes {
        let (group, reads) = copy();
        let key = keys::log::key(&group, 2);
        let stored = reads.store.get(Table::Log, &key).unwrap().unwrap();
        let mut sealed: SealedEntry = value::decode_value(stored).unwrap();
        change(&mut sealed);
        let mut batch = Batch::new();
        batch.put(Table::Log, key, value::encode_value(&sealed));
        reads.store.write(batch).unwrap();
        let fetch = |after, limit| {
            let fetch = FetchLog {
                group: group.to_bytes(),
                after,
                limit,
                max_bytes: 1_000_000,
                ..FetchLog::default()
            };
            let slice = reads.fetch_log(&Place::of_birth(group), &fetch);
            slice
                .map(|slice| slice.entries.len())
                .map_err(|fault| fault.code)
        };
        assert_eq!(fetch(0, 1), Ok(1), "{what}");
        assert_eq!(reads.suspects.counts().0, 0, "{what}");
        assert_eq!(fetch(0, 3), Err(Code::NotHere), "{what}");
        assert_eq!(fetch(1, 1), Err(Code::NotHere), "{what}");
        assert_eq!(reads.suspects.counts().0, 1, "{what}");
    }
}

/// A client may know more of a log than this copy of it has.
#[test]
fn what_lies_behind_the_end_of_a_copy_is_not_damage() {
    let (group, reads) = copy();
    let place = Place::of_birth(group);
    let end = reads.head(&place).unwrap().unwrap().seq;
    for after in [end + 1, end + 5] {
        let fetch = FetchLog {
            group: group.to_bytes(),
            after,
            limit: 10,
            max_bytes: 1_000_000,
            ..FetchLog::default()
        };
        let fault = reads.fetch_log(&place, &fetch).unwrap_err();
        assert_eq!(fault.code, Code::NotHere);
        assert!(fault.detail.contains("ends at"), "{fault}");
    }
    assert_eq!(reads.suspects.counts().0, 0);
}

/// The web client asks for what comes before the oldest it has. A page that did
/// not end there, since its bytes were too many, brought it nowhere.
#[test]
fn a_backward_page_ends_where_it_was_asked_to_however_large_its_entries() {
    let (group, reads) = copy();
    let range = LogRange {
        after: 0,
        before: 3,
        limit: 10,
        max_bytes: 1,
        backward: true,
        reader: None,
    };
    let place = Place::of_birth(group);
    let back = reads.log(&place, range).unwrap().slice;
    assert_eq!(back.covers, Some(Covers { from: 2, to: 2 }));
    let forward = LogRange {
        backward: false,
        ..range
    };
    let first = reads.log(&place, forward).unwrap();
    assert_eq!(first.slice.covers, Some(Covers { from: 1, to: 1 }));
    assert_eq!(back.chain_before, first.entries().next().unwrap().chain);
}
