use super::*;

fn batch(from: u64, to: u64) -> Batch {
    Batch {
        from,
        sequenced: (from..=to).collect(),
    }
}

#[test]
fn pushes_follow_each_other() {
    let mut place = Place::at(5);
    assert_eq!(place.pushed(&batch(6, 8)), Came::New(0));
    assert_eq!(place.pushed(&batch(9, 9)), Came::New(0));
    assert_eq!((place.last, place.lacks()), (9, false));
}

#[test]
fn a_hole_and_a_second_delivery_are_wrong() {
    let mut place = Place::at(5);
    assert_eq!(place.pushed(&batch(7, 8)), Came::Wrong);
    let mut place = Place::at(5);
    assert_eq!(place.pushed(&batch(6, 8)), Came::New(0));
    assert_eq!(place.pushed(&batch(8, 9)), Came::Wrong);
}

#[test]
fn behind_a_gap_all_is_fetched_and_may_come_again() {
    let mut place = Place::at(5);
    place.gap(9);
    assert!(place.lacks());
    // It comes before the answer.
    assert_eq!(place.pushed(&batch(10, 12)), Came::Ahead);
    assert_eq!(place.fetched(&batch(6, 9)), Came::New(0));
    assert!(place.lacks(), "10 to 12 were dropped");
    assert_eq!(place.fetched(&batch(10, 14)), Came::New(0));
    assert_eq!((place.last, place.lacks()), (14, false));
    // They were on their way.
    assert_eq!(place.pushed(&batch(13, 13)), Came::Again);
    assert_eq!(place.pushed(&batch(14, 16)), Came::New(1));
    assert_eq!(place.pushed(&batch(16, 17)), Came::Wrong);
    assert_eq!(place.fetched(&batch(19, 20)), Came::Wrong);
}
