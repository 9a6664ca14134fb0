use super::{cluster, groups, quiet, rows};
use crate::scale::follow::{MEMBERS, Room};
use crate::scale::topology::Topology;

#[test]
fn following_anew_costs_as_much_as_there_are_groups() {
    let topology = Topology::new(10, 1);
    let room = Room::open(&topology, &topology.ids().collect()).expect("opens");
    let few = groups(room.home(), 500).expect("follows");
    let many = groups(room.home(), 2_000).expect("follows");
    assert_eq!((few.frames, many.frames), (1, 4));
    let ratio = many.bytes_inside as f64 / few.bytes_inside as f64;
    assert!((3.8..4.2).contains(&ratio), "{ratio}");
    // Hashes do not get smaller.
    assert!(many.bytes_between > 2_000 * 64 && many.bytes_between < many.bytes_inside);
}

#[test]
fn rows_of_all_members_are_there() {
    let topology = Topology::new(10, 1);
    let mut room = Room::open(&topology, &topology.ids().collect()).expect("opens");
    room.read().expect("reads");
    let rows = rows(room.home()).expect("scans");
    assert!(
        rows.member_bytes > 40.0 && rows.cursor_bytes > 40.0,
        "{rows:?}"
    );
    assert_eq!(MEMBERS, 101);
}

#[test]
fn a_node_follows_all_shards_that_it_does_not_vote_on() {
    let topology = Topology::new(60, 1);
    let found = cluster(&topology).expect("looks");
    assert_eq!(found.shards, 48);
    // Sixteen shards with three voters each, among twenty nodes.
    let own = 16.0 * 3.0 / 20.0;
    assert!((found.followed - (48.0 - own)).abs() < 1e-9, "{found:?}");
    assert!(found.upstreams < 60.0 && found.most_on_a_stream >= 1);
    let quiet = quiet().expect("writes");
    assert!(quiet.silence_bytes[0] < quiet.watermark_bytes[0]);
}
