//! What other nodes ask of this one.

mod fetch;
pub(super) mod pushes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_consensus::{LinkError, Mark, RaftLink, Sequencer};
use folkmoot_transport::{Connection, FramedStream};
use folkmoot_wire::proto::{
    Clock, Done, GossipPacket, JoinReply, NodeReply, NodeRequest, Outcomes, Propose, RaftMessage,
    StreamOpen, node_reply, node_request, stream_open,
};
use folkmoot_wire::{Code, Fault, NodeId, ShardId, limits};
use prost::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::commands::Commands;
use super::feeds::Feeds;
use super::leases::Leases;
use super::meta::{MetaHost, replica_of};
use super::pack::packed;
use super::parts::{Joins, StatusSource};
use super::peers::{Class, Peers, gather};
use super::presence::Presences;
use super::read::LocalReads;
use super::shards::{NotDone, Voters, hand_over};
use super::standing::Standing;
use super::tentatives::Keeper;
use super::via::Tunnels;
use super::view::ClusterView;
use super::witness::Witness;
use crate::edge::Edge;
use crate::ports::Stamps;

/// Requests of one stream worked on at once. More wait in the stream.
const AT_ONCE: usize = 256;
/// Answers that wait to be written. Full: the work waits.
const ANSWERS: usize = 1_024;

/// Where gossip's state packets go.
pub type StatePackets = mpsc::Sender<(NodeId, Bytes)>;

/// Serves other nodes.
pub struct Serve {
    /// This node.
    pub me: NodeId,
    /// Where things live.
    pub view: Arc<ClusterView>,
    /// Reads of the store.
    pub reads: Arc<LocalReads>,
    /// The shards this node votes on.
    pub voters: Arc<Voters>,
    /// How long it may speak for them without their leader.
    pub leases: Arc<Leases>,
    /// Their feeds, and those of the followed ones.
    pub feeds: Arc<Feeds>,
    /// The meta shard.
    pub meta: Arc<MetaHost>,
    /// Gossip's packets.
    pub packets: StatePackets,
    /// Lets nodes in.
    pub joins: Arc<dyn Joins>,
    /// What the node tells of itself.
    pub status: Arc<dyn StatusSource>,
    /// What waits for a home.
    pub keeper: Arc<Keeper>,
    /// Who is there.
    pub presences: Arc<Presences>,
    /// Its clients.
    pub edge: Arc<Edge>,
    /// What is known of others, and what others know of this node.
    pub standing: Arc<Standing>,
    /// Its clock.
    pub stamps: Arc<Stamps>,
    /// What it passes on to others, and what comes so.
    pub tunnels: Tunnels,
    /// Ends everything.
    pub stop: CancellationToken,
}

impl Serve {
    /// Serves one connection until it ends.
    pub async fn connection(self: Arc<Self>, from: NodeId, connection: Arc<dyn Connection>) {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                stream = connection.accept() => match stream {
                    Ok(Some(stream)) => {
                        tokio::spawn(Arc::clone(&self).stream(from, stream));
                    }
                    _ => return,
                },
            }
        }
    }

    async fn stream(self: Arc<Self>, from: NodeId, stream: FramedStream) {
        let (stop, serve) = (self.stop.clone(), Arc::clone(&self));
        let work = self.tunnels.stream(from, stream, |from, stream, open| {
            serve.opened(from, stream, open)
        });
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    async fn opened(self: Arc<Self>, from: NodeId, mut stream: FramedStream, open: StreamOpen) {
        let far = open.packed;
        if far {
            let Ok(unpacked) = packed(stream) else { return };
            stream = unpacked;
        }
        match open.what {
            Some(stream_open::What::Rpc(_)) => self.calls(from, stream, far).await,
            Some(stream_open::What::Follow(_)) => {
                pushes::serve(Arc::clone(&self.feeds), stream, far).await;
            }
            Some(stream_open::What::Gossip(_)) => self.gossip(from, stream).await,
            // Those are not served but passed on.
            Some(stream_open::What::Via(_) | stream_open::What::Tunnel(_)) | None => {}
        }
    }

    async fn calls(self: Arc<Self>, from: NodeId, stream: FramedStream, far: bool) {
        let FramedStream { mut tx, mut rx } = stream;
        let (answers, mut queue) = mpsc::channel::<Bytes>(ANSWERS);
        let writer = tokio::spawn(async move {
            let mut waiting = Vec::new();
            while gather(&mut queue, far, &mut waiting).await {
                if tx.send_many(&waiting).await.is_err() {
                    return;
                }
                waiting.clear();
            }
        });
        let places = Arc::new(Semaphore::new(AT_ONCE));
        while let Ok(Some(frame)) = rx.recv().await {
            let Ok(request) = NodeRequest::decode(frame) else {
                break;
            };
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                break;
            };
            let (serve, answers) = (Arc::clone(&self), answers.clone());
            let work = async move {
                let id = request.id;
                let reply = serve
                    .answer(from, request)
                    .await
                    .unwrap_or_else(|fault| node_reply::Reply::Error(fault.into()));
                let reply = NodeReply {
                    id,
                    reply: Some(reply),
                };
                let _ = answers.send(reply.encode_to_vec().into()).await;
                drop(place);
            };
            // Proposals keep the order they came in: the first poll puts
            // them into the shard's queue.
            let mut work = Box::pin(work);
            if futures_util::poll!(work.as_mut()).is_pending() {
                tokio::spawn(work);
            }
        }
        writer.abort();
    }

    async fn answer(&self, from: NodeId, request: NodeRequest) -> Result<node_reply::Reply, Fault> {
        let Some(what) = request.request else {
            return Err(Code::UnknownRequest.into());
        };
        match what {
            node_request::Request::Raft(message) => self.raft(from, message).await,
            node_request::Request::Propose(propose) => self.propose(propose).await,
            node_request::Request::FetchLog(fetch) => {
                let (shard, group) = self.asked(fetch.shard, &fetch.group)?;
                self.may_answer(&shard, fetch.as_voter)?;
                let slice = self.reads.fetch_log(&shard.place(group), &fetch);
                self.at_home(&shard, &group, slice.map(node_reply::Reply::Log))
            }
            node_request::Request::FetchRows(fetch) => {
                let (shard, group) = self.asked(fetch.shard, &fetch.group)?;
                self.may_answer(&shard, fetch.as_voter)?;
                let page = self.reads.fetch_rows(&shard.place(group), &fetch);
                self.at_home(&shard, &group, page.map(node_reply::Reply::Rows))
            }
            node_request::Request::FindMembers(find) => {
                let (shard, group) = self.asked(find.shard, &find.group)?;
                self.may_answer(&shard, find.as_voter)?;
                let page = self.reads.find_members(&shard.place(group), find);
                self.at_home(&shard, &group, page.map(node_reply::Reply::Members))
            }
            node_request::Request::CountReaders(asked) => {
                let (shard, group) = self.asked(asked.shard, &asked.group)?;
                self.may_answer(&shard, asked.as_voter)?;
                let counts = self.reads.count_readers(&shard.place(group), &asked);
                self.at_home(&shard, &group, counts.map(node_reply::Reply::ReaderCounts))
            }
            node_request::Request::FindReaders(asked) => {
                let (shard, group) = self.asked(asked.shard, &asked.group)?;
                self.may_answer(&shard, asked.as_voter)?;
                let page = self.reads.page_of_readers(&shard.place(group), asked);
                self.at_home(&shard, &group, page.map(node_reply::Reply::Members))
            }
            node_request::Request::ReconcileRows(asked) => {
                let (shard, group) = self.asked(asked.shard, &asked.group)?;
                let diff = self.reads.reconcile(&shard.place(group), &asked).await;
                self.at_home(&shard, &group, diff.map(node_reply::Reply::RowDiff))
            }
            node_request::Request::FetchHead(fetch) => self.head(&fetch),
            node_request::Request::FetchStandings(fetch) => self.standings(&fetch),
            node_request::Request::Tentative(news) => {
                Ok(node_reply::Reply::Held(self.keeper.told(news).await?))
            }
            node_request::Request::Presence(news) => self.presences.answer(from, &news),
            node_request::Request::PresenceStates(states) => {
                self.presences.heard(&self.edge, &states)
            }
            node_request::Request::FetchMeta(fetch) => {
                Ok(node_reply::Reply::Meta(self.meta.answer(fetch).await))
            }
            node_request::Request::MetaCommand(command) => Ok(node_reply::Reply::MetaOutcome(
                self.meta.propose(command).await?,
            )),
            node_request::Request::LeadShard(lead) => {
                let raft = replica_of(&self.voters, &self.meta, ShardId(lead.shard));
                hand_over(raft, NodeId(lead.to)).await?;
                Ok(node_reply::Reply::Done(Done {}))
            }
            node_request::Request::AskOfMe(asked) => Ok(node_reply::Reply::KnownOfYou(
                self.standing.told(from, &asked).await?,
            )),
            node_request::Request::ReadClock(_) => Ok(node_reply::Reply::Clock(Clock {
                wall_ms: self.stamps.wall_ms(),
            })),
            node_request::Request::Status(_) => Ok(node_reply::Reply::Status(self.status.status())),
            node_request::Request::ListGroups(list) => {
                let placement = self.view.placement();
                Ok(node_reply::Reply::GroupHeads(
                    self.reads.list(&placement, &list)?,
                ))
            }
            node_request::Request::Join(join) => Ok(node_reply::Reply::Joined(
                self.joins
                    .join(join)
                    .await
                    .unwrap_or_else(|fault| JoinReply {
                        error: Some(fault.into()),
                        ..JoinReply::default()
                    }),
            )),
        }
    }

    async fn raft(&self, from: NodeId, message: RaftMessage) -> Result<node_reply::Reply, Fault> {
        let shard = ShardId(message.shard);
        let Some(raft) = replica_of(&self.voters, &self.meta, shard) else {
            return Err(Fault::new(
                Code::Unavailable,
                format!("no replica of shard {shard} here"),
            ));
        };
        Ok(node_reply::Reply::Raft(raft.handle(from, message).await))
    }

    async fn propose(&self, propose: Propose) -> Result<node_reply::Reply, Fault> {
        let shard = ShardId(propose.shard);
        let Some(voter) = self.voters.get(shard) else {
            return Err(Fault::new(
                Code::Unavailable,
                format!("no replica of shard {shard} here"),
            ));
        };
        if propose.commands.len() > limits::BATCH_COMMANDS {
            return Err(Code::TooLarge.into());
        }
        match voter.propose(Commands::new(propose.commands)).await {
            Ok(outcomes) => Ok(node_reply::Reply::Outcomes(Outcomes { outcomes })),
            Err(NotDone::NotLeader(hint)) => Ok(node_reply::Reply::NotLeader(hint)),
            Err(NotDone::Fault(fault)) => Err(fault),
        }
    }

    async fn gossip(&self, from: NodeId, mut stream: FramedStream) {
        while let Ok(Some(frame)) = stream.rx.recv().await {
            let Ok(packet) = GossipPacket::decode(frame) else {
                return;
            };
            // Full: gossip repeats itself.
            let _ = self.packets.try_send((from, packet.payload));
        }
    }
}

/// Consensus between nodes travels as calls.
pub struct PeerRaftLink {
    pub peers: Arc<Peers>,
    pub witness: Arc<Witness>,
}

#[async_trait::async_trait]
impl RaftLink for PeerRaftLink {
    fn saw(&self, of: NodeId, shard: ShardId, mark: Mark) {
        self.witness.saw(of, shard, mark);
    }

    async fn call(
        &self,
        to: NodeId,
        message: RaftMessage,
        deadline: Duration,
    ) -> Result<RaftMessage, LinkError> {
        let request = node_request::Request::Raft(message);
        match self.peers.call(to, Class::Raft, request, deadline).await {
            Ok(node_reply::Reply::Raft(message)) => Ok(message),
            Ok(_) => Err(LinkError::Broken("an answer of another kind".into())),
            Err(fault) if fault.code == Code::Deadline => Err(LinkError::Timeout(deadline)),
            Err(fault) if fault.code == Code::Unavailable => Err(LinkError::Unreachable(to)),
            Err(fault) => Err(LinkError::Broken(fault.to_string())),
        }
    }
}
