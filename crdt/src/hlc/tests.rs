use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy;

use super::{Hlc, HlcClock, RESERVE_MS};

#[derive(Debug, Clone)]
enum Step {
    Tick(u64),
    Observe(u64, u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    // Wall clocks that jump back and forth, and peers near and far.
    let wall = 1_000_000u64..1_050_000;
    prop_oneof![
        4 => wall.clone().prop_map(Step::Tick),
        2 => (any::<u64>(), wall.clone()).prop_map(|(r, w)| Step::Observe(r, w)),
        2 => (wall.clone(), any::<u16>(), wall)
            .prop_map(|(r, c, w)| Step::Observe(Hlc::from_parts(r, c).as_u64(), w)),
        1 => proptest::strategy::Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn parts_and_word_and_text_round_trip_and_sort_alike(a in any::<u64>(), b in any::<u64>()) {
        let (x, y) = (Hlc::from_u64(a), Hlc::from_u64(b));
        prop_assert_eq!(Hlc::from_parts(x.millis(), x.counter()), x);
        prop_assert_eq!(x.to_string().parse::<Hlc>(), Ok(x));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert_eq!(x.to_string().cmp(&y.to_string()), x.cmp(&y));
        prop_assert_eq!(
            (x.millis(), x.counter()).cmp(&(y.millis(), y.counter())),
            x.cmp(&y)
        );
    }

    #[test]
    fn only_its_own_text_parses(text in "[0-9a-fA-F+_ ]{14,18}") {
        if let Ok(hlc) = text.parse::<Hlc>() {
            prop_assert_eq!(hlc.to_string(), text);
        }
    }

    #[test]
    fn usable_stamps_rise_whatever_the_wall_clock_peers_and_restarts_do(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut disk = Hlc::ZERO;
        let mut clock = HlcClock::new(disk);
        let mut last_used = Hlc::ZERO;
        for step in steps {
            match step {
                Step::Tick(wall) => {
                    let stamp = clock.tick(wall);
                    prop_assert!(stamp > last_used);
                    if !clock.is_covered(stamp) {
                        let bound = clock.persist_due();
                        prop_assert!(bound.is_some(), "uncovered and not due");
                        disk = bound.unwrap_or_default();
                        clock.persisted(disk);
                    }
                    prop_assert!(clock.is_covered(stamp));
                    prop_assert!(stamp <= disk);
                    last_used = stamp;
                }
                Step::Observe(remote, wall) => {
                    let (remote, before) = (Hlc::from_u64(remote), clock.last());
                    match clock.observe(remote, wall, 500) {
                        Ok(()) => {
                            prop_assert!(remote.millis() <= wall + 500);
                            prop_assert!(clock.last() >= remote);
                        }
                        Err(drift) => {
                            prop_assert_eq!(drift.ahead_ms, remote.millis() - wall);
                            prop_assert_eq!(clock.last(), before);
                        }
                    }
                }
                Step::Restart => clock = HlcClock::new(disk),
            }
        }
    }
}

#[test]
fn a_full_counter_carries_into_the_milliseconds() {
    let full = Hlc::from_parts(7, u16::MAX);
    assert_eq!(full.next(), Hlc::from_parts(8, 0));
    assert_eq!(Hlc::MAX.next(), Hlc::MAX);
    assert_eq!(Hlc::from_parts(u64::MAX, 3).millis(), (1 << 48) - 1);
}

#[test]
fn a_stamp_follows_the_wall_and_then_counts() {
    let mut clock = HlcClock::new(Hlc::ZERO);
    assert_eq!(clock.tick(100), Hlc::from_parts(100, 0));
    assert_eq!(clock.tick(100), Hlc::from_parts(100, 1));
    assert_eq!(clock.tick(99), Hlc::from_parts(100, 2));
    assert_eq!(clock.observe(Hlc::from_parts(600, 9), 100, 500), Ok(()));
    assert_eq!(clock.tick(100), Hlc::from_parts(600, 10));
    assert!(clock.observe(Hlc::from_parts(601, 0), 100, 500).is_err());
    assert_eq!(
        clock.observe(Hlc::from_parts(9_000, 0), 100, u64::MAX),
        Ok(())
    );
    assert_eq!(clock.tick(100), Hlc::from_parts(9_000, 1));
}

#[test]
fn one_write_of_the_bound_serves_many_stamps() {
    let mut clock = HlcClock::new(Hlc::ZERO);
    let mut writes = 0;
    for ms in 0..RESERVE_MS * 10 {
        clock.tick(ms);
        if let Some(bound) = clock.persist_due() {
            assert!(bound.millis() >= ms + RESERVE_MS);
            clock.persisted(bound);
            assert_eq!(clock.persist_due(), None);
            writes += 1;
        }
    }
    assert!((10..=21).contains(&writes), "{writes} writes");
}

#[test]
fn a_restart_stamps_above_the_bound_although_the_wall_clock_went_back() {
    let bound = Hlc::from_parts(5_000, 7);
    assert_eq!(HlcClock::new(bound).tick(10), bound.next());
}
