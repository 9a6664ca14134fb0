//! The edge's port, on top of the cluster: proposals through the router,
//! reads from the copy here, or from the home where there is none.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_replication::presence::{Answer, News};
use folkmoot_wire::page::LogPage;
use folkmoot_wire::proto::{
    Command, FetchHead, Head, Outcome, ResolveUser, Row, SealedEntry, command, node_reply,
    node_request, outcome,
};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, ShardId, Slot, UserId, limits};
use moka::sync::Cache;
use tokio::time::sleep;

use super::copies::Copies;
use super::cursors::Cursors;
use super::outcome::judged;
use super::presence::Presences;
use super::read::storage;
use super::router::Router;
use super::tentatives::Keeper;
use super::view::ClusterView;
use crate::backend::{
    Backend, FoundMembers, LogRange, MembersWanted, Readers, ReadersWanted, Standing,
};
use crate::ports::{Random, Stamps};

mod pages;
mod propose;
mod readers;
mod standings;

use pages::RowsWanted;

/// Resolved users kept. Full: the least used goes.
const USERS: u64 = 100_000;

/// What the edge stands on.
pub struct NodeBackend {
    region: String,
    cluster: [u8; 16],
    view: Arc<ClusterView>,
    router: Arc<Router>,
    pub(super) copies: Arc<Copies>,
    cursors: Arc<Cursors>,
    presences: Arc<Presences>,
    keeper: Arc<Keeper>,
    stamps: Arc<Stamps>,
    random: Arc<dyn Random>,
    users: Cache<(String, String), UserId>,
}

/// The parts of a [`NodeBackend`].
pub struct BackendParts {
    pub region: String,
    pub cluster: [u8; 16],
    pub copies: Arc<Copies>,
    pub router: Arc<Router>,
    pub cursors: Arc<Cursors>,
    pub presences: Arc<Presences>,
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
            view: Arc::clone(&parts.copies.view),
            copies: parts.copies,
            router: parts.router,
            cursors: parts.cursors,
            presences: parts.presences,
            keeper: parts.keeper,
            stamps: parts.stamps,
            random: parts.random,
            users: Cache::new(USERS),
        }
    }

    /// Does something at the home of a group. Where that is shows on the way.
    async fn at_home<T, W>(
        &self,
        group: &GroupId,
        work: impl Fn(Shard) -> W + Send,
    ) -> Result<T, Fault>
    where
        W: Future<Output = Result<T, Fault>> + Send,
    {
        for hop in 0..limits::HOME_HOPS {
            if hop > 1 {
                // It moves just now: those who tell where it is lag behind.
                sleep(limits::HOME_HOP_PAUSE).await;
            }
            let shard = self.view.home_of(group).ok_or(Code::NotFound)?;
            match work(shard).await {
                Err(fault) if fault.code == Code::Moved => {}
                done => return done,
            }
        }
        let moving = Fault::new(Code::Unavailable, "the group is on its way to another home");
        Err(moving.retry_after(limits::BUSY_RETRY_MS))
    }

    /// Follows a group that has another home now, if sessions want it still.
    pub(super) async fn want_again(&self, group: GroupId) -> Result<(), Fault> {
        self.at_home(&group, |shard| async move {
            self.copies.want_again(&shard, group).await
        })
        .await
    }

    fn random_slot(&self) -> (Slot, [u8; 11]) {
        let mut bytes = [0; 13];
        self.random.fill(&mut bytes);
        let mut unique = [0; 11];
        unique.copy_from_slice(&bytes[2..]);
        (Slot(u16::from_be_bytes([bytes[0], bytes[1]])), unique)
    }
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

    fn home_of(&self, group: &GroupId) -> Option<Shard> {
        self.view.home_of(group)
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
        if tentative {
            return self.said(group, ops).await;
        }
        let results = self.committed(group, ops).await;
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
        self.at_home(&group, |shard| async move {
            let request = node_request::Request::FetchHead(FetchHead {
                group: group.to_bytes(),
                shard: shard.id.0,
                as_voter: true,
            });
            let copies = &self.copies;
            match copies.from_home(&shard, &group, request).await? {
                None => copies.here(&shard, &group, |place| copies.reads.head(place)),
                Some(node_reply::Reply::Head(head)) => Ok(head.head),
                Some(_) => Err(Code::Internal.into()),
            }
        })
        .await
    }

    async fn home_head(&self, group: GroupId) -> Result<Option<Head>, Fault> {
        self.at_home(&group, |shard| async move {
            self.copies.home_head(&shard, group).await
        })
        .await
    }

    async fn standings(&self, user: UserId, groups: &[GroupId]) -> Vec<Option<Standing>> {
        self.standings_of(user, groups).await
    }

    async fn row(&self, group: GroupId, key: RowKey) -> Result<Option<Row>, Fault> {
        self.at_home(&group, |shard| async move {
            self.row_of(&shard, &group, key, false).await
        })
        .await
    }

    async fn row_at_home(&self, group: GroupId, key: RowKey) -> Result<Option<Row>, Fault> {
        self.at_home(&group, |shard| async move {
            self.row_of(&shard, &group, key, true).await
        })
        .await
    }

    async fn rows(
        &self,
        group: GroupId,
        kind: Option<RowKind>,
        after: Bytes,
        limit: u32,
    ) -> Result<(Vec<Row>, Bytes), Fault> {
        let page = RowsWanted { kind, after, limit };
        let page = &page;
        self.at_home(&group, |shard| async move {
            self.rows_of(&shard, &group, page).await
        })
        .await
    }

    async fn members(&self, group: GroupId, wanted: &MembersWanted) -> Result<FoundMembers, Fault> {
        self.at_home(&group, |shard| async move {
            self.members_of(&shard, &group, wanted).await
        })
        .await
    }

    async fn readers(&self, group: GroupId, seqs: &[u64]) -> Result<Readers, Fault> {
        self.at_home(&group, |shard| async move {
            self.readers_of(&shard, &group, seqs).await
        })
        .await
    }

    async fn find_readers(
        &self,
        group: GroupId,
        wanted: &ReadersWanted,
    ) -> Result<FoundMembers, Fault> {
        self.at_home(&group, |shard| async move {
            self.who_has_read(&shard, &group, wanted).await
        })
        .await
    }

    async fn log(&self, group: GroupId, range: LogRange) -> Result<LogPage, Fault> {
        self.at_home(&group, |shard| async move {
            self.log_of(&shard, &group, range).await
        })
        .await
    }

    async fn want(&self, group: GroupId) -> Result<(), Fault> {
        self.at_home(&group, |shard| async move {
            self.copies.want(&shard, group).await
        })
        .await
    }

    fn unwant(&self, group: GroupId) {
        self.copies.unwant(group);
    }

    fn move_cursor(&self, group: GroupId, user: UserId, seq: u64) {
        self.cursors.put(group, user, seq);
    }

    async fn presence(&self, shard: ShardId, news: &News) -> Result<(NodeId, Answer), Fault> {
        self.presences.tell(shard, news).await
    }
}
