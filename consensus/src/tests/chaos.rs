//! Cuts, crashes and power cuts in an order drawn from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use folkmoot_storage::Crash;
use folkmoot_wire::NodeId;

use super::Cluster;
use super::snapshot::small;
use crate::Sequencer;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn node(&mut self) -> u32 {
        u32::try_from(self.below(3)).unwrap() + 1
    }

    fn crash(&mut self) -> Crash {
        match self.below(3) {
            0 => Crash::LoseUnsynced,
            _ => Crash::KeepPrefix {
                seed: self.below(u64::MAX),
            },
        }
    }
}

async fn run(seed: u64) {
    let mut draw = Draw(seed);
    // Slower than the network, as fast, faster.
    let mut disk = || Duration::from_millis([1, 6, 40][draw.below(3) as usize]);
    let disks = (1..=3).map(|node| (node, disk())).collect();
    let mut cluster = Cluster::on_disks(3, small().with_seed(seed), disks).await;
    // What was acknowledged, by the number it was given.
    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    for step in 0..60 {
        match draw.below(12) {
            0 => cluster.hub.isolate(draw.node()),
            1 => cluster.hub.heal(),
            2 => {
                let (node, crash) = (draw.node(), draw.crash());
                cluster.crash(node, crash).await;
            }
            3 => {
                let mut survivors = Vec::new();
                for node in 1..=3 {
                    survivors.push((node, cluster.cut_power(node, draw.crash()).await));
                }
                for (node, store) in survivors {
                    cluster.start(node, store).await;
                }
            }
            4 => {
                // Fails as it likes: there may be no leader.
                let (from, to) = (draw.node(), NodeId(draw.node()));
                let _ = cluster.shard(from).transfer(to).await;
            }
            5 => tokio::time::sleep(Duration::from_millis(draw.below(4_000))).await,
            _ => {
                for i in 0..draw.below(12) {
                    let node = draw.node();
                    let text = format!("s{step}-{i}-{node}");
                    let wait = Duration::from_millis(1 + draw.below(100));
                    let proposed = cluster.propose(node, &text);
                    if let Ok(Ok(proposed)) = tokio::time::timeout(wait, proposed).await {
                        let number = proposed.outcome.as_ref().try_into().unwrap();
                        let number = u64::from_be_bytes(number);
                        let other = acknowledged.insert(number, text);
                        assert_eq!(other, None, "seed {seed}: {number} given twice");
                    }
                }
            }
        }
    }
    cluster.hub.heal();
    // Whoever was cut off longest may still stand for election.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let leader = cluster.leader().await;
    cluster.propose(leader, "end").await.unwrap();
    let payloads = cluster.converged().await;
    for (number, text) in &acknowledged {
        let at = usize::try_from(number - 1).unwrap();
        assert_eq!(payloads.get(at).unwrap(), text, "seed {seed}");
    }
    for node in cluster.nodes.values() {
        node.shard.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_stays_where_it_is() {
    for seed in 0..100 {
        run(seed).await;
    }
}
