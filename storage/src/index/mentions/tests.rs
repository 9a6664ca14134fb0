//! Mentions against a plain list of all that was said.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_wire::proto::{EntryHeader, Kind, SealedEntry};
use folkmoot_wire::{GroupId, RegionId, Slot, UserId, limits};
use proptest::prelude::*;
use prost::Message as _;

use super::mentions;
use crate::{Batch, Indexed, MemStore, Place, Seat, Store, Table, check_index, keys, value};

fn user(n: u8) -> UserId {
    UserId::new(RegionId(1), Slot(u16::from(n)), [n; 11])
}

/// Two groups of one shard, one of its neighbour, and one that was born in
/// another region.
fn places() -> [Place; 4] {
    let group = |region, slot, n| GroupId::new(RegionId(region), Slot(slot), [n; 11]);
    let here = |group| Place {
        region: RegionId(1),
        group,
    };
    [
        here(group(1, 3, 1)),
        here(group(1, 3, 2)),
        here(group(1, 4, 1)),
        here(group(2, 3, 9)),
    ]
}

/// What was said in a group, and what became of it.
#[derive(Debug, Clone, Default)]
struct Entry {
    users: Vec<u8>,
    countable: bool,
    erased: bool,
    recalls: u64,
}

impl Entry {
    fn sealed(&self, seq: u64) -> SealedEntry {
        let kind = match self.recalls {
            0 => Kind::Message,
            _ => Kind::Recall,
        };
        let header = EntryHeader {
            seq,
            kind: kind as i32,
            countable: self.countable,
            mentions: self.users.iter().map(|n| user(*n).to_bytes()).collect(),
            target: self.recalls,
            nick: "ann".into(),
            ..EntryHeader::default()
        };
        let hash: &[u8] = if self.erased { &[7; 32] } else { &[] };
        SealedEntry {
            header: header.encode_to_vec().into(),
            body: "body".into(),
            body_hash: Bytes::from_static(hash),
            ..SealedEntry::default()
        }
    }
}

/// The log of one group.
#[derive(Debug, Clone, Default)]
struct Log {
    entries: BTreeMap<u64, Entry>,
    head: u64,
}

impl Log {
    fn count(&self, n: u8, after: u64) -> u64 {
        let of_user = |(_, e): &(&u64, &Entry)| e.countable && e.users.contains(&n);
        let all = self.entries.iter().rev().filter(of_user);
        let stands = |seq: u64, entry: &Entry| {
            let recalled = self.entries.values().any(|other| other.recalls == seq);
            !recalled && !entry.erased && seq > after
        };
        all.take(limits::MENTIONS_KEPT)
            .filter(|(seq, entry)| stands(**seq, entry))
            .count() as u64
    }
}

#[derive(Debug, Clone)]
enum Change {
    Say(usize, Vec<u8>, bool),
    /// The same several times.
    Insist(usize, u8, u8),
    /// What was said so many entries ago is recalled, erased or written again.
    Recall(usize, u64),
    Erase(usize, u64),
    Again(usize, u64),
    /// Up to so many entries ago.
    Floor(usize, u64),
    Discard(usize),
    Slots(u16, u16),
    All,
}

fn change() -> impl Strategy<Value = Change> {
    let place = || 0..4usize;
    let back = || 0..6u64;
    let users = prop::collection::vec(0..4u8, 0..3);
    prop_oneof![
        12 => (place(), users, prop::bool::weighted(0.9)).prop_map(|(p, u, c)| Change::Say(p, u, c)),
        2 => (place(), 0..4u8, 30..80u8).prop_map(|(p, n, times)| Change::Insist(p, n, times)),
        6 => (place(), back()).prop_map(|(p, back)| Change::Recall(p, back)),
        2 => (place(), back()).prop_map(|(p, back)| Change::Erase(p, back)),
        3 => (place(), back()).prop_map(|(p, back)| Change::Again(p, back)),
        1 => (place(), 0..40u64).prop_map(|(p, back)| Change::Floor(p, back)),
        1 => place().prop_map(Change::Discard),
        1 => (2..5u16, 2..5u16).prop_map(|(a, b)| Change::Slots(a.min(b), a.max(b))),
        1 => Just(Change::All),
    ]
}

/// All logs, and the batch that is to make the store the same.
struct Scene {
    logs: [Log; 4],
    batch: Batch,
}

impl Scene {
    fn put(&mut self, at: usize, seq: u64) {
        let place = places()[at];
        let Some(entry) = self.logs[at].entries.get(&seq) else {
            return;
        };
        let mut batch = Batch::new();
        let stored = value::encode_value(&entry.sealed(seq));
        batch.put(Table::Log, keys::log::key(&place.group, seq), stored);
        self.seated(at, batch);
    }

    fn seated(&mut self, at: usize, batch: Batch) {
        let seat = Seat::new(Arc::new(MemStore::new()), places()[at].region);
        self.batch.extend(seat.batch(batch));
    }

    fn say(&mut self, at: usize, entry: Entry) {
        let log = &mut self.logs[at];
        log.head += 1;
        let seq = log.head;
        log.entries.insert(seq, entry);
        self.put(at, seq);
    }

    fn delete(&mut self, at: usize, (from, to): (Bytes, Bytes)) {
        let mut batch = Batch::new();
        batch.delete_range(Table::Log, from, to);
        self.seated(at, batch);
    }

    fn add(&mut self, change: &Change) {
        match change {
            Change::Say(at, users, countable) => {
                let (users, countable) = (users.clone(), *countable);
                let entry = Entry {
                    users,
                    countable,
                    ..Entry::default()
                };
                self.say(*at, entry);
            }
            Change::Insist(at, n, times) => {
                for _ in 0..*times {
                    self.add(&Change::Say(*at, vec![*n, *n], true));
                }
            }
            Change::Recall(at, back) => {
                let target = self.logs[*at].head.saturating_sub(*back);
                let recalls = Entry {
                    recalls: target.max(1),
                    ..Entry::default()
                };
                // Nobody recalls what is not there.
                if self.logs[*at].entries.contains_key(&target) {
                    self.say(*at, recalls);
                }
            }
            Change::Erase(at, back) | Change::Again(at, back) => {
                let seq = self.logs[*at].head.saturating_sub(*back);
                if let Some(entry) = self.logs[*at].entries.get_mut(&seq) {
                    entry.erased |= matches!(change, Change::Erase(..));
                }
                self.put(*at, seq);
            }
            Change::Floor(at, back) => {
                let floor = self.logs[*at].head.saturating_sub(*back);
                self.logs[*at].entries.retain(|seq, _| *seq >= floor);
                self.delete(*at, keys::log::range(&places()[*at].group, 0, floor));
            }
            Change::Discard(at) => {
                self.logs[*at] = Log::default();
                self.delete(*at, keys::log::group_range(&places()[*at].group));
            }
            Change::Slots(first, last) => {
                for (log, place) in self.logs.iter_mut().zip(places()) {
                    if (*first..=*last).contains(&place.group.slot().0) {
                        *log = Log::default();
                    }
                }
                let slots = keys::slots::range(RegionId(1), Slot(*first), Slot(*last));
                self.batch.delete_range(Table::Log, slots.0, slots.1);
            }
            Change::All => {
                self.logs = Default::default();
                let all = (Bytes::new(), keys::TABLE_END);
                self.batch.delete_range(Table::Log, all.0, all.1);
            }
        }
    }

    fn check(&self, store: &dyn Store) {
        for (log, place) in self.logs.iter().zip(places()) {
            for n in 0..4 {
                let behind = [0, log.head / 2, log.head.saturating_sub(1), log.head];
                let found = mentions(store, &user(n), &behind.map(|after| (place, after)));
                let counts = behind.map(|after| Ok(log.count(n, after)));
                assert_eq!(found, counts, "{n} behind {behind:?} in {log:?}");
            }
        }
        assert_eq!(check_index(store).unwrap(), Ok(0));
    }
}

proptest! {
    #[test]
    fn it_says_what_was_said(
        batches in prop::collection::vec(prop::collection::vec(change(), 1..12), 1..12),
    ) {
        let below: Arc<dyn Store> = Arc::new(MemStore::new());
        let store = Indexed::over(Arc::clone(&below)).unwrap();
        let mut scene = Scene { logs: Default::default(), batch: Batch::new() };
        for changes in &batches {
            for change in changes {
                scene.add(change);
            }
            store.write(std::mem::take(&mut scene.batch)).unwrap();
            scene.check(&*store);
        }
        // The same by one look at all of it.
        let mut batch = Batch::new();
        batch.delete(Table::Node, keys::node::INDEXED);
        below.write(batch).unwrap();
        scene.check(&*Indexed::over(below).unwrap());
    }
}

#[test]
fn a_recall_that_came_while_the_entry_was_damaged() {
    let below: Arc<dyn Store> = Arc::new(MemStore::new());
    let store = Indexed::over(Arc::clone(&below)).unwrap();
    let mut scene = Scene {
        logs: Default::default(),
        batch: Batch::new(),
    };
    scene.add(&Change::Say(3, vec![1], true));
    store.write(std::mem::take(&mut scene.batch)).unwrap();
    assert_eq!(mentions(&*store, &user(1), &[(places()[3], 0)]), [Ok(1)]);
    let mut lie = Batch::new();
    let key = [&places()[3].key()[..], &1_u64.to_be_bytes()].concat();
    lie.put(Table::Log, key, "damaged");
    below.write(lie).unwrap();
    scene.add(&Change::Recall(3, 0));
    store.write(std::mem::take(&mut scene.batch)).unwrap();
    assert_eq!(mentions(&*store, &user(1), &[(places()[3], 0)]), [Ok(1)]);
    // Mended.
    scene.put(3, 1);
    store.write(std::mem::take(&mut scene.batch)).unwrap();
    scene.check(&*store);
}

#[test]
fn what_is_not_as_the_log_is_shows() {
    let store: Arc<dyn Store> = Arc::new(MemStore::new());
    let place = places()[0];
    let mut scene = Scene {
        logs: Default::default(),
        batch: Batch::new(),
    };
    scene.add(&Change::Say(0, vec![1], true));
    store.write(scene.batch).unwrap();
    let told = check_index(&*store).unwrap().unwrap_err();
    assert!(told.contains("is mentioned in"), "{told}");
    let store = Indexed::over(store).unwrap();
    assert_eq!(check_index(&*store).unwrap(), Ok(0));
    let mut stray = Batch::new();
    let of_record = keys::mentions::key(&place.key(), &user(1));
    let stored = store.get(Table::Mentions, &of_record).unwrap().unwrap();
    let nobody = keys::mentions::key(&place.key(), &user(2));
    stray.put(Table::Mentions, nobody, stored);
    store.write(stray).unwrap();
    let told = check_index(&*store).unwrap().unwrap_err();
    assert!(told.contains("2 people mentioned, 1 by the log"), "{told}");
}
