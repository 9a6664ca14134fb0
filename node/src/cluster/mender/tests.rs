//! Heads that a disk changed.

use folkmoot_storage::{MemStore, Read};
use folkmoot_wire::entry;
use folkmoot_wire::proto::EntryHeader;
use folkmoot_wire::{RegionId, Slot};

use super::*;

const CLUSTER: [u8; 16] = *b"sixteen bytes ok";

fn group() -> GroupId {
    GroupId::new(RegionId(0), Slot(1), [9; 11])
}

/// A log of two entries, and its head.
fn copy() -> (MemStore, Head) {
    let (store, mut batch) = (MemStore::new(), Batch::new());
    let mut chain = entry::genesis(&CLUSTER, &group());
    for seq in 1..=2 {
        let header = EntryHeader {
            seq,
            ..EntryHeader::default()
        };
        let salt = vec![0; entry::SALT_LEN].into();
        let sealed = entry::seal(&chain, &header, salt, Bytes::new());
        chain = entry::chain_from(&sealed.chain).unwrap();
        let key = keys::log::key(&group(), seq);
        batch.put(Table::Log, key, value::encode_value(&sealed));
    }
    let head = Head {
        seq: 2,
        chain: Bytes::copy_from_slice(&chain),
        ..Head::default()
    };
    store.write(batch).unwrap();
    put(&store, &head);
    (store, head)
}

fn put(store: &MemStore, head: &Head) {
    let mut batch = Batch::new();
    let key = keys::heads::key(&group());
    batch.put(Table::Heads, key, value::encode_value(head));
    store.write(batch).unwrap();
}

fn head(store: &MemStore) -> Head {
    log::read_head(store, &group()).unwrap().unwrap()
}

/// The simulator found it: a copy's head that its disk had changed was shown to
/// a client, before anything of the copy was followed again, and the client
/// took its history for another.
#[test]
fn a_head_is_that_of_its_log() {
    let (store, right) = copy();
    assert_eq!(right_heads(&store, &CLUSTER).unwrap(), 0);
    let chain = Bytes::from_static(&[7; 32]);
    put(
        &store,
        &Head {
            chain,
            ..right.clone()
        },
    );
    assert_eq!(right_heads(&store, &CLUSTER).unwrap(), 1);
    assert_eq!(head(&store), right);
}

#[test]
fn a_log_that_proves_nothing_changes_no_head() {
    let (store, right) = copy();
    let key = keys::log::key(&group(), 2);
    let stored = store.get(Table::Log, &key).unwrap().unwrap();
    let mut last: SealedEntry = value::decode_value(stored).unwrap();
    last.chain = Bytes::from_static(&[7; 32]);
    let mut batch = Batch::new();
    batch.put(Table::Log, key, value::encode_value(&last));
    store.write(batch).unwrap();
    assert_eq!(right_heads(&store, &CLUSTER).unwrap(), 0);
    assert_eq!(head(&store), right);
}
