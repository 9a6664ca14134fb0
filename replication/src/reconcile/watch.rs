//! The summaries of the groups that a node reconciled, kept up to date by what
//! is written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use folkmoot_storage::{Changed, Observed, Place, Read, Seat, Store, Table, keys};
use folkmoot_wire::limits;

use super::Sums;

struct Kept {
    sums: Arc<Mutex<Sums>>,
    /// When it was asked for last.
    used: u64,
    blocks: usize,
}

#[derive(Default)]
struct Groups {
    kept: BTreeMap<Place, Kept>,
    uses: u64,
}

/// Summaries by group and where it is kept, a bounded number of blocks in all.
/// What is left out is read anew when it is asked for.
pub struct RowSums {
    store: Arc<dyn Read>,
    digest_key: [u8; 32],
    groups: Mutex<Groups>,
    most: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic leaves a summary that is stale at worst.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RowSums {
    /// None yet, and the store through which all rows are to be written: it
    /// tells what was.
    #[must_use]
    pub fn over(store: Arc<dyn Store>, digest_key: [u8; 32]) -> (Arc<dyn Store>, Arc<Self>) {
        let sums = Arc::new(Self {
            store: Arc::clone(&store) as Arc<dyn Read>,
            digest_key,
            groups: Mutex::default(),
            most: limits::ROW_SUM_BLOCKS,
        });
        let told = Arc::clone(&sums);
        let tell = Box::new(move |changes: &[Changed]| told.changed(changes));
        (Arc::new(Observed::new(store, Table::Rows, tell)), sums)
    }

    /// Works with the summary of a group. One at a time.
    pub fn with<T>(&self, place: &Place, work: impl FnOnce(&mut Sums) -> T) -> T {
        let sums = self.kept(place);
        let mut held = lock(&sums);
        let done = work(&mut held);
        let blocks = held.blocks();
        drop(held);
        self.shrink(place, blocks);
        done
    }

    fn kept(&self, place: &Place) -> Arc<Mutex<Sums>> {
        let mut groups = lock(&self.groups);
        groups.uses += 1;
        let used = groups.uses;
        let kept = groups.kept.entry(*place).or_insert_with(|| {
            let seat = Arc::new(Seat::new(Arc::clone(&self.store), place.region));
            let sums = Sums::new(seat, self.digest_key, place.group);
            Kept {
                sums: Arc::new(Mutex::new(sums)),
                used,
                blocks: 1,
            }
        });
        kept.used = used;
        Arc::clone(&kept.sums)
    }

    /// Forgets those that were not used for longest. The one in use stays.
    fn shrink(&self, place: &Place, blocks: usize) {
        let mut groups = lock(&self.groups);
        if let Some(kept) = groups.kept.get_mut(place) {
            kept.blocks = blocks;
        }
        let mut total: usize = groups.kept.values().map(|kept| kept.blocks).sum();
        while total > self.most {
            let others = groups.kept.iter().filter(|(other, _)| *other != place);
            let Some((oldest, blocks)) = others
                .min_by_key(|(_, kept)| kept.used)
                .map(|(oldest, kept)| (*oldest, kept.blocks))
            else {
                return;
            };
            groups.kept.remove(&oldest);
            total -= blocks;
        }
    }

    /// Forgets a group's: it is read anew when it is asked for.
    pub fn forget(&self, place: &Place) {
        lock(&self.groups).kept.remove(place);
    }

    /// Rows were written. Told after the write: a summary that is read before
    /// it is stale then.
    fn changed(&self, changes: &[Changed]) {
        if lock(&self.groups).kept.is_empty() {
            return;
        }
        for change in changes {
            match change {
                Changed::Key(key) => {
                    let Ok((place, row)) = Place::split(key) else {
                        continue;
                    };
                    let sums = lock(&self.groups)
                        .kept
                        .get(&place)
                        .map(|k| Arc::clone(&k.sums));
                    if let Some(sums) = sums {
                        lock(&sums).touched(row);
                    }
                }
                Changed::Range(from, to) => self.changed_range(from, to),
            }
        }
    }

    fn changed_range(&self, from: &[u8], to: &[u8]) {
        let kept: Vec<_> = lock(&self.groups)
            .kept
            .iter()
            .map(|(place, kept)| (*place, Arc::clone(&kept.sums)))
            .collect();
        for (place, sums) in kept {
            let (first, end) = keys::prefix_range(&place.key());
            if from < &end[..] && to > &first[..] {
                lock(&sums).touched_range(&[], &[]);
            }
        }
    }
}
