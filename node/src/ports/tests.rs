use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::{MemStore, Store};
use folkmoot_wire::limits;
use tokio::time::Instant;

use super::{Clock, Stamps};

/// A wall clock that goes with tokio's, and can be set.
struct Wall {
    start: Instant,
    ms: AtomicU64,
}

impl Wall {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            ms: AtomicU64::new(1_700_000_000_000),
        })
    }
}

impl Clock for Wall {
    fn wall_ms(&self) -> u64 {
        self.ms.load(Ordering::SeqCst) + self.start.elapsed().as_millis() as u64
    }
}

async fn start(wall: &Arc<Wall>, store: &Arc<MemStore>) -> Stamps {
    let clock = Arc::clone(wall) as Arc<dyn Clock>;
    let stamps = Stamps::open(clock, Arc::clone(store) as Arc<dyn Store>).unwrap();
    stamps.reach_bound().await;
    stamps
}

#[tokio::test(start_paused = true)]
async fn restarts_in_a_row_do_not_take_the_clock_ahead() {
    let (wall, store) = (Wall::new(), Arc::new(MemStore::new()));
    let mut last = Hlc::default();
    for _ in 0..50 {
        let stamps = start(&wall, &store).await;
        for _ in 0..20 {
            let stamp = stamps.tick().unwrap();
            assert!(stamp > last);
            last = stamp;
            let ahead = stamp.millis().saturating_sub(wall.wall_ms());
            assert!(ahead <= limits::HLC_DRIFT_MS, "{ahead} ms: peers refuse it");
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_does_not_keep_the_node_from_starting() {
    let (wall, store) = (Wall::new(), Arc::new(MemStore::new()));
    let last = start(&wall, &store).await.tick().unwrap();
    wall.ms.fetch_sub(3_600_000, Ordering::SeqCst);
    let before = Instant::now();
    let stamps = start(&wall, &store).await;
    assert!(before.elapsed() < Duration::from_secs(5));
    assert!(stamps.tick().unwrap() > last);
}
