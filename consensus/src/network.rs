//! openraft's network on a [`RaftLink`].

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::{NodeId, ShardId, proto};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use serde::de::DeserializeOwned;

use crate::applier::{Snapshot, SnapshotData};
use crate::codec::damaged;
use crate::log::ShardLog;
use crate::tally::Tally;
use crate::types::{LogId, Types, Vote};
use crate::wire::{Kind, decode, encode, encode_append};
use crate::{Inspector, LinkError, Mark, RaftLink, RaftOptions};

type RpcError = RPCError<Types>;

/// Makes the ways to the other replicas of one shard.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) shard: ShardId,
    me: NodeId,
    link: Arc<dyn RaftLink>,
    log: ShardLog,
    pub(crate) inspector: Arc<dyn Inspector>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) call_deadline: Duration,
    pub(crate) install_deadline: Duration,
    pub(crate) part_bytes: usize,
    /// Transfers of snapshots begun so far.
    pub(crate) transfers: Arc<AtomicU64>,
}

impl Network {
    pub(crate) fn new(
        shard: ShardId,
        me: NodeId,
        link: Arc<dyn RaftLink>,
        log: ShardLog,
        inspector: Arc<dyn Inspector>,
        tally: Arc<Tally>,
        options: &RaftOptions,
    ) -> Self {
        Self {
            shard,
            me,
            link,
            log,
            inspector,
            tally,
            call_deadline: options.call_deadline,
            install_deadline: options.install_deadline,
            part_bytes: options.part_bytes,
            transfers: Arc::default(),
        }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: u32, _: &openraft::impls::EmptyNode) -> Way {
        Way {
            network: self.clone(),
            to: NodeId(target),
        }
    }
}

/// The way to one replica.
pub(crate) struct Way {
    pub(crate) network: Network,
    pub(crate) to: NodeId,
}

/// What another replica said.
pub(crate) enum Answer {
    Done(Bytes),
    /// Why not. Who says so of a manifest does not know what that is.
    Refused(String),
    /// Why not, of a snapshot that goes by manifest.
    Declined(String),
}

/// The last entry of a log that took these.
fn last_of(request: &AppendEntriesRequest<Types>) -> Option<LogId> {
    let last = request.entries.last().map(|entry| entry.log_id);
    last.or(request.prev_log_id)
}

fn broken(error: &io::Error) -> RpcError {
    NetworkError::new(error).into()
}

impl Way {
    fn saw(&self, term: u64, index: u64) {
        let (to, shard) = (self.to, self.network.shard);
        self.network.link.saw(to, shard, Mark { term, index });
    }

    pub(crate) async fn exchange(
        &self,
        kind: Kind,
        action: RPCTypes,
        payload: Bytes,
        held: u64,
        deadline: Duration,
    ) -> Result<Answer, RpcError> {
        let timed_out = || {
            RpcError::Timeout(Timeout {
                action,
                id: self.network.me.0,
                target: self.to.0,
                timeout: deadline,
            })
        };
        let message = proto::RaftMessage {
            shard: self.network.shard.0,
            kind: kind as u32,
            payload,
            held,
        };
        // The link keeps the deadline too; this one holds whatever it does.
        let call = self.network.link.call(self.to, message, deadline);
        let answer = match tokio::time::timeout(deadline, call).await {
            Err(_) | Ok(Err(LinkError::Timeout(_))) => return Err(timed_out()),
            Ok(Err(error @ LinkError::Unreachable(_))) => {
                return Err(Unreachable::new(&error).into());
            }
            Ok(Err(error @ LinkError::Broken(_))) => return Err(NetworkError::new(&error).into()),
            Ok(Ok(answer)) => answer,
        };
        let why = || String::from_utf8_lossy(&answer.payload).into_owned();
        match Kind::from_number(answer.kind) {
            Some(Kind::Refused) => Ok(Answer::Refused(why())),
            Some(Kind::Declined) => Ok(Answer::Declined(why())),
            Some(of) if of == kind && answer.shard == self.network.shard.0 => {
                Ok(Answer::Done(answer.payload))
            }
            _ => Err(broken(&damaged("the answer is to another question"))),
        }
    }

    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        kind: Kind,
        action: RPCTypes,
        payload: io::Result<Bytes>,
        deadline: Duration,
    ) -> Result<T, RpcError> {
        self.ask_holding(kind, action, payload, 0, deadline).await
    }

    async fn ask_holding<T: DeserializeOwned>(
        &self,
        kind: Kind,
        action: RPCTypes,
        payload: io::Result<Bytes>,
        held: u64,
        deadline: Duration,
    ) -> Result<T, RpcError> {
        let payload = payload.map_err(|error| broken(&error))?;
        let answer = self.exchange(kind, action, payload, held, deadline).await?;
        match answer {
            Answer::Done(answer) => decode(&answer).map_err(|error| broken(&error)),
            // It is there and cannot answer (not started, stopped, busy): a
            // pause before the next try is due.
            Answer::Refused(why) | Answer::Declined(why) => {
                Err(Unreachable::from_string(why).into())
            }
        }
    }
}

impl RaftNetworkV2<Types> for Way {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RpcError> {
        // A heartbeat that is late is worthless; entries are worth waiting for.
        let deadline = if request.entries.is_empty() {
            option.soft_ttl()
        } else {
            self.network.call_deadline
        };
        let payload = encode_append(&request);
        let action = RPCTypes::AppendEntries;
        let term = request.vote.leader_id.term;
        let held = self.network.log.held_in(term);
        let answer = self
            .ask_holding(Kind::Append, action, payload, held, deadline)
            .await?;
        let last = match &answer {
            AppendEntriesResponse::Success => Some(last_of(&request)),
            AppendEntriesResponse::PartialSuccess(last) => Some(*last),
            _ => None,
        };
        if let Some(last) = last {
            self.saw(term, last.map_or(0, |last| last.index));
        }
        Ok(answer)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RpcError> {
        let payload = encode(&request);
        let answer: VoteResponse<Types> = self
            .ask(Kind::Vote, RPCTypes::Vote, payload, option.soft_ttl())
            .await?;
        if answer.vote_granted && answer.vote == request.vote {
            self.saw(request.vote.leader_id.term, 0);
        }
        Ok(answer)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RpcError> {
        let payload = encode(&request);
        self.ask(Kind::PreVote, RPCTypes::Vote, payload, option.soft_ttl())
            .await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = self.send_snapshot(vote, snapshot) => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RpcError> {
        let payload = encode(&request);
        self.ask(
            Kind::Transfer,
            RPCTypes::TransferLeader,
            payload,
            option.soft_ttl(),
        )
        .await
    }
}
