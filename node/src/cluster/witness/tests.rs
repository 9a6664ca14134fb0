use std::sync::Arc;
use std::time::Duration;

use folkmoot_consensus::Mark;
use folkmoot_storage::{Commit, CommitOptions, Crash, MemStore, Store, TaskCommit};
use folkmoot_wire::{NodeId, ShardId, proto};

use super::Witness;

fn over(store: &Arc<MemStore>) -> Witness {
    let store = Arc::clone(store) as Arc<dyn Store>;
    let sync = Duration::from_millis(1);
    let commit = TaskCommit::start(Arc::clone(&store), CommitOptions::default(), sync);
    Witness::open(store, Arc::new(commit) as Arc<dyn Commit>).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_highest_start_and_mark_are_kept_over_a_power_cut() {
    let store = Arc::new(MemStore::new());
    let witness = over(&store);
    let (two, shard) = (NodeId(2), ShardId(7));
    let mark = |term, index| Mark { term, index };
    for seen in [mark(2, 9), mark(3, 4), mark(2, 11), mark(3, 3)] {
        witness.saw(two, shard, seen);
    }
    witness.write_down().unwrap();
    assert_eq!(witness.started(two, 5, 0).await, Ok(0));
    assert_eq!(witness.started(two, 4, 5).await, Ok(5));
    // One that does not know of the start before hears of it until it does.
    for _ in 0..2 {
        assert_eq!(witness.started(two, 8, 4).await, Ok(5));
    }
    assert_eq!(witness.started(two, 8, 5).await, Ok(5));

    let store = Arc::new(store.crash(Crash::LoseUnsynced));
    let witness = over(&store);
    assert_eq!(witness.started(two, 1, 1).await, Ok(8));
    let kept = proto::Mark {
        shard: 7,
        term: 3,
        index: 4,
    };
    assert_eq!(witness.marks_of(two), [kept]);
    assert!(witness.marks_of(NodeId(3)).is_empty());
}
