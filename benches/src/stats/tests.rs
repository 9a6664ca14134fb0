use super::Spread;

#[test]
fn the_median_is_the_one_in_the_middle() {
    let spread = Spread::of(&[5.0, 1.0, 9.0, 2.0, 3.0]).expect("five runs");
    assert_eq!((spread.min, spread.median, spread.max), (1.0, 3.0, 9.0));
    assert_eq!(spread.runs, [5.0, 1.0, 9.0, 2.0, 3.0]);
}

#[test]
fn of_two_it_lies_between_and_of_none_there_is_none() {
    let spread = Spread::of(&[4.0, 2.0]).expect("two runs");
    assert_eq!(spread.median, 3.0);
    assert_eq!(Spread::of(&[]), None);
}
