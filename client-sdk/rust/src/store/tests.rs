use std::io::Write;

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::Send;
use folkmoot_wire::{ClientMsgId, DeviceId, GroupId, RegionId, Slot, UserId};

use super::{FileStore, Identity, LocalStore, MemoryStore, Record, Saved, StoreError};
use crate::core::timeline::Point;

fn group(n: u8) -> GroupId {
    GroupId::new(RegionId(1), Slot(2), [n; 11])
}

fn queued(local: u64) -> Record {
    Record::Queued {
        local,
        group: group(1),
        send: Box::new(Send {
            group: group(1).to_bytes(),
            body: Bytes::from(format!("message {local}")),
            ..Send::default()
        }),
    }
}

fn records() -> Vec<Record> {
    let id = ClientMsgId::new(Hlc::from_u64(9), 8);
    let point = |seq, chain| Point { seq, chain };
    vec![
        Record::Device(DeviceId(77)),
        Record::Identity(Identity {
            cluster: [5; 16],
            user: UserId::new(RegionId(1), Slot(2), [6; 11]),
        }),
        queued(1),
        queued(2),
        queued(3),
        Record::Assigned { local: 1, id },
        Record::Assigned { local: 2, id },
        Record::Settled { local: 1 },
        Record::Read {
            group: group(1),
            point: point(5, Some([1; 32])),
        },
        Record::Read {
            group: group(2),
            point: point(0, None),
        },
        Record::Read {
            group: group(1),
            point: point(7, Some([2; 32])),
        },
    ]
}

fn expected() -> Saved {
    let mut saved = Saved::default();
    records().into_iter().for_each(|record| saved.apply(record));
    saved
}

#[test]
fn the_state_keeps_what_is_not_settled() {
    let saved = expected();
    assert_eq!(saved.outbox.keys().copied().collect::<Vec<_>>(), [2, 3]);
    assert!(saved.outbox[&2].id.is_some() && saved.outbox[&3].id.is_none());
    assert_eq!(saved.read[&group(1)].seq, 7);
    let mut again = Saved::default();
    saved
        .records()
        .into_iter()
        .for_each(|record| again.apply(record));
    assert_eq!(again, saved);
}

#[tokio::test]
async fn both_stores_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let memory = MemoryStore::default();
    let open = || -> [Box<dyn LocalStore>; 2] {
        [Box::new(memory.clone()), Box::new(FileStore::new(&path))]
    };
    for mut store in open() {
        assert_eq!(store.load().await.expect("empty"), Saved::default());
        store.append(records()).await.expect("written");
    }
    for mut store in open() {
        assert_eq!(store.load().await.expect("read"), expected());
        store
            .append(vec![Record::Refused { local: 2 }])
            .await
            .expect("written");
    }
    for mut store in open() {
        let saved = store.load().await.expect("read");
        assert_eq!(saved.outbox.keys().copied().collect::<Vec<_>>(), [3]);
    }
}

#[tokio::test]
async fn a_cut_at_any_byte_loses_only_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let mut store = FileStore::new(&path);
    store.load().await.expect("empty");
    store.append(records()).await.expect("written");
    drop(store);
    let whole = std::fs::read(&path).expect("there");
    let mut states = Vec::new();
    for len in 0..=whole.len() {
        std::fs::write(&path, &whole[..len]).expect("written");
        let saved = FileStore::new(&path)
            .load()
            .await
            .expect("a cut is no damage");
        if states.last() != Some(&saved) {
            states.push(saved);
        }
    }
    // One state more per record: each record is there in full or not at all.
    assert_eq!(states.len(), records().len() + 1);
    assert_eq!(states.last(), Some(&expected()));
}

#[tokio::test]
async fn damage_and_strange_files_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let mut store = FileStore::new(&path);
    store.load().await.expect("empty");
    store.append(records()).await.expect("written");
    let other = FileStore::new(&path).load().await;
    assert!(matches!(other, Err(StoreError::InUse { .. })), "{other:?}");
    drop(store);
    let mut bytes = std::fs::read(&path).expect("there");
    bytes[60] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    let damaged = FileStore::new(&path).load().await;
    assert!(
        matches!(damaged, Err(StoreError::Damaged { .. })),
        "{damaged:?}"
    );
    assert_eq!(
        std::fs::read(&path).expect("there"),
        bytes,
        "left as it was"
    );
    let mut file = std::fs::File::create(&path).expect("made");
    file.write_all(b"something else entirely").expect("written");
    let foreign = FileStore::new(&path).load().await;
    assert!(
        matches!(foreign, Err(StoreError::Foreign { .. })),
        "{foreign:?}"
    );
    let mut unloaded = FileStore::new(folder.path().join("new"));
    assert!(unloaded.append(Vec::new()).await.is_err());
}

#[tokio::test]
async fn a_long_life_does_not_grow_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let mut store = FileStore::new(&path);
    store.load().await.expect("empty");
    let read = |seq| Record::Read {
        group: group(1),
        point: Point {
            seq,
            chain: Some([3; 32]),
        },
    };
    for round in 0..50u64 {
        let batch = (0..1_000).map(|n| read(round * 1_000 + n)).collect();
        store.append(batch).await.expect("written");
    }
    let len = std::fs::metadata(&path).expect("there").len();
    assert!(len < 2 * 1024 * 1024, "{len} bytes");
    drop(store);
    let saved = FileStore::new(&path).load().await.expect("read");
    assert_eq!(saved.read[&group(1)].seq, 49_999);
}
