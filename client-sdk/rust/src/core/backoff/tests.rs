use std::time::Duration;

use proptest::prelude::{any, prop_assert, proptest};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Backoff;

#[test]
fn the_bound_doubles_up_to_the_cap() {
    let backoff = Backoff {
        base: Duration::from_millis(100),
        cap: Duration::from_secs(1),
    };
    let bounds: Vec<u128> = (0..7).map(|n| backoff.bound(n).as_millis()).collect();
    assert_eq!(bounds, [100, 100, 200, 400, 800, 1000, 1000]);
    assert_eq!(backoff.bound(u32::MAX), Duration::from_secs(1));
}

#[test]
fn delays_fill_the_whole_range() {
    let backoff = Backoff {
        base: Duration::from_millis(800),
        cap: Duration::from_secs(5),
    };
    let mut rng = StdRng::seed_from_u64(7);
    let quarters: Vec<usize> = (0..400)
        .map(|_| backoff.delay(1, Duration::ZERO, &mut rng).as_millis() as usize / 201)
        .collect();
    for quarter in 0..4 {
        let hits = quarters.iter().filter(|q| **q == quarter).count();
        assert!(hits > 60, "quarter {quarter} was drawn {hits} times of 400");
    }
}

proptest! {
    #[test]
    fn a_delay_lies_between_what_was_asked_and_the_bound(
        seed in any::<u64>(), failures in any::<u32>(), asked_ms in 0u64..60_000
    ) {
        let backoff = Backoff::default();
        let asked = Duration::from_millis(asked_ms);
        let delay = backoff.delay(failures, asked, &mut StdRng::seed_from_u64(seed));
        prop_assert!(delay >= asked);
        prop_assert!(delay <= asked + backoff.bound(failures));
    }
}
