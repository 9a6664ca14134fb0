use std::time::Duration;

use super::*;
use crate::crowd::Floor;
use crate::machine::Usage;

fn round(ms: u64, waits: &[u64]) -> Round {
    let mut histogram = Histogram::new(3).unwrap();
    for wait in waits {
        histogram.record(*wait * 1_000).unwrap();
    }
    Round {
        waits: histogram,
        time: Duration::from_millis(ms),
        usage: Usage {
            server: 50.0,
            generator: 95.0,
            others: 0.0,
        },
        metered: Duration::from_millis(ms),
        before: 100,
        most: 100 + ms,
    }
}

#[test]
fn a_row_is_of_all_rounds() {
    let rounds = [
        round(1_000, &[10, 20]),
        round(500, &[30]),
        round(2_000, &[1_999]),
    ];
    let row = Row::new(&Floor::Tls, String::new(), 1_000_000, &rounds).unwrap();
    assert_eq!(row.rate(), 1_000_000.0);
    assert_eq!(row.messages_per_second.max, 2_000_000.0);
    // 3.5 s at half a core, for three million.
    assert!((row.cpu_seconds_per_million - 1.75 / 3.0).abs() < 1e-9);
    assert!((1_990.0..2_010.0).contains(&row.wait_ms.most));
    assert_eq!((row.memory_before, row.memory_more), (100, 2_000));
    assert_eq!(row.limit, Limit::Generator);
}

#[test]
fn a_row_is_compared_by_its_rate() {
    let row = |host: &str, ms| {
        let row = Row::new(&Floor::Tls, String::new(), 1_000, &[round(ms, &[1])]).unwrap();
        let (host, kind) = (host.to_owned(), Kind::Peer);
        Row { host, kind, ..row }
    };
    let report = Report {
        machine: Machine::here(
            &crate::machine::Cores::choose().unwrap(),
            &std::env::temp_dir(),
        ),
        clients: 1,
        newest: 1,
        rows: vec![row("fast", 100), row("slow", 300)],
    };
    let times = report.times(&report.rows[0], "slow").unwrap();
    assert!((times - 3.0).abs() < 0.01, "{times}");
    assert!(report.times(&report.rows[0], "nobody").is_none());
    assert_eq!(report.peers().count(), 2);
}
