use std::time::{Duration, Instant};

use super::{Clock, Plan, Seen};

const PLAN: Plan = Plan {
    rate: 1_000,
    warmup: Duration::from_secs(1),
    time: Duration::from_secs(2),
    first: 500,
};

#[test]
fn a_delay_counts_from_when_the_message_was_due() {
    let start = Instant::now();
    let clock = Clock::new(PLAN, start).expect("bounds that fit");
    assert_eq!(clock.due(2_500), start + Duration::from_millis(2_500));
    // Sent late or early does not matter: it was due at 1.2 s.
    let now = start + Duration::from_millis(1_207);
    clock.record(&clock.commit, &[500 + 1_200], now);
    let times = Clock::times(&clock.commit);
    assert_eq!(times.len(), 1);
    assert!((6_900..=7_100).contains(&times.max()), "{}", times.max());
}

#[test]
fn what_is_sent_to_warm_up_is_not_counted() {
    let start = Instant::now();
    let clock = Clock::new(PLAN, start).expect("bounds that fit");
    assert_eq!(PLAN.total(), 3_000);
    clock.record(&clock.commit, &[500, 1_499, 1_500, 3_499, 3_500, 3], start);
    assert_eq!(Clock::times(&clock.commit).len(), 2);
}

#[test]
fn a_second_delivery_and_a_strange_one_are_errors() {
    let mut seen = Seen::new(3);
    seen.take(1).expect("the first time");
    assert_eq!(seen.left, 2);
    assert!(seen.take(1).is_err());
    assert!(seen.take(3).is_err());
    assert!(seen.take(u64::MAX).is_err());
    assert_eq!(seen.left, 2);
}
