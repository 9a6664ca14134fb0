use std::time::Duration;

use super::{Figures, MESSAGE_MAX, measure};
use crate::progress::Progress;
use crate::scale::topology::Topology;

fn figures(nodes: u32) -> Figures {
    let quiet = Duration::from_secs(5);
    measure(Topology::new(nodes, 1), 1, quiet, &Progress::show(1)).expect("runs")
}

#[test]
fn a_value_reaches_all_and_digests_grow_with_the_nodes() {
    let (few, many) = (figures(6), figures(24));
    assert!(few.all_s >= few.half_s && many.all_s > 0.0);
    // Each message has all nodes in it, at more than fifty bytes each.
    assert!(many.longest_bytes > few.longest_bytes + 18 * 50);
    assert!(many.longest_bytes < MESSAGE_MAX);
    // Three rounds a second, of a question and its end, and as many answers.
    assert!((8.0..12.0).contains(&many.messages_per_s), "{many:?}");
}
