//! What a node tells of itself.

use folkmoot_replication::placement::Shard;
use folkmoot_wire::proto::{NodeStatus, ShardStatus};
use folkmoot_wire::version;

use super::clocks::Trouble;
use super::parts::StatusSource;
use super::start::Node;
use folkmoot_consensus::Sequencer;

impl StatusSource for Node {
    fn status(&self) -> NodeStatus {
        let placement = self.view.placement();
        let shards = placement
            .shards()
            .map(|shard| self.shard_status(shard))
            .collect();
        let edge = self.edge.stats();
        NodeStatus {
            node: self.me.0,
            shards,
            sessions_quic: edge.sessions_quic,
            sessions_ws: edge.sessions_websocket,
            uptime_ms: self.stamps.wall_ms().saturating_sub(self.started_ms),
            must_not_lead: self
                .clocks
                .trouble(&self.stamps)
                .is_some_and(Trouble::bars_from_leading)
                || !self.standing.troubles().is_empty(),
            apply_version: version::APPLY,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Node {
    fn shard_status(&self, shard: &Shard) -> ShardStatus {
        let feed = self.feeds.get(shard.id).map(|feed| *feed.status().borrow());
        let feed = feed.unwrap_or_default();
        let mut status = ShardStatus {
            shard: shard.id.0,
            followers: feed.followers as u32,
            followed: feed.watermark,
            ..ShardStatus::default()
        };
        if let Some(voter) = self.voters.get(shard.id) {
            let raft = voter.raft.status();
            status.voter = true;
            status.leader = raft.leader.map_or(0, |node| node.0);
            status.term = raft.term;
            status.last_log = raft.last_log;
            status.last_applied = raft.last_applied;
        } else {
            status.leader = self.view.leader(shard.id).map_or(0, |node| node.0);
        }
        status
    }
}
