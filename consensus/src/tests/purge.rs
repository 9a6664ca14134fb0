//! What is forgotten of the log, and when.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::snapshot::small;
use super::{Cluster, number};
use crate::Sequencer;

#[tokio::test(start_paused = true)]
async fn what_is_to_be_forgotten_waits_for_who_is_sent_it() {
    let cluster = Cluster::new(3, small()).await;
    let leader = cluster.leader().await;
    for _ in 0..40 {
        number(cluster.propose(leader, "p").await);
    }
    cluster.converged().await;
    // What is on its way to the one cut off is in use until it is given up.
    cluster.hub.isolate(leader % 3 + 1);
    number(cluster.propose(leader, "q").await);
    let at = cluster.shard(leader).status().last_applied;
    // Marks come meanwhile behind which fewer entries are kept than are to be
    // forgotten.
    let purged = async {
        while !cluster.shard(leader).purge(at).await.unwrap() {
            number(cluster.propose(leader, "r").await);
            sleep(Duration::from_millis(50)).await;
        }
    };
    let purged = timeout(Duration::from_secs(60), purged).await;
    purged.expect("it is forgotten at last");
    assert_eq!(*cluster.shard(leader).failed().borrow(), None);
    cluster.hub.heal();
    cluster.converged().await;
}
