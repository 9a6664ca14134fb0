//! The edge's port, on top of the cluster: proposals through the router,
//! reads from the copy here, or from the home where there is none.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_wire::proto::{
    Command, Committed, FetchHead, FetchLog, FetchRows, Head, LogSlice, Outcome, ResolveUser, Row,
    SealedEntry, command, node_reply, node_request, outcome,
};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, Slot, UserId, limits};
use moka::sync::Cache;
use tokio::time::timeout;

use super::copies::Copies;
use super::cursors::Cursors;
use super::feeds::Feeds;
use super::follow::Followers;
use super::outcome::{effect_is_awaited, judged, may_be_tentative};
use super::peers::Peers;
use super::read::{LocalReads, storage};
use super::router::Router;
use super::shards::Voters;
use super::tentatives::Keeper;
use super::view::ClusterView;
use crate::backend::{Backend, LogRange};
use crate::ports::{Random, Stamps};

/// Resolved users kept. Full: the least used goes.
const USERS: u64 = 100_000;

/// What the edge stands on.
pub struct NodeBackend {
    region: String,
    cluster: [u8; 16],
    view: Arc<ClusterView>,
    router: Arc<Router>,
    copies: Copies,
    cursors: Arc<Cursors>,
    keeper: Arc<Keeper>,
    stamps: Arc<Stamps>,
    random: Arc<dyn Random>,
    users: Cache<(String, String), UserId>,
}

/// The parts of a [`NodeBackend`].
pub struct BackendParts {
    pub region: String,
    pub cluster: [u8; 16],
    pub peers: Arc<Peers>,
    pub view: Arc<ClusterView>,
    pub voters: Arc<Voters>,
    pub feeds: Arc<Feeds>,
    pub followers: Arc<Followers>,
    pub router: Arc<Router>,
    pub reads: Arc<LocalReads>,
    pub cursors: Arc<Cursors>,
    pub keeper: Arc<Keeper>,
    pub stamps: Arc<Stamps>,
    pub random: Arc<dyn Random>,
}

impl NodeBackend {
    /// A backend over the parts of a node.
    #[must_use]
    pub fn new(parts: BackendParts) -> Self {
        Self {
            region: parts.region,
            cluster: parts.cluster,
            copies: Copies {
                peers: parts.peers,
                view: Arc::clone(&parts.view),
                voters: parts.voters,
                feeds: parts.feeds,
                followers: parts.followers,
                reads: parts.reads,
            },
            view: parts.view,
            router: parts.router,
            cursors: parts.cursors,
            keeper: parts.keeper,
            stamps: parts.stamps,
            random: parts.random,
            users: Cache::new(USERS),
        }
    }

    fn shard(&self, group: &GroupId) -> Result<Shard, Fault> {
        self.view
            .placement()
            .shard_of(group)
            .cloned()
            .ok_or_else(|| Code::NotFound.into())
    }

    fn random_slot(&self) -> (Slot, [u8; 11]) {
        let mut bytes = [0; 13];
        self.random.fill(&mut bytes);
        let mut unique = [0; 11];
        unique.copy_from_slice(&bytes[2..]);
        (Slot(u16::from_be_bytes([bytes[0], bytes[1]])), unique)
    }
}

impl NodeBackend {
    /// Proposes commands, and waits until their effects can be seen here.
    async fn committed(
        &self,
        shard: &Shard,
        group: GroupId,
        ops: Vec<command::Op>,
    ) -> Result<Vec<Result<Outcome, Fault>>, Fault> {
        let awaited: Vec<bool> = ops.iter().map(effect_is_awaited).collect();
        let commands = ops
            .into_iter()
            .map(|op| Command {
                group: group.to_bytes(),
                op: Some(op),
            })
            .collect();
        let outcomes = self.router.propose(shard, commands).await?;
        let reached = outcomes
            .iter()
            .zip(&awaited)
            .filter_map(|(outcome, awaited)| match &outcome.result {
                Some(outcome::Result::Committed(Committed { seq, .. })) if *awaited => Some(*seq),
                _ => None,
            })
            .max();
        if let Some(seq) = reached
            && let Err(fault) = self.copies.reach_seq(shard.id, &group, seq).await
        {
            tracing::warn!(%group, %fault, "the copy here is behind what was committed");
        }
        Ok(outcomes.into_iter().map(judged).collect())
    }

    /// The same for a session that takes `accepted` for an answer (D9).
    async fn said(
        &self,
        shard: &Shard,
        group: GroupId,
        mut ops: Vec<command::Op>,
    ) -> Vec<Result<Outcome, Fault>> {
        let speaks = ops.iter().take_while(|op| may_be_tentative(op)).count();
        let cut = self.keeper.is_cut(shard.id, &group);
        let mut last = Fault::new(Code::Unavailable, "what was said before waits for the home")
            .retry_after(limits::BUSY_RETRY_MS);
        if !cut {
            let tried = self.committed(shard, group, ops.clone());
            let within = if speaks > 0 {
                limits::ACCEPT_AFTER
            } else {
                limits::PROPOSE_DEADLINE * 2
            };
            match timeout(within, tried).await {
                Ok(Ok(results)) => return results,
                Ok(Err(fault)) if !is_out_of_reach(&fault) => {
                    return vec![Err(fault); ops.len()];
                }
                Ok(Err(fault)) => last = fault,
                Err(_) => {}
            }
        }
        // What may not be tentative waits, and whatever comes behind it.
        let rest = ops.len() - speaks;
        ops.truncate(speaks);
        let appends = ops.into_iter().filter_map(|op| match op {
            command::Op::Append(append) => Some(append),
            _ => None,
        });
        let now = self.stamps.wall_ms();
        let mut results = self
            .keeper
            .accept(shard, group, appends.collect(), now)
            .await;
        results.resize(speaks + rest, Err(last));
        results
    }
}

fn is_out_of_reach(fault: &Fault) -> bool {
    matches!(fault.code, Code::Unavailable | Code::Deadline)
}

#[async_trait]
impl Backend for NodeBackend {
    fn node(&self) -> NodeId {
        self.copies.peers.me()
    }

    fn region(&self) -> String {
        self.region.clone()
    }

    fn cluster(&self) -> String {
        hex::encode(self.cluster)
    }

    fn stamp(&self) -> Result<Hlc, Fault> {
        self.stamps.tick().map_err(storage)
    }

    fn wall_ms(&self) -> u64 {
        self.stamps.civil_ms()
    }

    fn random(&self, out: &mut [u8]) {
        self.random.fill(out);
    }

    fn placement(&self) -> Arc<Placement> {
        self.view.placement()
    }

    async fn propose(&self, group: GroupId, op: command::Op) -> Result<Outcome, Fault> {
        self.propose_many(group, vec![op], false)
            .await
            .pop()
            .unwrap_or_else(|| Err(Code::Internal.into()))
    }

    async fn propose_many(
        &self,
        group: GroupId,
        ops: Vec<command::Op>,
        tentative: bool,
    ) -> Vec<Result<Outcome, Fault>> {
        let count = ops.len();
        let results = match self.shard(&group) {
            Ok(shard) if tentative => return self.said(&shard, group, ops).await,
            Ok(shard) => self.committed(&shard, group, ops).await,
            Err(fault) => Err(fault),
        };
        results.unwrap_or_else(|fault| vec![Err(fault); count])
    }

    fn tentative(&self, group: &GroupId) -> Vec<SealedEntry> {
        self.keeper.shown(group)
    }

    async fn resolve_user(&self, realm: &str, subject: &str) -> Result<UserId, Fault> {
        // A session begins with this, and stamps from then on.
        self.stamps.begun().await;
        let key = (realm.to_owned(), subject.to_owned());
        if let Some(user) = self.users.get(&key) {
            return Ok(user);
        }
        let placement = self.view.placement();
        let home = placement
            .region_id(&self.region)
            .ok_or(Code::UnknownRegion)?;
        let shard = placement
            .directory_shard(realm, subject)
            .ok_or_else(|| Fault::new(Code::Unavailable, "the directory is not placed yet"))?;
        let (slot, unique) = self.random_slot();
        let command = Command {
            group: Bytes::new(),
            op: Some(command::Op::ResolveUser(ResolveUser {
                realm: realm.to_owned(),
                subject: subject.to_owned(),
                candidate: UserId::new(home, slot, unique).to_bytes(),
            })),
        };
        let outcome = self.router.propose(shard, vec![command]).await?.pop();
        match outcome.map(judged).transpose()?.and_then(|o| o.result) {
            Some(outcome::Result::Resolved(resolved)) => {
                let user = UserId::from_slice(&resolved.user)
                    .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
                self.users.insert(key, user);
                Ok(user)
            }
            _ => Err(Code::Internal.into()),
        }
    }

    async fn head(&self, group: GroupId) -> Result<Option<Head>, Fault> {
        let request = node_request::Request::FetchHead(FetchHead {
            group: group.to_bytes(),
        });
        let shard = self.shard(&group)?;
        match self.copies.from_home(&shard, &group, request).await? {
            None => self.copies.reads.head(&group),
            Some(node_reply::Reply::Head(head)) => Ok(head.head),
            Some(_) => Err(Code::Internal.into()),
        }
    }

    async fn home_head(&self, group: GroupId) -> Result<Option<Head>, Fault> {
        self.copies.home_head(&self.shard(&group)?, group).await
    }

    async fn row(&self, group: GroupId, key: RowKey) -> Result<Option<Row>, Fault> {
        let request = node_request::Request::FetchRows(FetchRows {
            group: group.to_bytes(),
            key: key.to_bytes(),
            ..FetchRows::default()
        });
        let shard = self.shard(&group)?;
        match self.copies.from_home(&shard, &group, request).await? {
            None => self.copies.reads.row(&group, &key),
            Some(node_reply::Reply::Rows(page)) => Ok(page.rows.into_iter().next()),
            Some(_) => Err(Code::Internal.into()),
        }
    }

    async fn rows(
        &self,
        group: GroupId,
        kind: Option<RowKind>,
        after: Bytes,
        limit: u32,
    ) -> Result<(Vec<Row>, Bytes), Fault> {
        let prefix: Vec<u8> = kind.map(|kind| kind as u8).into_iter().collect();
        // Kinds are stored in order, so a kind's rows begin behind its byte.
        let after_key = if after.is_empty() {
            Bytes::from(prefix.clone())
        } else {
            after.clone()
        };
        let request = node_request::Request::FetchRows(FetchRows {
            group: group.to_bytes(),
            after_key,
            limit,
            ..FetchRows::default()
        });
        let shard = self.shard(&group)?;
        let page = match self.copies.from_home(&shard, &group, request).await? {
            None => return self.copies.reads.rows(&group, &prefix, &after, limit),
            Some(node_reply::Reply::Rows(page)) => page,
            Some(_) => return Err(Code::Internal.into()),
        };
        let count = page.rows.len();
        let rows: Vec<Row> = page
            .rows
            .into_iter()
            .filter(|row| row.key.starts_with(&prefix))
            .collect();
        let next = if rows.len() == count {
            page.next
        } else {
            Bytes::new()
        };
        Ok((rows, next))
    }

    async fn log(&self, group: GroupId, range: LogRange) -> Result<LogSlice, Fault> {
        let request = node_request::Request::FetchLog(FetchLog {
            group: group.to_bytes(),
            after: range.after,
            before: range.before,
            limit: range.limit,
            max_bytes: range.max_bytes as u32,
            backward: range.backward,
            reader: range.reader.map_or_else(Bytes::new, |user| user.to_bytes()),
        });
        let shard = self.shard(&group)?;
        let answer = match self
            .copies
            .from_home(&shard, &group, request.clone())
            .await?
        {
            None => match self.copies.reads.log(&group, range) {
                // What this node's disk lost, others have.
                Err(fault) if fault.code == Code::NotHere => {
                    Some(self.copies.ask(&shard, request).await.map_err(|_| fault)?)
                }
                here => return here,
            },
            answer => answer,
        };
        match answer {
            Some(node_reply::Reply::Log(slice)) => Ok(slice),
            _ => Err(Code::Internal.into()),
        }
    }

    async fn want(&self, group: GroupId) -> Result<(), Fault> {
        let shard = self.shard(&group)?;
        self.copies.want(&shard, group).await
    }

    fn unwant(&self, group: GroupId) {
        if let Ok(shard) = self.shard(&group) {
            self.copies.unwant(shard.id, group);
        }
    }

    fn move_cursor(&self, group: GroupId, user: UserId, seq: u64) {
        self.cursors.put(group, user, seq);
    }
}
