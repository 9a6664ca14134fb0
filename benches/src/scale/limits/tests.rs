use super::{Limit, first, line};

fn limit(at: f64, unit: &'static str) -> Limit {
    Limit {
        what: "something",
        bound: "a bound",
        at,
        unit,
        hard: true,
    }
}

#[test]
fn a_line_goes_through_its_ends() {
    let points = [(10.0, 700.0), (100.0, 0.0), (1_000.0, 60_100.0)];
    let (base, slope) = line(points.into_iter()).expect("two points");
    assert!((slope - 60.0).abs() < 1e-9 && (base - 100.0).abs() < 1e-6);
    // One size says nothing of growth.
    assert!(line([(10.0, 700.0)].into_iter()).is_none());
}

#[test]
fn the_first_limit_is_the_least_number_of_nodes() {
    let all = [
        limit(5_000.0, "nodes"),
        limit(10.0, "members"),
        limit(1_100.0, "nodes"),
    ];
    let found = first(&all).expect("there is one");
    assert!((found.at - 1_100.0).abs() < 1e-9);
}
