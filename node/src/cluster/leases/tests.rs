use std::sync::atomic::{AtomicU64, Ordering};

use folkmoot_storage::{CommitOptions, MemStore, TaskCommit};

use super::*;

const TIME: Duration = Duration::from_secs(100);
const SHARD: ShardId = ShardId(3);

struct Wall(AtomicU64);

impl Clock for Wall {
    fn wall_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn leases(store: &Arc<MemStore>, wall_ms: u64) -> Leases {
    let store = Arc::clone(store) as Arc<dyn Store>;
    let sync = Duration::from_millis(1);
    let commit = TaskCommit::start(Arc::clone(&store), CommitOptions::default(), sync);
    let wall = Wall(AtomicU64::new(wall_ms));
    Leases::open(TIME, store, Arc::new(commit), Arc::new(wall)).unwrap()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_lasts_from_when_the_home_was_heard_last() {
    let leases = leases(&Arc::new(MemStore::new()), 1_000);
    pass(99).await;
    leases.check(SHARD).unwrap();
    leases.renew(SHARD, Instant::now());
    pass(99).await;
    leases.check(SHARD).unwrap();
    pass(1).await;
    let fault = leases.check(SHARD).unwrap_err();
    assert_eq!(fault.code, Code::Unavailable);
    assert!(fault.detail.contains("100 s"), "{}", fault.detail);
    leases.renew(SHARD, Instant::now());
    leases.check(SHARD).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_home_that_was_never_heard_of_has_one_lease() {
    let leases = leases(&Arc::new(MemStore::new()), 1_000);
    leases.check(SHARD).unwrap();
    pass(100).await;
    leases.check(SHARD).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_restart_makes_no_lease_longer() {
    let store = Arc::new(MemStore::new());
    let before = leases(&store, 1_000);
    before.renew(SHARD, Instant::now());
    pass(1).await;
    // Down for 60 seconds.
    let after = leases(&store, 61_000);
    pass(39).await;
    after.check(SHARD).unwrap();
    pass(1).await;
    after.check(SHARD).unwrap_err();
    // Down for longer than a lease.
    let late = leases(&store, 500_000);
    late.check(SHARD).unwrap_err();
    // Its clock was set back meanwhile: nothing says that time has passed.
    let back = leases(&store, 0);
    back.check(SHARD).unwrap();
}
