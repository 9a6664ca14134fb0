//! Answers the messages of other replicas.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use folkmoot_wire::{NodeId, ShardId, proto, without};
use openraft::Raft;
use openraft::raft::{AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, VoteRequest};

use crate::applier::{Applier, Snapshot, SnapshotData};
use crate::codec::damaged;
use crate::log::ShardLog;
use crate::manifest::{Step, decode_chunks, decode_part as decode_part_of_manifest};
use crate::stage::{Stage, Staged};
use crate::types::{SnapshotMeta, Types, Vote};
use crate::wire::{Kind, decode, decode_append, decode_part, encode};
use crate::{Mark, RaftLink};

/// The receiving end of one replica.
pub(crate) struct Inbound {
    shard: ShardId,
    raft: Raft<Types, Applier>,
    stage: Arc<Stage>,
    /// Appends refused because they were of an older term.
    stale: AtomicU64,
    link: Arc<dyn RaftLink>,
    pub(crate) log: ShardLog,
    snapshot_first: bool,
}

/// A node may only speak for itself: one that is wrong about who it is must
/// not vote or lead in another's name.
fn check_sender(from: NodeId, vote: &Vote) -> io::Result<()> {
    if vote.leader_id.voted_for == from.0 {
        return Ok(());
    }
    Err(damaged(format!(
        "node {from} speaks for node {}",
        vote.leader_id.voted_for
    )))
}

impl Inbound {
    pub(crate) fn new(
        shard: ShardId,
        raft: Raft<Types, Applier>,
        stage: Arc<Stage>,
        log: ShardLog,
        link: Arc<dyn RaftLink>,
        snapshot_first: bool,
    ) -> Self {
        Self {
            shard,
            raft,
            stage,
            stale: AtomicU64::new(0),
            link,
            log,
            snapshot_first,
        }
    }

    /// Appends of older terms that were refused.
    pub(crate) fn stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    pub(crate) async fn handle(
        &self,
        from: NodeId,
        message: proto::RaftMessage,
    ) -> proto::RaftMessage {
        let asked = Kind::from_number(message.kind);
        let (kind, payload) = match self.answer(from, message).await {
            Ok((kind, payload)) => (kind, payload),
            Err(error) => {
                tracing::debug!(shard = %self.shard, %from, %error, "refused a raft message");
                let kind = match asked {
                    Some(Kind::Manifest | Kind::Chunks | Kind::Install) => Kind::Declined,
                    _ => Kind::Refused,
                };
                (kind, Bytes::from(error.to_string()))
            }
        };
        proto::RaftMessage {
            shard: self.shard.0,
            kind: kind as u32,
            payload,
            held: 0,
        }
    }

    async fn answer(&self, from: NodeId, message: proto::RaftMessage) -> io::Result<(Kind, Bytes)> {
        if message.shard != self.shard.0 {
            return Err(damaged(format!(
                "a message for shard {} came to shard {}",
                message.shard, self.shard
            )));
        }
        let kind = Kind::from_number(message.kind)
            .ok_or_else(|| damaged(format!("unknown kind of message {}", message.kind)))?;
        let bytes = message.payload;
        let raft = &self.raft;
        let answer = match kind {
            Kind::Append => {
                let request = decode_append(bytes)?;
                check_sender(from, &request.vote)?;
                let from_the_first = request.prev_log_id.is_none() && !request.entries.is_empty();
                if self.snapshot_first && from_the_first && self.log.is_empty() {
                    return Err(io::Error::other("this replica begins with a snapshot"));
                }
                if message.held > 0 {
                    let term = request.vote.leader_id.term;
                    let index = message.held;
                    self.link.saw(from, self.shard, Mark { term, index });
                }
                without!(EpochCheck => {
                    let mut request = request;
                    let now = raft.with_raft_state(|state| *state.vote_ref()).await;
                    let now = now.map_err(io::Error::other)?;
                    if now > request.vote {
                        request.vote = now;
                    }
                    let answer = raft.append_entries(request).await;
                    return Ok((kind, encode(&answer.map_err(io::Error::other)?)?));
                });
                let answer = raft.append_entries(request).await;
                let answer = answer.map_err(io::Error::other)?;
                if let AppendEntriesResponse::HigherVote(vote) = &answer {
                    self.stale.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(
                        shard = %self.shard, %from, %vote,
                        "refused an append of a leader that is none any more"
                    );
                }
                encode(&answer)
            }
            Kind::Vote | Kind::PreVote => {
                let request: VoteRequest<Types> = decode(&bytes)?;
                check_sender(from, &request.vote)?;
                if self.log.is_short(request.last_log_id.as_ref()) {
                    return Err(io::Error::other("the candidate lacks what was here"));
                }
                let answer = if kind == Kind::Vote {
                    raft.vote(request).await
                } else {
                    raft.pre_vote(request).await
                };
                encode(&answer.map_err(io::Error::other)?)
            }
            Kind::Part => encode(&self.part(from, bytes).await?),
            Kind::Manifest => {
                let part = decode_part_of_manifest(&bytes)?;
                check_sender(from, &part.step.vote)?;
                encode(&self.stage.manifest(from, part).await?)
            }
            Kind::Chunks => {
                let (step, chunks) = decode_chunks(bytes)?;
                check_sender(from, &step.vote)?;
                encode(&self.stage.chunks(from, &step, chunks).await?)
            }
            Kind::Install => {
                let step: Step = decode(&bytes)?;
                check_sender(from, &step.vote)?;
                let (meta, staged) = self.stage.whole(from, &step).await?;
                encode(&self.install(step.vote, meta, staged).await?)
            }
            Kind::Transfer => {
                let request: TransferLeaderRequest<Types> = decode(&bytes)?;
                check_sender(from, request.from_leader())?;
                let answer = raft.handle_transfer_leader(request).await;
                encode(&answer.map_err(io::Error::other)?)
            }
            Kind::Refused | Kind::Declined => Err(damaged("an answer came as a question")),
        };
        answer.map(|answer| (kind, answer))
    }

    async fn part(&self, from: NodeId, bytes: Bytes) -> io::Result<SnapshotResponse<Types>> {
        let (header, page) = decode_part(bytes)?;
        check_sender(from, &header.vote)?;
        let Some(staged) = self.stage.page(from, &header, page).await? else {
            return Ok(SnapshotResponse::new(header.vote));
        };
        self.install(header.vote, header.meta, staged).await
    }

    async fn install(
        &self,
        vote: Vote,
        meta: SnapshotMeta,
        staged: Staged,
    ) -> io::Result<SnapshotResponse<Types>> {
        let snapshot = SnapshotData::Staged(staged);
        self.raft
            .install_full_snapshot(vote, Snapshot { meta, snapshot })
            .await
            .map_err(io::Error::other)
    }
}
