//! Logs that hold, and each way in which they do not.

use folkmoot_storage::keys::guests;
use folkmoot_storage::{Batch, MemStore, Store, value};
use folkmoot_wire::entry;
use folkmoot_wire::proto::{EntryHeader, Floor, MetaState, SealedEntry, SlotRange, StoredApplied};
use folkmoot_wire::{RegionId, Slot};

use super::*;
use crate::cluster::view::ClusterView;

const CLUSTER: [u8; 16] = *b"sixteen bytes ok";
const HERE: RegionId = RegionId(2);

/// A group born here, one from elsewhere, and one that begins at a floor.
fn groups() -> [GroupId; 3] {
    [(HERE, 1), (RegionId(1), 2), (HERE, 3)]
        .map(|(region, slot)| GroupId::new(region, Slot(slot), [9; 11]))
}

fn at(key: &[u8]) -> Bytes {
    Bytes::from(guests::seated(HERE, key).into_owned())
}

fn log_key(group: &GroupId, seq: u64) -> Bytes {
    at(&keys::log::key(group, seq))
}

fn state() -> MemStore {
    let (store, mut batch) = (MemStore::new(), Batch::new());
    for (group, floor) in groups().into_iter().zip([0, 0, 4]) {
        let mut chain = entry::genesis(&CLUSTER, &group);
        let begin = chain;
        for seq in floor + 1..=10 {
            let header = EntryHeader {
                seq,
                ..EntryHeader::default()
            };
            let salt = vec![seq as u8; entry::SALT_LEN].into();
            let sealed = entry::seal(&chain, &header, salt, Bytes::from_static(b"body"));
            chain = entry::chain_from(&sealed.chain).unwrap();
            batch.put(
                Table::Log,
                log_key(&group, seq),
                value::encode_value(&sealed),
            );
        }
        let floor = (floor > 0).then(|| Floor {
            seq: floor,
            chain: Bytes::copy_from_slice(&begin),
            ..Floor::default()
        });
        let head = Head {
            seq: 10,
            chain: Bytes::copy_from_slice(&chain),
            floor,
            ..Head::default()
        };
        let key = at(&keys::heads::key(&group));
        batch.put(Table::Heads, key, value::encode_value(&head));
    }
    store.write(batch).unwrap();
    store
}

fn chains() -> Chains {
    Chains {
        cluster: CLUSTER,
        suspects: Arc::default(),
        keeps: keeps(u16::MAX),
    }
}

/// A replica of a shard of all slots that has those up to this one.
fn keeps(last: u16) -> Keeps {
    let view = Arc::new(ClusterView::new(MetaState::default()));
    Keeps {
        shard: ShardId(3),
        made: (Slot(0), Slot(u16::MAX)),
        extent: Arc::new(Extent::new((Slot(0), Slot(last)), true, view)),
    }
}

/// All ranges between two of these keys.
fn parts(table: Table) -> Vec<Range> {
    let (from, to) = keys::slots::range(HERE, Slot(0), Slot(9));
    let mut keys = vec![from, to];
    for group in groups() {
        match table {
            Table::Log => keys.extend([1, 5, 6, 10].map(|seq| log_key(&group, seq))),
            _ => keys.push(at(&keys::heads::key(&group))),
        }
    }
    keys.sort();
    let mut parts = Vec::new();
    for (n, from) in keys.iter().enumerate() {
        let behind = keys.iter().skip(n + 1);
        parts.extend(behind.map(|to| (table, from.clone(), to.clone())));
    }
    parts
}

fn whole(table: Table) -> Range {
    let (from, to) = keys::slots::range(HERE, Slot(0), Slot(9));
    (table, from, to)
}

#[test]
fn what_holds_holds_in_every_part() {
    let (state, chains) = (state(), chains());
    for part in parts(Table::Log).into_iter().chain(parts(Table::Heads)) {
        for whose in [Whose::Own, Whose::Sent] {
            chains.inspect(&state, &part, whose).unwrap();
        }
    }
    assert_eq!(chains.suspects.counts(), (0, 0));
}

#[test]
fn an_entry_that_was_changed_is_found_by_the_parts_beside_it_too() {
    for group in groups() {
        for seq in 5..=10 {
            let (state, key) = (state(), log_key(&group, seq));
            let stored = state.get(Table::Log, &key).unwrap().unwrap();
            let sealed: SealedEntry = value::decode_value(stored).unwrap();
            let changed = SealedEntry {
                body: Bytes::from_static(b"bodz"),
                ..sealed
            };
            let mut batch = Batch::new();
            batch.put(Table::Log, key.clone(), value::encode_value(&changed));
            state.write(batch).unwrap();

            let chains = chains();
            for part in parts(Table::Log) {
                let lies_in = part.1 <= key && key < part.2;
                // The part before ends where this entry should follow.
                let of_group = part.1.starts_with(&key[..20]);
                let follows = seq > 5 && part.2 == key && part.1 < key && of_group;
                let found = chains.inspect(&state, &part, Whose::Sent);
                assert!(
                    found.is_err() || !(lies_in || follows),
                    "{seq} of {group} in {part:?}"
                );
            }
            let why = chains.inspect(&state, &whole(Table::Log), Whose::Sent);
            let due =
                format!("entry {seq} of group {group} does not follow from the one before it");
            assert_eq!(why.unwrap_err().to_string(), due);
            assert_eq!(chains.suspects.counts().0, 0, "it is not this node's");
            let _ = chains.inspect(&state, &whole(Table::Log), Whose::Own);
            assert_eq!(chains.suspects.counts().0, 1);
        }
    }
}

#[test]
fn entries_that_are_not_there_are_found() {
    for group in groups() {
        for (from, to) in [(5, 6), (7, 9), (10, 11), (5, 11)] {
            let (state, mut batch) = (state(), Batch::new());
            batch.delete_range(Table::Log, log_key(&group, from), log_key(&group, to));
            state.write(batch).unwrap();
            let why = chains().inspect(&state, &whole(Table::Log), Whose::Sent);
            let due = format!("entry {from} of group {group} does not follow");
            assert!(why.unwrap_err().to_string().starts_with(&due));
            // A part that would have to have them and has nothing.
            let part = (Table::Log, log_key(&group, from), log_key(&group, to));
            assert!(chains().inspect(&state, &part, Whose::Sent).is_err());
        }
    }
}

#[test]
fn a_head_that_is_not_that_of_its_log_is_found() {
    for group in groups() {
        let key = at(&keys::heads::key(&group));
        let right: Head =
            value::decode_value(state().get(Table::Heads, &key).unwrap().unwrap()).unwrap();
        let chain = Bytes::from_static(&[7; 32]);
        let of_before = Head {
            seq: 9,
            ..right.clone()
        };
        let behind = Head {
            seq: 11,
            ..right.clone()
        };
        for wrong in [Head { chain, ..right }, of_before, behind] {
            let (state, mut batch) = (state(), Batch::new());
            batch.put(Table::Heads, key.clone(), value::encode_value(&wrong));
            state.write(batch).unwrap();
            for table in [Table::Log, Table::Heads] {
                let why = chains().inspect(&state, &whole(table), Whose::Sent);
                let why = why.unwrap_err().to_string();
                assert!(why.contains(&group.to_string()), "{why}");
                assert!(why.contains(&wrong.seq.to_string()), "{why}");
            }
        }
    }
}

#[test]
fn no_state_of_before_a_split_comes_behind_it() {
    let chains = |last| Chains {
        keeps: keeps(last),
        ..chains()
    };
    let range = keys::shards::range(ShardId(3));
    let part = (Table::Shards, range.0, range.1);
    let state = |slots: Option<u32>| {
        let (store, mut batch) = (MemStore::new(), Batch::new());
        let applied = StoredApplied {
            slots: slots.map(|to| SlotRange { from: 0, to }),
            ..StoredApplied::default()
        };
        let key = keys::shards::key(ShardId(3));
        batch.put(Table::Shards, key, value::encode_value(&applied));
        store.write(batch).unwrap();
        store
    };
    for (sent, here, holds) in [
        (None, u16::MAX, true),
        (Some(0x7fff), u16::MAX, true),
        (Some(0x7fff), 0x7fff, true),
        (Some(0x3fff), 0x7fff, true),
        (None, 0x7fff, false),
        (Some(0x7fff), 0x3fff, false),
    ] {
        let looked = chains(here).inspect(&state(sent), &part, Whose::Sent);
        assert_eq!(looked.is_ok(), holds, "{sent:?} {here}");
        let own = chains(here).inspect(&state(sent), &part, Whose::Own);
        assert!(own.is_ok(), "its own may be given: {sent:?} {here}");
    }
}
