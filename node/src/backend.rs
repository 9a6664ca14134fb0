//! The port between an edge and the node behind it: what a session needs,
//! wherever the data is.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_replication::apply::departure;
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_replication::presence::{Answer, News};
use folkmoot_storage::{ReadersOf, Sorted};
use folkmoot_wire::page::LogPage;
use folkmoot_wire::proto::{
    CursorValue, EntryHeader, Head, MemberPage, MemberStatus, MemberValue, Outcome, Row,
    SealedEntry, command,
};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, ShardId, UserId};

/// What somebody of this status, a member aside, is told.
#[must_use]
pub fn refusal(status: MemberStatus) -> Code {
    match status {
        MemberStatus::Banned => Code::Banned,
        MemberStatus::None | MemberStatus::Left | MemberStatus::Member => Code::NotFound,
    }
}

/// Whether that is a member's.
#[must_use]
pub fn is_member(value: &MemberValue) -> bool {
    let authority = value.authority.as_ref();
    authority.is_some_and(|a| a.status() == MemberStatus::Member)
}

/// Whom an entry puts out of its group, and what such a one is told.
#[must_use]
pub fn puts_out(header: &EntryHeader) -> Option<(UserId, Code)> {
    departure(header).map(|(user, status)| (user, refusal(status)))
}

/// A range of a group's log.
#[derive(Debug, Clone, Copy)]
pub struct LogRange {
    /// Exclusive.
    pub after: u64,
    /// Exclusive; 0: no bound.
    pub before: u64,
    /// Most entries.
    pub limit: u32,
    /// Most bytes of entries.
    pub max_bytes: usize,
    /// The last `limit` entries of the range instead of the first. The slice
    /// is in order of seq all the same.
    pub backward: bool,
    /// Who is to see it. The copy that answers says whether, and from where:
    /// one that was asked for the member row before may have been older.
    pub reader: Option<UserId>,
}

/// How far a group is, and one user in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    pub head: Option<Head>,
    pub cursor: Option<CursorValue>,
    /// Entries behind the cursor that mention the user by name.
    pub mentions: u64,
}

impl Standing {
    /// How many entries are unread.
    #[must_use]
    pub fn unread(&self) -> u64 {
        let read = self.cursor.as_ref().map_or(0, |cursor| cursor.count);
        let head = self.head.as_ref().map_or(0, |head| head.count);
        head.saturating_sub(read)
    }

    /// How many of them mention all.
    #[must_use]
    pub fn unread_at_all(&self) -> u64 {
        let read = self.cursor.as_ref().map_or(0, |cursor| cursor.at_all);
        let head = self.head.as_ref().map_or(0, |head| head.at_all);
        head.saturating_sub(read)
    }
}

/// A page of a group's members, by role or nick.
#[derive(Debug, Clone, PartialEq)]
pub struct MembersWanted {
    pub sorted: Sorted,
    /// Where the page before ended, by its own word; empty: the first page.
    pub after: Bytes,
    pub limit: u32,
}

/// Such a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoundMembers {
    /// Member rows; of somebody who went meanwhile there may be none.
    pub rows: Vec<Row>,
    /// For the next page; empty: this was the last.
    pub next: Bytes,
    /// Members of each role, by its number.
    pub by_role: Vec<u64>,
}

impl From<MemberPage> for FoundMembers {
    fn from(page: MemberPage) -> Self {
        Self {
            rows: page.rows,
            next: page.next,
            by_role: page.by_role,
        }
    }
}

impl From<FoundMembers> for MemberPage {
    fn from(found: FoundMembers) -> Self {
        Self {
            rows: found.rows,
            next: found.next,
            by_role: found.by_role,
        }
    }
}

/// How many have read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readers {
    /// Each of the seqs that were asked for, in their order.
    pub by_seq: Vec<u64>,
    /// Members of the group.
    pub members: u64,
}

/// A page of those who have read an entry, or have not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadersWanted {
    pub of: ReadersOf,
    /// Where the page before ended, by its own word; empty: the first page.
    pub after: Bytes,
    /// Members looked at.
    pub limit: u32,
}

/// What stands behind an edge.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// This node.
    fn node(&self) -> NodeId;

    /// This node's region.
    fn region(&self) -> String;

    /// The cluster's id, in hex.
    fn cluster(&self) -> String;

    /// A stamp of this node's HLC.
    ///
    /// # Errors
    /// `storage_failed` when its bound cannot be persisted: another stamp could
    /// be given twice.
    fn stamp(&self) -> Result<Hlc, Fault>;

    /// Milliseconds since 1970, by the best that is known: for tokens to end.
    fn wall_ms(&self) -> u64;

    /// Random bytes, for salts and ids.
    fn random(&self, out: &mut [u8]);

    /// Where things live.
    fn placement(&self) -> Arc<Placement>;

    /// The shard that the group is at home in, as far as this node has heard.
    fn home_of(&self, group: &GroupId) -> Option<Shard>;

    /// Proposes a command to the shard of `group` and waits until it is
    /// committed and applied there, or refused.
    ///
    /// # Errors
    /// The refusal, or `busy`, `unavailable`, `deadline` when it may be
    /// retried with the same ids. `NotLeader` is handled below this port.
    async fn propose(&self, group: GroupId, op: command::Op) -> Result<Outcome, Fault>;

    /// Commands of one session for one group, in this order, in one go. The
    /// answers are in the same order. None overtakes another. With `tentative`,
    /// what is said while the home cannot be reached may be answered
    /// `accepted`.
    async fn propose_many(
        &self,
        group: GroupId,
        ops: Vec<command::Op>,
        tentative: bool,
    ) -> Vec<Result<Outcome, Fault>>;

    /// What was accepted of this group's region and is in no log yet.
    fn tentative(&self, group: &GroupId) -> Vec<SealedEntry>;

    /// Finds or mints the user of `(realm, subject)`; a new one is born in
    /// this node's region.
    ///
    /// # Errors
    /// As [`Backend::propose`].
    async fn resolve_user(&self, realm: &str, subject: &str) -> Result<UserId, Fault>;

    /// The group's head, as far as this node knows.
    ///
    /// # Errors
    /// When nobody who knows can be reached.
    async fn head(&self, group: GroupId) -> Result<Option<Head>, Fault>;

    /// The head as the group's home has it, whatever a copy here says: a user
    /// may have heard elsewhere of what is not here yet.
    ///
    /// # Errors
    /// When nobody who knows can be reached.
    async fn home_head(&self, group: GroupId) -> Result<Option<Head>, Fault>;

    /// How far groups are, and the user in each: in the order of the groups,
    /// `None` where nobody who knows can be reached.
    async fn standings(&self, user: UserId, groups: &[GroupId]) -> Vec<Option<Standing>>;

    /// One row.
    ///
    /// # Errors
    /// When nobody who knows can be reached.
    async fn row(&self, group: GroupId, key: RowKey) -> Result<Option<Row>, Fault>;

    /// The same by the home's own word: a copy that is followed lies a moment
    /// behind it. An old answer where the home is out of reach.
    ///
    /// # Errors
    /// When nobody who knows can be reached.
    async fn row_at_home(&self, group: GroupId, key: RowKey) -> Result<Option<Row>, Fault>;

    /// Rows of a kind (or, without one, of every kind) behind `after` (a row
    /// key, empty: from the first), and the key to go on from, empty at the
    /// end.
    ///
    /// # Errors
    /// When nobody who knows can be reached.
    async fn rows(
        &self,
        group: GroupId,
        kind: Option<RowKind>,
        after: Bytes,
        limit: u32,
    ) -> Result<(Vec<Row>, Bytes), Fault>;

    /// Members by role or by nick.
    ///
    /// # Errors
    /// When nobody who knows can be reached.
    async fn members(&self, group: GroupId, wanted: &MembersWanted) -> Result<FoundMembers, Fault>;

    /// How many have read each of the seqs.
    ///
    /// # Errors
    /// When nobody who knows can be reached.
    async fn readers(&self, group: GroupId, seqs: &[u64]) -> Result<Readers, Fault>;

    /// Who has read an entry, or has not. There may be nobody on a page that is
    /// not the last.
    ///
    /// # Errors
    /// When nobody who knows can be reached.
    async fn find_readers(
        &self,
        group: GroupId,
        wanted: &ReadersWanted,
    ) -> Result<FoundMembers, Fault>;

    /// Entries of a group's log.
    ///
    /// # Errors
    /// When nobody who holds them can be reached.
    async fn log(&self, group: GroupId, range: LogRange) -> Result<LogPage, Fault>;

    /// A first session here has the group active: entries are wanted. Returns
    /// when the node follows the group and is as far as its upstream was.
    ///
    /// # Errors
    /// When the group's upstream cannot be reached.
    async fn want(&self, group: GroupId) -> Result<(), Fault>;

    /// The last session that had the group active is gone.
    fn unwant(&self, group: GroupId);

    /// Cursor changes, merged per edge, sent upstream and resent until
    /// acknowledged.
    fn move_cursor(&self, group: GroupId, user: UserId, seq: u64);

    /// Tells the leader of a shard of its users; gives who answered.
    ///
    /// # Errors
    /// When it cannot be reached, or nobody leads.
    async fn presence(&self, shard: ShardId, news: &News) -> Result<(NodeId, Answer), Fault>;
}
