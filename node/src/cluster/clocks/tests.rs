use folkmoot_wire::{NodeId, limits};

use super::{Clocks, median};

fn clocks(ahead: &[i64]) -> Clocks {
    let clocks = Clocks::default();
    for (n, ahead) in ahead.iter().enumerate() {
        clocks.sampled(NodeId(n as u32 + 2), *ahead);
    }
    clocks
}

#[tokio::test(start_paused = true)]
async fn a_clock_is_judged_by_the_majority_of_the_others() {
    assert_eq!(clocks(&[]).off(), None);
    // Of two clocks nobody knows which is wrong.
    assert!(!clocks(&[-60_000]).is_off());
    // A peer that is a minute ahead is the peer's trouble.
    assert!(!clocks(&[60_000, 5]).is_off());
    assert!(!clocks(&[60_000, -60_000]).is_off());
    let ours = clocks(&[-60_000, -60_010]);
    assert_eq!(ours.off(), Some(60_000));
    assert!(ours.is_off());
    assert!(!clocks(&[-240, -230]).is_off());
    assert!(clocks(&[300, 310, 5]).is_off());
    assert!(!clocks(&[300, 4, 5]).is_off());
}

#[test]
fn the_median_of_an_even_number_is_the_one_nearer_to_us() {
    assert_eq!(median(vec![1, 2, 3]), Some(2));
    assert_eq!(median(vec![10, 2, 30, 40]), Some(10));
    assert_eq!(median(vec![-10, -2, -30, -40]), Some(-10));
    assert_eq!(median(vec![-10, 10]), Some(0));
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_long_ago_says_nothing() {
    let ours = clocks(&[-60_000, -60_000]);
    tokio::time::advance(limits::CLOCK_SAMPLE_LIFE).await;
    assert_eq!(ours.off(), None);
}
