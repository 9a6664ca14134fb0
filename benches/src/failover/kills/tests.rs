use super::Outcome;

#[test]
fn what_is_lost_and_what_is_doubled_is_counted() {
    let outcome = Outcome::new(Vec::new(), &[1, 2, 3, 4], &[2, 1, 4, 2, 9, 9, 9]);
    assert_eq!(outcome.acknowledged, 4);
    assert_eq!(outcome.lost, 1, "only 3 was acknowledged and is not there");
    assert_eq!(outcome.doubled, 2, "2 and 9, however often");
}

#[test]
fn what_was_stored_and_never_acknowledged_is_no_fault() {
    let outcome = Outcome::new(Vec::new(), &[1], &[1, 2]);
    assert_eq!((outcome.lost, outcome.doubled), (0, 0));
}
