//! What people said while their group's home could not be reached (D9, D11):
//! appends that are durable here and in no log yet.
//!
//! A node *keeps* what its own clients said and what a neighbour gave it to
//! keep; it only *shows* what a neighbour told of. Both are put in order by the
//! message id, which begins with the HLC of the edge that took the message.
//! What is kept stays until the home has answered; what is shown alone goes by
//! itself when nobody tells of it any more.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use folkmoot_wire::proto::{Append, Cipher, Kind};
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

/// Whether an append may be tentative: what is said may, under an id that makes
/// a retry harmless. Edits, recalls and changes of members act on what the home
/// knows.
#[must_use]
pub fn may_be(append: &Append) -> bool {
    let said = matches!(append.kind(), Kind::Message | Kind::Action | Kind::Notice);
    said && Cipher::try_from(append.cipher).is_ok() && Attempt::of(append).is_some()
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Tentative {
    /// Its group.
    pub group: GroupId,
    /// What is proposed to the home.
    pub append: Append,
    attempt: Attempt,
    id: MessageId,
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
}

/// The bounds of what a node keeps and shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Messages.
    pub messages: usize,
    /// Bytes of their appends.
    pub bytes: usize,
    /// What is shown alone goes after so long a silence.
    pub silence: Duration,
}

/// There is no room: the sender is answered `unavailable`, as it would be
/// without tentatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("as many tentative messages wait as may")]
pub struct Full;

/// What became of telling a node about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was not known.
    New,
    /// It was shown alone, and is to be kept now.
    Kept,
    /// It was known. The id is that under which it was taken first.
    Known(MessageId),
}

#[derive(Debug, Clone)]
struct Held {
    tentative: Tentative,
    /// `None`: kept. Else when it was told of last.
    told: Option<Duration>,
    bytes: usize,
}

/// Everything tentative that a node knows of.
#[derive(Debug)]
pub struct Tentatives {
    bounds: Bounds,
    groups: BTreeMap<GroupId, BTreeMap<MessageId, Held>>,
    attempts: BTreeMap<(GroupId, Attempt), MessageId>,
    bytes: usize,
}

impl Tentatives {
    /// None.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            groups: BTreeMap::new(),
            attempts: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Takes a message: to keep, or to show alone.
    ///
    /// # Errors
    /// When there is no room.
    pub fn take(&mut self, tentative: Tentative, keep: bool, now: Duration) -> Result<Told, Full> {
        let at = (tentative.group, tentative.attempt);
        if let Some(id) = self.attempts.get(&at).copied() {
            return Ok(self.again(&tentative.group, id, keep, now));
        }
        let group = self.groups.get(&tentative.group);
        if group.is_some_and(|messages| messages.contains_key(&tentative.id)) {
            // Stamps are made once: whoever sends this again means the same.
            return Ok(Told::Known(tentative.id));
        }
        let bytes = tentative.append.encoded_len();
        if self.attempts.len() >= self.bounds.messages || self.bytes + bytes > self.bounds.bytes {
            return Err(Full);
        }
        self.bytes += bytes;
        self.attempts.insert(at, tentative.id);
        let held = Held {
            told: (!keep).then_some(now),
            bytes,
            tentative,
        };
        let group = self.groups.entry(at.0).or_default();
        group.insert(held.tentative.id, held);
        Ok(Told::New)
    }

    fn again(&mut self, group: &GroupId, id: MessageId, keep: bool, now: Duration) -> Told {
        let held = self.groups.get_mut(group).and_then(|g| g.get_mut(&id));
        match held.map(|held| &mut held.told) {
            Some(told @ Some(_)) if keep => {
                *told = None;
                Told::Kept
            }
            Some(Some(told)) => {
                *told = now;
                Told::Known(id)
            }
            _ => Told::Known(id),
        }
    }

    /// Takes a message out that the home has answered.
    pub fn settle(&mut self, group: GroupId, attempt: Attempt) -> Option<Tentative> {
        let id = self.attempts.remove(&(group, attempt))?;
        let messages = self.groups.get_mut(&group)?;
        let held = messages.remove(&id)?;
        if messages.is_empty() {
            self.groups.remove(&group);
        }
        self.bytes -= held.bytes;
        Some(held.tentative)
    }

    /// Takes out what is shown alone and was not told of for long.
    pub fn expire(&mut self, now: Duration) -> Vec<Tentative> {
        let silence = self.bounds.silence;
        let old = |held: &&Held| held.told.is_some_and(|told| told + silence <= now);
        let gone: Vec<(GroupId, Attempt)> = self
            .groups
            .values()
            .flat_map(BTreeMap::values)
            .filter(old)
            .map(|held| (held.tentative.group, held.tentative.attempt))
            .collect();
        gone.into_iter()
            .filter_map(|(group, attempt)| self.settle(group, attempt))
            .collect()
    }

    /// The messages of a group, in order.
    pub fn of(&self, group: &GroupId) -> impl Iterator<Item = &Tentative> {
        self.groups
            .get(group)
            .into_iter()
            .flat_map(BTreeMap::values)
            .map(|held| &held.tentative)
    }

    /// The kept messages of the groups that `wanted` says, in the order of
    /// their ids, at most `limit` and about `bytes` bytes: what is handed over
    /// next.
    #[must_use]
    pub fn kept(
        &self,
        wanted: impl Fn(&GroupId) -> bool,
        limit: usize,
        bytes: usize,
    ) -> Vec<Tentative> {
        let mut first: BTreeMap<MessageId, &Held> = BTreeMap::new();
        let groups = self.groups.iter().filter(|(group, _)| wanted(group));
        for held in groups.flat_map(|(_, messages)| messages.values()) {
            if held.told.is_none() {
                first.insert(held.tentative.id, held);
                if first.len() > limit {
                    first.pop_last();
                }
            }
        }
        let mut sum = 0;
        first
            .into_values()
            .take_while(|held| {
                let room = sum == 0 || sum + held.bytes <= bytes;
                sum += held.bytes;
                room
            })
            .map(|held| held.tentative.clone())
            .collect()
    }

    /// Groups of which something is kept.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        let kept = |held: &Held| held.told.is_none();
        self.groups
            .iter()
            .filter(move |(_, messages)| messages.values().any(kept))
            .map(|(group, _)| *group)
    }

    /// Whether something of the group is kept: what its members say next has
    /// to wait behind it.
    #[must_use]
    pub fn keeps(&self, group: &GroupId) -> bool {
        let messages = self.groups.get(group);
        messages.is_some_and(|messages| messages.values().any(|held| held.told.is_none()))
    }

    /// How many messages are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.attempts.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }
}
