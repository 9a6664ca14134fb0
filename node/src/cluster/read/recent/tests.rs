use folkmoot_storage::{Batch, MemStore, Store, Table, keys, value};
use folkmoot_wire::proto::{EntryHeader, Floor, Kind};
use folkmoot_wire::{RegionId, Slot, entry};
use proptest::prelude::*;

use super::*;

const CLUSTER: [u8; 16] = *b"sixteen bytes ok";

struct Copy {
    store: MemStore,
    group: GroupId,
    head: Head,
}

impl Copy {
    fn new() -> Self {
        let group = GroupId::new(RegionId(0), Slot(1), [9; 11]);
        Self {
            store: MemStore::new(),
            group,
            head: Head {
                chain: Bytes::copy_from_slice(&entry::genesis(&CLUSTER, &group)),
                ..Head::default()
            },
        }
    }

    fn append(&mut self, bytes: usize) {
        let seq = self.head.seq + 1;
        let header = EntryHeader {
            seq,
            kind: Kind::Message as i32,
            ..EntryHeader::default()
        };
        let chain = entry::chain_from(&self.head.chain).unwrap();
        let salt = vec![0; entry::SALT_LEN].into();
        let sealed = entry::seal(&chain, &header, salt, vec![seq as u8; bytes].into());
        (self.head.seq, self.head.chain) = (seq, sealed.chain.clone());
        self.put(seq, &sealed);
    }

    fn put(&self, seq: u64, sealed: &SealedEntry) {
        let mut batch = Batch::new();
        let key = keys::log::key(&self.group, seq);
        batch.put(Table::Log, key, value::encode_value(sealed));
        self.store.write(batch).unwrap();
    }

    /// Another byte in an entry's body.
    fn damage(&self, seq: u64) {
        let key = keys::log::key(&self.group, seq);
        let stored = self.store.get(Table::Log, &key).unwrap().unwrap();
        let mut sealed: SealedEntry = value::decode_value(stored).unwrap();
        sealed.body = "other words".into();
        self.put(seq, &sealed);
    }

    fn source(&self) -> Source<'_> {
        Source {
            store: &self.store,
            cluster: &CLUSTER,
            group: &self.group,
            head: &self.head,
        }
    }

    fn page(&self, after: u64, before: u64, backward: bool) -> Page {
        Page {
            after,
            before: before.min(self.head.seq + 1),
            limit: 500,
            max_bytes: limits::PAGE_BYTES,
            backward,
        }
    }
}

/// Every entry in its place, the chain before them right, and nothing but what
/// was asked for.
fn check(page: &Page, found: &Found) {
    let mut chain = chain_of(&found.chain_before);
    let entries = found.runs.iter().flat_map(Run::entries);
    for (sealed, seq) in entries.zip(found.from..) {
        assert!(page.after < seq && seq < page.before, "{seq} in {page:?}");
        (_, chain) = sealed.verify(&chain, seq).unwrap();
    }
    assert!(found.end() - found.from <= page.limit as u64);
    let bytes: usize = found.runs.iter().map(|run| run.bytes().len()).sum();
    assert!(bytes <= page.max_bytes || found.end() == found.from + 1);
}

fn chain_of(bytes: &Bytes) -> entry::Chain {
    entry::chain_from(bytes).unwrap()
}

fn seqs(found: &Found) -> (u64, u64) {
    (found.from, found.end() - 1)
}

proptest! {
    /// What was kept is what the store has, while the log grows.
    #[test]
    fn pages_from_memory_are_those_of_the_store(
        sizes in proptest::collection::vec(0..3_000_usize, 1..200),
        floor in 0..40_u64,
        asks in proptest::collection::vec((0..210_u64, 1..210_u64, 1..150_usize, any::<bool>(), 0..4_usize), 1..30),
    ) {
        let (mut copy, recent) = (Copy::new(), Recent::default());
        let grow = sizes.len().div_ceil(asks.len());
        let mut sizes = sizes.into_iter();
        for (after, before, limit, backward, kib) in asks {
            for size in sizes.by_ref().take(grow) {
                copy.append(size);
            }
            let floor = floor.min(copy.head.seq);
            if floor > 0 {
                let last = proof::chain_at(&copy.store, &CLUSTER, &copy.group, &copy.head, floor);
                let chain = Bytes::copy_from_slice(&last.unwrap());
                copy.head.floor = Some(Floor { seq: floor, chain, ..Floor::default() });
            }
            let after = after.min(copy.head.seq).max(floor);
            let page = Page { limit, max_bytes: 1 + kib * 4_096, ..copy.page(after, before, backward) };
            if page.before <= after + 1 {
                continue;
            }
            let kept = recent.read(&copy.source(), &page).unwrap();
            check(&page, &kept);
            let whole = Page { max_bytes: usize::MAX, ..page };
            let stored = Found::from(copy.source().read(&whole).unwrap());
            let (first, last) = page.wanted();
            prop_assert_eq!(seqs(&stored), (first, last));
            // Cut by its bytes, it still begins, or ends, where it was to.
            match backward {
                true => prop_assert_eq!(seqs(&kept).1, last),
                false => prop_assert_eq!(seqs(&kept).0, first),
            }
            prop_assert!(kept.end() > kept.from);
        }
    }
}

#[test]
fn what_was_kept_is_not_read_again_and_what_is_new_is() {
    let (mut copy, recent) = (Copy::new(), Recent::default());
    (0..100).for_each(|_| copy.append(10));
    let page = copy.page(0, 101, false);
    assert_eq!(seqs(&recent.read(&copy.source(), &page).unwrap()), (1, 100));
    // The disk gives something else now; what was proven is still right.
    copy.damage(70);
    assert!(copy.source().read(&page).is_err());
    assert_eq!(seqs(&recent.read(&copy.source(), &page).unwrap()), (1, 100));
    // The last block has more entries now: it is read again, and what of it
    // does not follow is told.
    copy.append(10);
    let page = copy.page(60, 102, false);
    let damaged = recent.read(&copy.source(), &page).unwrap_err();
    assert!(matches!(damaged, Unproven::Damaged { seq: 70 }));
}

#[test]
fn damage_beside_what_is_asked_for_keeps_nobody_from_reading() {
    let (mut copy, recent) = (Copy::new(), Recent::default());
    (0..60).for_each(|_| copy.append(10));
    copy.damage(7);
    for backward in [false, true] {
        let page = copy.page(10, 40, backward);
        assert_eq!(seqs(&recent.read(&copy.source(), &page).unwrap()), (11, 39));
        let page = copy.page(5, 40, backward);
        let damaged = recent.read(&copy.source(), &page).unwrap_err();
        assert!(matches!(damaged, Unproven::Damaged { seq: 7 }));
    }
}

#[test]
fn large_entries_are_read_though_they_are_not_kept() {
    let (mut copy, recent) = (Copy::new(), Recent::default());
    (0..40).for_each(|_| copy.append(limits::BODY_MAX));
    for backward in [false, true] {
        let page = copy.page(0, 41, backward);
        let found = recent.read(&copy.source(), &page).unwrap();
        check(&page, &found);
        let (first, last) = seqs(&found);
        assert_eq!(last - first + 1, 3);
        assert_eq!(
            if backward { last } else { first },
            if backward { 40 } else { 1 }
        );
    }
    assert_eq!(recent.blocks.weighted_size(), 0);
}
