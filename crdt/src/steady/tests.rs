use proptest::prelude::{any, prop, prop_assert, proptest};

use super::{Belief, SLEW_MS, SteadyClock};

const NOW: u64 = 1_800_000_000_000;
const MINUTE: u64 = 60_000;

#[test]
fn small_corrections_are_followed_and_a_step_is_not() {
    let mut clock = SteadyClock::new(NOW, 0);
    let read = |clock: &mut SteadyClock, off: i64, at: u64| {
        let system = (NOW + at).saturating_add_signed(off);
        clock.read(system, at, Belief::Steady) as i64 - (NOW + at) as i64
    };
    assert_eq!(read(&mut clock, 0, 1_000), 0);
    assert_eq!(read(&mut clock, 40, 2_000), 40);
    assert_eq!(read(&mut clock, -10, 3_000), -10);
    assert_eq!(read(&mut clock, 60_000, 4_000), -10);
    assert_eq!(read(&mut clock, -60_000, 5_000), -10);
    assert_eq!(read(&mut clock, 0, 6_000), 0, "set right again");
}

#[test]
fn the_owner_may_follow_a_step_either_way() {
    for system in [NOW + MINUTE, NOW - MINUTE] {
        let mut clock = SteadyClock::new(NOW, 0);
        assert_eq!(clock.read(system, 0, Belief::Steady), NOW);
        clock.follow(system, 0);
        assert_eq!(clock.read(system + 7, 7, Belief::Steady), system + 7);
    }
}

#[test]
fn alone_it_goes_forward_at_once_and_back_by_lingering() {
    let mut clock = SteadyClock::new(NOW, 0);
    let ahead = NOW + MINUTE;
    assert_eq!(clock.read(ahead, 0, Belief::System), ahead);
    // Set right again: it lingers for two minutes, however often it is read.
    for at in 0..2 * MINUTE - 3 * SLEW_MS {
        let shown = clock.read(NOW + at, at, Belief::System);
        assert_eq!(shown, ahead + at / 2, "after {at} ms");
    }
    let at = 2 * MINUTE;
    assert_eq!(clock.read(NOW + at, at, Belief::System), NOW + at);
}

proptest! {
    #[test]
    fn while_others_are_believed_no_step_moves_it(
        steps in prop::collection::vec((0..10_000_u64, any::<i32>()), 1..50),
    ) {
        let mut clock = SteadyClock::new(NOW, 0);
        let mut at = 0;
        for (pause, off) in steps {
            at += pause;
            let system = (NOW + at).saturating_add_signed(i64::from(off));
            let shown = clock.read(system, at, Belief::Steady);
            // As far as fifty corrections go that look like synchronisation.
            prop_assert!(shown.abs_diff(NOW + at) <= 50 * SLEW_MS);
        }
    }

    #[test]
    fn alone_it_never_goes_back(
        steps in prop::collection::vec((0..10_000_u64, any::<i32>()), 1..50),
    ) {
        let mut clock = SteadyClock::new(NOW, 0);
        let (mut at, mut last) = (0, NOW);
        for (pause, off) in steps {
            at += pause;
            let system = (NOW + at).saturating_add_signed(i64::from(off));
            let shown = clock.read(system, at, Belief::System);
            prop_assert!(shown + SLEW_MS >= last, "{shown} after {last}");
            last = shown;
        }
    }
}
