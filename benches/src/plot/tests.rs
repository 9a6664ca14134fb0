use super::{Axis, Chart, Series, short};

fn chart() -> Chart {
    Chart {
        title: "Cost".into(),
        x: Axis::log("nodes"),
        y: Axis::log("bytes a second"),
        series: vec![
            Series::new("measured", [(10.0, 200.0), (1_000.0, 4_000.0)]),
            Series::new("wanted", [(10.0, 100.0), (100.0, 0.0), (1_000.0, 100.0)]),
        ],
    }
}

#[test]
fn a_chart_says_what_it_shows() {
    let svg = chart().svg().expect("draws");
    for said in ["Cost", "nodes", "bytes a second", "measured", "wanted"] {
        assert!(svg.contains(said), "{said} is missing");
    }
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
}

#[test]
fn what_has_no_logarithm_is_left_out() {
    let chart = chart();
    let circles = |chart: &Chart| chart.svg().expect("draws").matches("<circle").count();
    assert_eq!(circles(&chart), 4);
    let linear = Chart {
        y: Axis::linear("bytes a second"),
        ..chart
    };
    assert_eq!(circles(&linear), 5);
}

#[test]
fn the_same_chart_is_the_same_bytes() {
    assert_eq!(chart().svg().expect("draws"), chart().svg().expect("draws"));
}

#[test]
fn nothing_to_show_is_no_fault() {
    let empty = Chart {
        series: Vec::new(),
        ..chart()
    };
    assert!(empty.svg().is_ok());
}

#[test]
fn labels_are_short() {
    let said = [0.25, 1.0, 40.0, 2_000.0, 1_500_000.0, 3e9].map(short);
    assert_eq!(said, ["0.25", "1", "40", "2k", "1.5M", "3G"]);
}
