use super::{Bytes, round_trips};
use crate::demo::wan::Sample;

fn sample(quic: u64, gossip: u64) -> Sample {
    Sample {
        quic: vec![vec![0, quic, 2 * quic], vec![quic, 0, 0], vec![0, 0, 0]],
        gossip: vec![vec![0, gossip, 0], vec![0, 0, 0], vec![0, 0, 0]],
        dropped: 3,
    }
}

#[test]
fn bytes_are_those_of_the_replay_and_the_ratio_counts_copies() {
    let bytes = Bytes::of(&sample(100, 10), &sample(600, 60), 1_000, 25);
    assert_eq!(bytes.between_regions, 4 * 500 + 50);
    assert_eq!(bytes.entries_to_other_regions, 2_000);
    assert_eq!(bytes.ratio, Some(2_050.0 / 2_000.0));
    assert_eq!(bytes.ratio_without_gossip, Some(1.0));
    assert_eq!(bytes.ratio_to_all_entries, Some(1.0));
    assert_eq!(bytes.whole_run, 4 * 600 + 60);
    assert_eq!(bytes.packets_dropped, 3);
    assert_eq!(bytes.ways.len(), 6);
    let first = &bytes.ways[0];
    assert_eq!((first.from.as_str(), first.to.as_str()), ("eu", "us"));
    assert_eq!((first.quic, first.gossip), (500, 50));
}

#[test]
fn one_region_has_no_ratio() {
    let none = Sample {
        quic: vec![vec![0]],
        gossip: vec![vec![0]],
        dropped: 0,
    };
    let bytes = Bytes::of(&none, &none, 1_000, 5);
    assert_eq!((bytes.ratio, bytes.entries_to_other_regions), (None, 0));
}

#[test]
fn round_trips_are_scaled() {
    let trips = round_trips(3, 0.5);
    let ms: Vec<f64> = trips.iter().map(|trip| trip.2).collect();
    assert_eq!(ms, [37.5, 105.0, 70.0]);
}
