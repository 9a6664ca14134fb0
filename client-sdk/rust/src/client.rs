//! The handle of a client.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{CreateGroup, GetUnread, GroupSummary, ListGroups, OpenDirect, Unread};
use folkmoot_wire::{DeviceId, GroupId, UserId, limits};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::builder::ClientBuilder;
use crate::engine::Command;
use crate::error::{ClientError, Result};
use crate::event::{Event, Events};
use crate::feed::Wakers;
use crate::group::Group;

/// What a new group is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// Its home region; empty: the edge's.
    pub region: String,
    /// The creator's nick in it.
    pub nick: String,
    /// Whether anyone of the cluster may join.
    pub open: bool,
    /// Most members; 0: the default.
    pub member_cap: u32,
    /// Whether members see only what comes after they joined.
    pub history_from_join: bool,
}

/// A client of one user on one device. Clones are handles of the same client;
/// it ends when it is closed or the last handle is dropped.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    commands: mpsc::Sender<Command>,
    events: broadcast::WeakSender<Event>,
    wakers: Arc<Wakers>,
    user: UserId,
    device: DeviceId,
    room: usize,
}

impl Client {
    /// Sets up a client.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        events: broadcast::WeakSender<Event>,
        wakers: Arc<Wakers>,
        user: UserId,
        device: DeviceId,
        room: usize,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                commands,
                events,
                wakers,
                user,
                device,
                room,
            }),
        }
    }

    /// Whose client this is.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.inner.user
    }

    /// On which device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.inner.device
    }

    /// A group. Nothing is asked of the edge yet.
    #[must_use]
    pub fn group(&self, group: GroupId) -> Group {
        Group::new(self.clone(), group)
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        match self.inner.events.upgrade() {
            Some(events) => Events::new(events.subscribe()),
            // The client is closed: a reader that ends at once.
            None => Events::new(broadcast::channel(1).1),
        }
    }

    /// Makes a group, with this user as its owner.
    ///
    /// # Errors
    /// When the edge refuses.
    pub async fn create_group(&self, group: NewGroup) -> Result<Group> {
        let request = Request::CreateGroup(CreateGroup {
            client_msg_id: Bytes::new(),
            name: group.name,
            region: group.region,
            member_cap: group.member_cap,
            history_from_join: group.history_from_join,
            open: group.open,
            nick: group.nick,
        });
        self.group_made(request).await
    }

    /// The direct group with `peer`; makes it when there is none.
    ///
    /// # Errors
    /// When the edge refuses.
    pub async fn open_direct(&self, peer: UserId) -> Result<Group> {
        let request = Request::OpenDirect(OpenDirect {
            peer: peer.to_bytes(),
            client_msg_id: Bytes::new(),
        });
        self.group_made(request).await
    }

    async fn group_made(&self, request: Request) -> Result<Group> {
        match self.call(request).await? {
            Body::GroupCreated(created) => {
                let group = GroupId::from_slice(&created.group)
                    .map_err(|error| ClientError::Protocol(error.to_string()))?;
                Ok(self.group(group))
            }
            other => Err(strange(&other)),
        }
    }

    /// All groups of the user's list.
    ///
    /// # Errors
    /// When the edge refuses, or the list does not end.
    pub async fn list_groups(&self) -> Result<Vec<GroupSummary>> {
        let mut groups = Vec::new();
        let mut page = Bytes::new();
        for _ in 0..limits::PAGE_ROWS {
            let request = Request::ListGroups(ListGroups {
                page,
                limit: limits::PAGE_ROWS,
            });
            match self.call(request).await? {
                Body::Groups(answer) => {
                    groups.extend(answer.groups);
                    page = answer.next;
                }
                other => return Err(strange(&other)),
            }
            if page.is_empty() {
                return Ok(groups);
            }
        }
        Err(ClientError::Protocol(
            "the list of groups does not end".into(),
        ))
    }

    /// What there is to read in all groups of the user's list, counted by the
    /// edge: for badges, without fetching any of it. See [`crate::badge`].
    ///
    /// # Errors
    /// When the edge refuses, or the list does not end.
    pub async fn unread(&self) -> Result<Unread> {
        let mut all = Unread::default();
        let mut page = Bytes::new();
        for _ in 0..limits::PAGE_ROWS {
            match self.call(Request::GetUnread(GetUnread { page })).await? {
                Body::Unread(answer) => {
                    all.groups.extend(answer.groups);
                    all.unknown.extend(answer.unknown);
                    page = answer.next;
                }
                other => return Err(strange(&other)),
            }
            if page.is_empty() {
                return Ok(all);
            }
        }
        Err(ClientError::Protocol(
            "the list of groups does not end".into(),
        ))
    }

    /// Says goodbye and ends the client: what waits is told that it is closed.
    /// With a durable local store, unsent messages stay in it.
    pub async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self
            .inner
            .commands
            .send(Command::Close { reply })
            .await
            .is_ok()
        {
            // An error means that it has ended already.
            let _ = closed.await;
        }
    }

    pub(crate) fn wakers(&self) -> Arc<Wakers> {
        self.inner.wakers.clone()
    }

    pub(crate) fn room(&self) -> usize {
        self.inner.room
    }

    pub(crate) async fn command(&self, command: Command) -> Result<()> {
        let sent = self.inner.commands.send(command).await;
        sent.map_err(|_| ClientError::Closed)
    }

    pub(crate) async fn call(&self, request: Request) -> Result<Body> {
        let (reply, answer) = oneshot::channel();
        let request = Box::new(request);
        self.command(Command::Call { request, reply }).await?;
        answer.await.unwrap_or(Err(ClientError::Closed))
    }
}

/// An answer of another kind than was asked for.
pub(crate) fn strange(body: &Body) -> ClientError {
    let text = format!("{body:?}");
    let kind = text.split('(').next().unwrap_or_default();
    ClientError::Protocol(format!("an answer of the wrong kind: {kind}"))
}
