//! What happens beside the answers to one's own requests.

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_transport::Carrier;
use folkmoot_wire::proto::{EntryHeader, GroupSummary, Head, Row, Settled};
use folkmoot_wire::{ClientMsgId, Fault, GroupId, NodeId, UserId};
use tokio::sync::broadcast;

use crate::core::outbox::LocalId;
use crate::error::ClientError;
use crate::receipt::Sent;

/// Events kept for a reader that is slow. More: it gets [`Event::Missed`].
pub(crate) const EVENT_QUEUE: usize = 1_024;

/// What was said and has no place in the log yet.
#[derive(Debug, Clone, PartialEq)]
pub struct TentativeEntry {
    /// Its header. It has no seq, and its HLC is that of the edge.
    pub header: EntryHeader,
    /// Its body.
    pub body: Bytes,
}

/// How somebody is who is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Who.
    pub user: UserId,
    /// Has a session somewhere, or had one seconds ago.
    pub online: bool,
    /// Is writing in that group.
    pub typing: bool,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A session began.
    Connected {
        /// The edge, as it was given to the builder.
        edge: String,
        /// What carries the session.
        carrier: Carrier,
        /// The edge's region.
        region: String,
        /// The edge's node.
        node: NodeId,
    },
    /// The session ended, or none could be made; another attempt follows.
    Disconnected {
        /// Why.
        reason: ClientError,
        /// Milliseconds until the next attempt.
        retry_ms: u64,
    },
    /// A group that is not active moved on.
    Bump {
        /// The group.
        group: GroupId,
        /// Its head.
        head: Head,
        /// Entries this user has not read.
        unread: u64,
    },
    /// Groups of the user's list that changed since the last session (the
    /// first page; the rest by `Client::list_groups`).
    GroupsChanged(Vec<GroupSummary>),
    /// The user's whole list of groups (the first page, as above): what changed
    /// since the last session is not known any more. A group that is not in it
    /// is none of the user's.
    GroupsListed(Vec<GroupSummary>),
    /// Rows of an active group changed.
    RowsChanged {
        /// The group.
        group: GroupId,
        /// The rows as they are now.
        rows: Vec<Row>,
    },
    /// Members who are watched are otherwise than was told before
    /// ([`Group::watch_presence`](crate::Group::watch_presence)).
    Presence {
        /// The group.
        group: GroupId,
        /// Each of them.
        people: Vec<Presence>,
    },
    /// This user may not read the group any more.
    AccessLost {
        /// The group.
        group: GroupId,
        /// Why.
        fault: Fault,
    },
    /// What was read of the group so far is not its history: drop it. It is
    /// read anew from its start.
    HistoryReset {
        /// The group.
        group: GroupId,
    },
    /// Entries of the group that were not read yet are gone.
    HistoryGone {
        /// The group.
        group: GroupId,
        /// The last seq before the hole.
        after: u64,
        /// The last seq of the hole.
        to: u64,
    },
    /// The group's home cannot be reached. The message is durable in this
    /// region and will be committed, or refused, when it can; its receipt
    /// resolves only then.
    Accepted {
        /// The group.
        group: GroupId,
        /// Its number in the local queue.
        local: LocalId,
        /// The id it was sent under.
        client_msg_id: ClientMsgId,
        /// The edge's stamp.
        hlc: Hlc,
    },
    /// What people of this region said in an active group while its home cannot
    /// be reached, and what became of such messages. Show them until the entry
    /// with the same sender, device and `client_msg_id` is read, or until they
    /// are settled; one may be told of twice.
    Tentative {
        /// The group.
        group: GroupId,
        /// What was said.
        entries: Vec<TentativeEntry>,
        /// What the home made of earlier ones.
        settled: Vec<Settled>,
    },
    /// A message that was queued before a restart is settled.
    Settled {
        /// The group.
        group: GroupId,
        /// Its number in the local queue.
        local: LocalId,
        /// What became of it.
        result: Result<Sent, Fault>,
    },
    /// This reader was too slow, and so many events were dropped for it.
    Missed(u64),
}

/// A reader of events.
#[derive(Debug)]
pub struct Events {
    rx: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) fn new(rx: broadcast::Receiver<Event>) -> Self {
        Self { rx }
    }

    /// The next event; `None` when the client is closed.
    pub async fn next(&mut self) -> Option<Event> {
        match self.rx.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::Missed(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
