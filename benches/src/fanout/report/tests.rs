use hdrhistogram::Histogram;

use super::*;

fn cell(host: &str, kind: Kind, rate: Option<f64>, cost: f64) -> Cell {
    let delays = Percentiles::of(&Histogram::new(3).unwrap());
    Cell {
        host: host.to_owned(),
        kind,
        floor: (kind == Kind::Ours).then_some("floor, tls"),
        version: String::new(),
        notes: String::new(),
        size: Size {
            listeners: 10,
            slow: 0,
        },
        rate,
        deliveries_per_second: 1e6 / cost,
        cpu_seconds_per_million: cost,
        delay_ms: delays,
        late_ms: delays,
        lost: 0,
        memory: 0,
        usage: Usage {
            server: 50.0,
            generator: 95.0,
            others: 0.0,
        },
        limit: Limit::None,
    }
}

fn report(cells: Vec<Cell>) -> Report {
    let folder = std::env::temp_dir();
    let cores = crate::machine::Cores::choose().unwrap();
    let mut report = Report::new(Machine::here(&cores, &folder), Duration::from_secs(1));
    for cell in cells {
        report.add(cell);
    }
    report
}

#[test]
fn the_best_peer_and_the_floor_are_those_under_the_same_load() {
    let ours = cell("ours", Kind::Ours, Some(100.0), 5.0);
    let report = report(vec![
        ours.clone(),
        cell("slow", Kind::Peer, Some(100.0), 12.0),
        cell("fast", Kind::Peer, Some(100.0), 6.0),
        cell("other load", Kind::Peer, None, 1.0),
        cell("floor, tls", Kind::Floor, Some(100.0), 2.0),
        cell("floor, tcp", Kind::Floor, Some(100.0), 1.0),
        cell("floor, tls", Kind::Floor, None, 1.0),
    ]);
    assert_eq!(report.best_peer(&ours).unwrap().host, "fast");
    assert_eq!(report.floor(&ours).unwrap().cpu_seconds_per_million, 2.0);
    let alone = cell("ours", Kind::Ours, Some(1.0), 5.0);
    assert!(report.best_peer(&alone).is_none() && report.floor(&alone).is_none());
}
