use folkmoot_wire::Slot;

use super::*;

const HOME: RegionId = RegionId(1);
const OTHER: RegionId = RegionId(2);

/// So many senders at home and in another region.
fn senders(at_home: u8, elsewhere: u8) -> Senders {
    let mut senders = Senders::default();
    for n in 0..at_home + elsewhere {
        let region = if n < at_home { HOME } else { OTHER };
        senders.spoke(UserId::new(HOME, Slot(1), [n; 11]), region);
    }
    senders
}

#[test]
fn a_group_stays_unless_more_than_half_sit_in_one_other_region() {
    assert_eq!(senders(3, 2).better_home(HOME), None);
    assert_eq!(senders(3, 3).better_home(HOME), None);
    assert_eq!(senders(3, 4).better_home(HOME), Some(OTHER));
    assert_eq!(senders(0, 9).better_home(HOME), Some(OTHER));
}

#[test]
fn once_it_has_moved_it_stays() {
    assert_eq!(senders(3, 4).better_home(OTHER), None);
}

#[test]
fn no_region_has_most_when_they_are_spread() {
    let mut senders = senders(2, 3);
    senders.spoke(UserId::new(HOME, Slot(1), [90; 11]), RegionId(3));
    assert_eq!(senders.better_home(HOME), None);
}

#[test]
fn a_few_move_nothing() {
    assert_eq!(senders(0, 3).better_home(HOME), None);
}

#[test]
fn where_somebody_spoke_last_counts() {
    let mut senders = senders(2, 3);
    let traveller = UserId::new(HOME, Slot(1), [4; 11]);
    senders.spoke(traveller, HOME);
    assert_eq!(senders.better_home(HOME), Some(OTHER));
}
