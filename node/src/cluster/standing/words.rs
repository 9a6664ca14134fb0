//! What a person is told of a node that waits to vote.

use folkmoot_consensus::Sequencer;

use super::{Standing, State};

impl Standing {
    /// Why this node does not vote on all that it has a part in, in words.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let state = self.state.lock();
        let State {
            judge,
            waiting,
            whole,
            cleared,
            ..
        } = &*state;
        let mut troubles = Vec::new();
        let lacking: Vec<String> = cleared.difference(whole).filter_map(|shard| {
            let raft = self.replica(*shard)?;
            let (lacks, has) = (raft.lacks()?, raft.status().last_log);
            Some(format!(
                "shard {shard} has entries up to {has} and lacks those up to {lacks}: it neither votes for a shorter log nor leads until it has caught up"
            ))
        }).collect();
        if let Some(why) = judge.older()
            && !(waiting.is_empty() && lacking.is_empty())
        {
            troubles.push(format!(
                "the data folder is older than what this node had ({why}): it does not vote before it has caught up"
            ));
        }
        troubles.extend(lacking);
        for (shard, nodes) in waiting {
            let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            troubles.push(format!(
                "shard {shard} does not vote until node {} has said what it knows of this node",
                nodes.join(" and node ")
            ));
        }
        troubles
    }
}
