//! One append that is durable in a region and in no log yet.

use folkmoot_wire::proto::{Append, Cipher, JoinBody, Kind};
use folkmoot_wire::{ClientMsgId, DeviceId, GroupId, MessageId, UserId};
use prost::Message;

/// What a retry is recognised by (D9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// Who said it,
    pub user: UserId,
    /// on which device,
    pub device: DeviceId,
    /// under which id.
    pub id: ClientMsgId,
}

impl Attempt {
    /// Of an append; `None` when it is not one that can be retried.
    #[must_use]
    pub fn of(append: &Append) -> Option<Self> {
        Some(Self {
            user: UserId::from_slice(&append.sender).ok()?,
            device: DeviceId(append.device),
            id: ClientMsgId::from_slice(&append.client_msg_id).ok()?,
        })
    }
}

/// Whether an append may be tentative, under an id that makes a retry harmless:
/// what is said, what somebody does about themselves (they join, leave, take
/// another nick), and changes of a group's profile, which merge. Edits, recalls
/// and whatever is done about others act on what the home knows.
#[must_use]
pub fn may_be(append: &Append) -> bool {
    let kind = match append.kind() {
        Kind::Message | Kind::Action | Kind::Notice | Kind::Profile => true,
        Kind::Join | Kind::Leave | Kind::Rename => {
            append.subject.is_empty() || append.subject == append.sender
        }
        _ => false,
    };
    kind && Cipher::try_from(append.cipher).is_ok() && Attempt::of(append).is_some()
}

/// What waiting joins and leaves make of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// They come, under this nick.
    Comes {
        /// Empty when it cannot be read: the home refuses it then.
        nick: String,
    },
    /// They go.
    Goes,
}

/// One message, or one change.
#[derive(Debug, Clone, PartialEq)]
pub struct Tentative {
    /// Its group.
    pub group: GroupId,
    /// What is proposed to the home.
    pub append: Append,
    attempt: Attempt,
    pub(super) id: MessageId,
}

impl Tentative {
    /// `None` when the append is not one that [`may_be`] tentative.
    #[must_use]
    pub fn new(group: GroupId, append: Append) -> Option<Self> {
        Some(Self {
            attempt: Attempt::of(&append).filter(|_| may_be(&append))?,
            id: MessageId::from_slice(&append.id).ok()?,
            group,
            append,
        })
    }

    /// What a retry of it is recognised by.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Its message id; with it messages are in order.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// What it makes of its sender; `None` when it is no join or leave.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        match self.append.kind() {
            Kind::Join => {
                let body = JoinBody::decode(self.append.body.clone());
                let nick = body.map(|body| body.nick).unwrap_or_default();
                Some(Standing::Comes { nick })
            }
            Kind::Leave => Some(Standing::Goes),
            _ => None,
        }
    }
}
