//! Messages that should not be.

use bytes::Bytes;
use folkmoot_wire::{NodeId, proto};
use openraft::raft::{AppendEntriesRequest, VoteRequest};

use super::{Cluster, SHARD};
use crate::types::{Types, Vote};
use crate::wire::{Kind, encode, encode_append};
use crate::{RaftOptions, Sequencer};

fn message(kind: u32, payload: Bytes) -> proto::RaftMessage {
    proto::RaftMessage {
        shard: SHARD.0,
        kind,
        payload,
        held: 0,
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_speaks_for_another_node() {
    let cluster = Cluster::new(3, RaftOptions::default()).await;
    let leader = cluster.leader().await;
    let term = cluster.shard(leader).status().term;
    let vote = Vote::new_committed(term + 5, 2);
    let append = AppendEntriesRequest::<Types> {
        vote,
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    let request = VoteRequest::<Types>::new(Vote::new(term + 5, 2), None);
    for forged in [
        message(Kind::Append as u32, encode_append(&append).unwrap()),
        message(Kind::Vote as u32, encode(&request).unwrap()),
        message(Kind::PreVote as u32, encode(&request).unwrap()),
    ] {
        let answer = cluster.shard(1).handle(NodeId(3), forged).await;
        assert_eq!(answer.kind, Kind::Refused as u32);
    }
    assert_eq!(cluster.shard(1).status().term, term);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_refused() {
    let cluster = Cluster::new(1, RaftOptions::default()).await;
    cluster.leader().await;
    for kind in 0..20 {
        for len in [0, 1, 4, 7, 40] {
            for byte in [0, 1, 0x7f, 0xff] {
                let garbage = Bytes::from(vec![byte; len]);
                let answer = cluster.shard(1).handle(NodeId(9), message(kind, garbage));
                let refused = match kind {
                    6..=8 => Kind::Declined,
                    _ => Kind::Refused,
                };
                assert_eq!(answer.await.kind, refused as u32);
            }
        }
    }
    let mut other = message(Kind::Append as u32, Bytes::new());
    other.shard += 1;
    let answer = cluster.shard(1).handle(NodeId(9), other).await;
    assert_eq!(answer.kind, Kind::Refused as u32);
    cluster.propose(1, "p").await.unwrap();
}
