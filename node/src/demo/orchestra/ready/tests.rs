use serde_json::{Value, json};

use super::{is_shared_out, regions_of};

fn shared_out(shards: &[Value]) -> bool {
    let nodes = [(1, "eu"), (2, "eu"), (3, "us")];
    let nodes = nodes.map(|(node, region)| json!({ "node": node, "region": region }));
    is_shared_out(&regions_of(&nodes), shards)
}

#[test]
fn shards_are_shared_out_when_each_node_has_its_part_and_none_moves() {
    let shard = |voter: u64| json!({ "voters": [voter], "next": [] });
    assert!(!shared_out(&[shard(1), shard(1), shard(3)]));
    assert!(shared_out(&[shard(1), shard(2), shard(3)]));
    assert!(shared_out(&[shard(1), shard(3), shard(3), shard(3)]));
    let moves = json!({ "voters": [1], "next": [2] });
    assert!(!shared_out(&[shard(2), moves]));
}
