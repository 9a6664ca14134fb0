use std::time::Duration;

use super::{Figures, Plan, measure};
use crate::progress::Progress;
use crate::scale::topology::Topology;

use super::net::Net;

fn figures(seed: u64) -> Figures {
    let plan = Plan {
        quiet: Duration::from_secs(5),
        starts: true,
        kills: 2,
        pause: Duration::from_secs(10),
        loss_percent: 1,
    };
    measure(&Topology::new(24, seed), seed, &plan, &Progress::show(1)).expect("runs")
}

#[test]
fn one_seed_is_one_run() {
    assert_eq!(figures(3), figures(3));
    assert_ne!(figures(3), figures(4));
}

#[test]
fn a_killed_node_is_found_by_all_and_a_new_one_too() {
    let found = figures(7);
    let killed = found.killed;
    // A probe that failed, and what a suspect has to speak up.
    assert!(killed.first_s > 5.0, "{killed:?}");
    assert!(killed.first_s <= killed.half_s && killed.half_s <= killed.all_s);
    assert!(found.joined.all_s < killed.first_s, "{found:?}");
    assert_eq!(
        (found.newcomer.knows, found.newcomer.all_s.is_some()),
        (23, true)
    );
    assert!(found.quiet.packets_per_s >= 2.0, "a probe and an answer");
}

#[test]
fn what_is_counted_is_what_was_sent() {
    let topology = Topology::new(12, 1);
    let mut net = Net::new(&topology, 1);
    for node in topology.ids() {
        net.start_soon(node);
    }
    net.run(Duration::from_secs(20));
    assert!(net.is_whole() && net.traffic().packets > 100);
    assert_eq!(net.traffic(), net.counted());
}

#[test]
fn a_cluster_that_is_told_is_as_one_that_formed() {
    let plan = Plan {
        quiet: Duration::from_secs(5),
        starts: false,
        kills: 1,
        pause: Duration::from_secs(10),
        loss_percent: 1,
    };
    let told = measure(&Topology::new(24, 3), 3, &plan, &Progress::show(1)).expect("runs");
    let formed = figures(3);
    assert!(told.start.is_none() && formed.start.is_some());
    let apart = (told.quiet.bytes_per_s - formed.quiet.bytes_per_s).abs();
    assert!(apart < 20.0, "{told:?} {formed:?}");
    assert!(told.killed.first_s > 5.0 && told.joined.all_s < 5.0);
}
