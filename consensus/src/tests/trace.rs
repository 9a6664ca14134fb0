//! Equal seeds give equal runs.

#![cfg(tokio_unstable)]

use std::time::Duration;

use folkmoot_storage::Crash;

use super::hub::Traced;
use super::{Cluster, number};
use crate::RaftOptions;

fn run(seed: u64) -> Vec<Traced> {
    // tokio wakes those who wait for one thing in an order of its own drawing.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_be_bytes()))
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut cluster = Cluster::new(3, RaftOptions::default().with_seed(seed)).await;
        let leader = cluster.leader().await;
        for i in 0..20 {
            number(cluster.propose(leader, &format!("p{i}")).await);
        }
        cluster.hub.isolate(leader);
        let rest: Vec<u32> = (1..=3).filter(|node| *node != leader).collect();
        let next = cluster.leader_among(&rest).await;
        number(cluster.propose(next, "q").await);
        cluster.hub.heal();
        cluster.crash(leader, Crash::KeepPrefix { seed }).await;
        assert_eq!(cluster.converged().await.len(), 21);
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster.hub.trace()
    })
}

#[test]
fn a_seed_gives_one_trace() {
    let first = run(1);
    assert!(first.len() > 100);
    let second = run(1);
    let differs = first.iter().zip(&second).position(|(a, b)| a != b);
    assert_eq!(
        differs,
        None,
        "{:?}",
        differs.map(|at| (&first[at], &second[at]))
    );
    assert_eq!(first.len(), second.len());
    assert_ne!(first, run(2));
}
