//! The handle of a group.

use bytes::Bytes;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{
    Activated, Cursors, Digest, DigestRows, GetCursors, GetGroup, GetMembers, GetProfile,
    GroupInfo, History, JoinBody, Kind, LogSlice, MarkRead, MemberOrder, MemberSelf, Members,
    ProfileBody, RenameBody, Role, UpdateSelf,
};
use folkmoot_wire::{GroupId, UserId, limits};
use prost::Message;
use tokio::sync::oneshot;

use crate::client::{Client, strange};
use crate::core::timeline::Start;
use crate::engine::Command;
use crate::error::{ClientError, Result};
use crate::feed::{Entries, Feed, feed};
use crate::message::SendOptions;
use crate::receipt::{Receipt, Sent};

/// A range of a group's log to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// Behind this seq.
    pub after: u64,
    /// Before this seq; 0: no bound.
    pub before: u64,
    /// So many entries at most; 0: a full page.
    pub limit: u32,
    /// The last `limit` entries of the range instead of the first.
    pub backward: bool,
}

/// A group, as seen by one client.
#[derive(Debug, Clone)]
pub struct Group {
    pub(crate) client: Client,
    pub(crate) id: GroupId,
}

impl Group {
    pub(crate) fn new(client: Client, id: GroupId) -> Self {
        Self { client, id }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Asks the edge for the group in full, from where it was read last. Does
    /// nothing when it is active already. Waits for a session if need be.
    ///
    /// # Errors
    /// When the group does not exist for this user.
    pub async fn activate(&self) -> Result<Activated> {
        self.start(Start::Stored, None).await
    }

    /// The group is not read any more, and only its bumps come.
    ///
    /// # Errors
    /// When the client is closed.
    pub async fn deactivate(&self) -> Result<()> {
        let group = self.id;
        self.client.command(Command::Deactivate { group }).await
    }

    /// The entries of the group, each once and in order, live, from where it
    /// was read last, or its beginning. Activates the group. There is one
    /// reader at a time: this one takes over from one before, without a gap.
    ///
    /// # Errors
    /// When the group does not exist for this user.
    pub async fn entries(&self) -> Result<Entries> {
        self.entries_from(Start::Stored).await
    }

    /// As [`Group::entries`], from elsewhere. When the group is active already
    /// the start does not matter.
    ///
    /// # Errors
    /// When the group does not exist for this user.
    pub async fn entries_from(&self, start: Start) -> Result<Entries> {
        let (feed, entries) = feed(self.id, self.client.room(), self.client.wakers());
        self.start(start, Some(feed)).await?;
        Ok(entries)
    }

    async fn start(&self, start: Start, feed: Option<Feed>) -> Result<Activated> {
        let (reply, answer) = oneshot::channel();
        let group = self.id;
        let command = Command::Activate {
            group,
            start,
            feed,
            reply,
        };
        self.client.command(command).await?;
        answer.await.unwrap_or(Err(ClientError::Closed))
    }

    /// Says something, and waits until it is committed.
    ///
    /// # Errors
    /// When the edge refuses it for good, or the client is closed.
    pub async fn send(&self, text: impl Into<String>) -> Result<Sent> {
        self.send_with(SendOptions::text(text)).await
    }

    /// As [`Group::send`], with options.
    ///
    /// # Errors
    /// As [`Group::send`].
    pub async fn send_with(&self, message: SendOptions) -> Result<Sent> {
        self.submit(message).await?.await
    }

    /// Queues a message and gives a receipt to await later: with
    /// [`pipeline`](crate::ClientBuilder::pipeline) several are in flight.
    ///
    /// # Errors
    /// When the client is closed.
    pub async fn submit(&self, message: impl Into<SendOptions>) -> Result<Receipt> {
        let (reply, receipt) = oneshot::channel();
        let command = Command::Submit {
            group: self.id,
            send: Box::new(message.into().request(self.id)),
            reply,
        };
        self.client.command(command).await?;
        Ok(Receipt(receipt))
    }

    /// Joins the group under a nick. Joining when present changes nothing.
    ///
    /// # Errors
    /// When the edge refuses.
    pub async fn join(&self, nick: impl Into<String>) -> Result<Sent> {
        let body = JoinBody {
            nick: nick.into(),
            role: 0,
        };
        let join = SendOptions::of(Kind::Join, body.encode_to_vec());
        self.send_with(join).await
    }

    /// Leaves the group. Leaving when absent changes nothing.
    ///
    /// # Errors
    /// When the edge refuses.
    pub async fn leave(&self) -> Result<Sent> {
        self.send_with(SendOptions::of(Kind::Leave, Vec::new()))
            .await
    }

    /// Takes a new nick.
    ///
    /// # Errors
    /// When the edge refuses.
    pub async fn rename(&self, from: impl Into<String>, to: impl Into<String>) -> Result<Sent> {
        let body = RenameBody {
            from: from.into(),
            to: to.into(),
        };
        let rename = SendOptions::of(Kind::Rename, body.encode_to_vec());
        self.send_with(rename).await
    }

    /// Marks everything up to and including `seq` as read.
    ///
    /// # Errors
    /// When `seq` is ahead of the log.
    pub async fn mark_read(&self, seq: u64) -> Result<()> {
        let group = self.id.to_bytes();
        let request = Request::MarkRead(MarkRead { group, seq });
        match self.client.call(request).await? {
            Body::Ok(_) => Ok(()),
            other => Err(strange(&other)),
        }
    }

    /// A page of the log, as the edge gives it: look at `covers`, `gone` and
    /// the chain. For reading on and on, use [`Group::entries`].
    ///
    /// # Errors
    /// When the group does not exist for this user.
    pub async fn history(&self, range: Range) -> Result<LogSlice> {
        let request = Request::History(History {
            group: self.id.to_bytes(),
            after: range.after,
            before: range.before,
            limit: page(range.limit, limits::PAGE_ENTRIES),
            backward: range.backward,
        });
        match self.client.call(request).await? {
            Body::Log(slice) => Ok(slice),
            other => Err(strange(&other)),
        }
    }

    /// A page of the members. `after`: `next` of the page before; empty: the
    /// first. `limit` 0: a full page.
    ///
    /// # Errors
    /// When the group does not exist for this user.
    pub async fn members(&self, after: Bytes, limit: u32) -> Result<Members> {
        self.page_of_members(GetMembers {
            page: after,
            limit,
            ..GetMembers::default()
        })
        .await
    }

    /// Members of one role, a page at a time; with the first page, how many
    /// there are of each. `after`: `next` of the page before.
    ///
    /// # Errors
    /// When the group does not exist for this user, or the role is none.
    pub async fn members_of_role(&self, role: Role, after: Bytes, limit: u32) -> Result<Members> {
        self.page_of_members(GetMembers {
            page: after,
            limit,
            order: MemberOrder::Role as i32,
            role: role as i32,
            ..GetMembers::default()
        })
        .await
    }

    /// Members in the order of their nicks, or those whose nick begins with
    /// `prefix`, in upper or lower case; pages as by role.
    ///
    /// # Errors
    /// When the group does not exist for this user, or no nick is so long.
    pub async fn members_by_nick(
        &self,
        prefix: impl Into<String>,
        after: Bytes,
        limit: u32,
    ) -> Result<Members> {
        self.page_of_members(GetMembers {
            page: after,
            limit,
            order: MemberOrder::Nick as i32,
            prefix: prefix.into(),
            ..GetMembers::default()
        })
        .await
    }

    async fn page_of_members(&self, ask: GetMembers) -> Result<Members> {
        let request = Request::GetMembers(GetMembers {
            group: self.id.to_bytes(),
            limit: page(ask.limit, limits::PAGE_ROWS),
            ..ask
        });
        match self.client.call(request).await? {
            Body::Members(members) => Ok(members),
            other => Err(strange(&other)),
        }
    }

    /// Read cursors of `users`; of nobody in particular: of all members, in
    /// small groups.
    ///
    /// # Errors
    /// When the group does not exist for this user.
    pub async fn cursors(&self, users: &[UserId]) -> Result<Cursors> {
        let request = Request::GetCursors(GetCursors {
            group: self.id.to_bytes(),
            users: users.iter().map(UserId::to_bytes).collect(),
        });
        match self.client.call(request).await? {
            Body::Cursors(cursors) => Ok(cursors),
            other => Err(strange(&other)),
        }
    }

    /// What the group is, its head, and this user's part in it.
    ///
    /// # Errors
    /// When the group does not exist for this user.
    pub async fn info(&self) -> Result<GroupInfo> {
        let group = self.id.to_bytes();
        match self
            .client
            .call(Request::GetGroup(GetGroup { group }))
            .await?
        {
            Body::Group(info) => Ok(info),
            other => Err(strange(&other)),
        }
    }

    /// The profile: an Automerge document.
    ///
    /// # Errors
    /// When the group does not exist for this user.
    pub async fn profile(&self) -> Result<Bytes> {
        let group = self.id.to_bytes();
        match self
            .client
            .call(Request::GetProfile(GetProfile { group }))
            .await?
        {
            Body::Profile(profile) => Ok(profile.document),
            other => Err(strange(&other)),
        }
    }

    /// Adds Automerge changes to the profile. They merge: also when the group's
    /// home is out of reach they are taken, and applied once it is back.
    ///
    /// # Errors
    /// When this user may not, or the changes do not fit the document.
    pub async fn update_profile(&self, changes: Vec<Bytes>) -> Result<Sent> {
        let body = ProfileBody { changes };
        let update = SendOptions::of(Kind::Profile, body.encode_to_vec());
        self.send_with(update).await
    }

    /// Changes this user's own part of the member row (nick, settings).
    ///
    /// # Errors
    /// When this user is not a member.
    pub async fn update_self(&self, own: MemberSelf) -> Result<()> {
        let request = Request::UpdateSelf(UpdateSelf {
            group: self.id.to_bytes(),
            self_: Some(own),
        });
        match self.client.call(request).await? {
            Body::Ok(_) => Ok(()),
            other => Err(strange(&other)),
        }
    }

    /// Digests of the group's rows: equal at two edges if and only if these
    /// hold the same rows.
    ///
    /// # Errors
    /// When the group does not exist for this user.
    pub async fn digests(&self) -> Result<Digest> {
        let group = self.id.to_bytes();
        match self
            .client
            .call(Request::DigestRows(DigestRows { group }))
            .await?
        {
            Body::Digest(digest) => Ok(digest),
            other => Err(strange(&other)),
        }
    }
}

fn page(limit: u32, full: u32) -> u32 {
    if limit == 0 { full } else { limit.min(full) }
}
