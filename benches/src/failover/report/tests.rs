use std::time::Duration;

use super::Times;

fn of(ms: impl IntoIterator<Item = u64>) -> Times {
    Times::of(ms.into_iter().map(Duration::from_millis))
}

#[test]
fn percentiles_are_times_that_were_measured() {
    let times = of((1..=200).rev());
    let got = [times.min, times.p50, times.p90, times.p99, times.max];
    assert_eq!(got, [1.0, 100.0, 180.0, 198.0, 200.0]);
}

#[test]
fn of_few_the_99th_is_the_longest() {
    let times = of([5, 700, 3]);
    assert_eq!([times.min, times.p50, times.p99], [3.0, 5.0, 700.0]);
}

#[test]
fn of_none_there_is_nothing() {
    assert_eq!(of([]).max, 0.0);
}
