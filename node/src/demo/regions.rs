//! Where the demo's regions stand, and how far apart.

use std::time::Duration;

/// Names of the regions, in the order in which they are used.
pub const NAMES: [&str; 8] = ["eu", "us", "ap", "sa", "af", "in", "au", "me"];

/// Round trips in milliseconds, as seen between data centres of these parts
/// of the world: row by row the distances to the regions before.
const ROUND_TRIPS: [&[u64]; 8] = [
    &[],
    &[75],
    &[210, 140],
    &[185, 115, 255],
    &[150, 220, 290, 320],
    &[125, 200, 90, 300, 240],
    &[260, 195, 105, 290, 330, 150],
    &[95, 165, 150, 260, 190, 40, 220],
];

/// Round trip between two regions, in milliseconds.
#[must_use]
pub fn round_trip_ms(a: usize, b: usize) -> u64 {
    let (far, near) = (a.max(b), a.min(b));
    let row = ROUND_TRIPS.get(far).copied().unwrap_or_default();
    row.get(near).copied().unwrap_or(0)
}

/// The way from one region to another, `scale` times as long as it is.
#[must_use]
pub fn one_way(from: usize, to: usize, scale: f64) -> Duration {
    Duration::from_secs_f64(round_trip_ms(from, to) as f64 / 2_000.0 * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_symmetric() {
        for a in 0..NAMES.len() {
            for b in 0..NAMES.len() {
                assert_eq!(round_trip_ms(a, b), round_trip_ms(b, a));
                assert_eq!(round_trip_ms(a, b) == 0, a == b, "{a} {b}");
            }
        }
        assert_eq!(
            [
                round_trip_ms(0, 1),
                round_trip_ms(1, 2),
                round_trip_ms(2, 0)
            ],
            [75, 140, 210]
        );
    }

    #[test]
    fn delays_are_half_a_round_trip_scaled() {
        assert_eq!(one_way(1, 2, 1.0), Duration::from_millis(70));
        assert_eq!(one_way(1, 2, 0.5), Duration::from_millis(35));
        assert_eq!(one_way(1, 2, 0.0), Duration::ZERO);
        assert_eq!(one_way(1, 1, 1.0), Duration::ZERO);
    }
}
