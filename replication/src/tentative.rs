//! What people said while their group's home could not be reached (D9, D11):
//! appends that are durable here and in no log yet.
//!
//! A node *keeps* what its own clients said and what a neighbour gave it to
//! keep; it only *shows* what a neighbour told of. Both are put in order by the
//! message id, which begins with the HLC of the edge that took the message. Of
//! a message that several edges took the smallest id counts. An edge stamps
//! what one device says in rising order, and a device that comes to another
//! edge says there all that waits, in order, before anything new: so the
//! smallest ids rise too, however far the clocks of the edges are apart.
//!
//! What one device says never comes before what it said earlier. Therefore
//! whoever is given a message is given all that is kept of its group up to it
//! ([`Tentatives::owed`]), as it may be the next to hand over.
//! What is kept stays until the home has answered; what is shown alone goes by
//! itself when nobody tells of it any more.

mod one;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use folkmoot_wire::{GroupId, MessageId, NodeId, UserId};
use prost::Message;

pub use one::{Attempt, Standing, Tentative, may_be};

/// The bounds of what a node keeps and shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Messages.
    pub messages: usize,
    /// Messages of one sender: nobody fills it up alone.
    pub of_sender: usize,
    /// Bytes of their appends.
    pub bytes: usize,
    /// What is shown alone goes after so long a silence.
    pub silence: Duration,
}

/// The bounds of what is given or handed over at once. One message always
/// fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Messages.
    pub messages: usize,
    /// Bytes of their appends.
    pub bytes: usize,
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
    /// It was kept under this larger id.
    Renamed {
        /// The id it had.
        from: MessageId,
    },
    /// It was known.
    Known,
}

#[derive(Debug, Clone)]
struct Held {
    tentative: Tentative,
    /// `None`: kept. Else when it was told of last.
    told: Option<Duration>,
    /// Who said last that it keeps it too.
    also: Option<NodeId>,
    bytes: usize,
}

/// Everything tentative that a node knows of.
#[derive(Debug)]
pub struct Tentatives {
    bounds: Bounds,
    groups: BTreeMap<GroupId, BTreeMap<MessageId, Held>>,
    attempts: BTreeMap<(GroupId, Attempt), MessageId>,
    /// How many there are of each.
    senders: BTreeMap<UserId, usize>,
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
            senders: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Takes a message: to keep, or to show alone.
    ///
    /// # Errors
    /// When there is no room.
    pub fn take(&mut self, tentative: Tentative, keep: bool, now: Duration) -> Result<Told, Full> {
        let at = (tentative.group, tentative.attempt());
        if let Some(id) = self.attempts.get(&at).copied() {
            return Ok(self.again(&tentative, id, keep, now));
        }
        let group = self.groups.get(&tentative.group);
        if group.is_some_and(|messages| messages.contains_key(&tentative.id)) {
            // Stamps are made once: whoever sends this again means the same.
            return Ok(Told::Known);
        }
        let bytes = tentative.append.encoded_len();
        let of_sender = self.senders.get(&at.1.user).copied().unwrap_or_default();
        let full = self.attempts.len() >= self.bounds.messages
            || self.bytes + bytes > self.bounds.bytes
            || of_sender >= self.bounds.of_sender;
        if full {
            return Err(Full);
        }
        self.bytes += bytes;
        self.senders.insert(at.1.user, of_sender + 1);
        self.attempts.insert(at, tentative.id);
        let held = Held {
            told: (!keep).then_some(now),
            also: None,
            bytes,
            tentative,
        };
        let group = self.groups.entry(at.0).or_default();
        group.insert(held.tentative.id, held);
        Ok(Told::New)
    }

    fn again(&mut self, said: &Tentative, id: MessageId, keep: bool, now: Duration) -> Told {
        let messages = self.groups.get_mut(&said.group);
        let Some((messages, mut held)) = messages.and_then(|messages| {
            let held = messages.remove(&id)?;
            Some((messages, held))
        }) else {
            return Told::Known;
        };
        let kept = held.told.is_none();
        // Keepers write down what they are given to keep, and nothing else.
        let renamed = said.id < id && (keep || !kept) && !messages.contains_key(&said.id);
        if renamed {
            held.tentative.id = said.id;
            held.tentative.append.id.clone_from(&said.append.id);
            // Who keeps it too knows it by its old id.
            held.also = None;
            self.attempts.insert((said.group, said.attempt()), said.id);
        }
        held.told = (!kept && !keep).then_some(now);
        messages.insert(held.tentative.id, held);
        match (kept, keep) {
            (false, true) => Told::Kept,
            (true, _) if renamed => Told::Renamed { from: id },
            _ => Told::Known,
        }
    }

    /// What is known of an attempt.
    #[must_use]
    pub fn get(&self, group: GroupId, attempt: Attempt) -> Option<&Tentative> {
        let id = self.attempts.get(&(group, attempt))?;
        let held = self.groups.get(&group)?.get(id)?;
        Some(&held.tentative)
    }

    /// What waiting joins and leaves make of whoever does this on the device it
    /// comes from. Those of other devices count for nothing: nobody promises
    /// that they are handed over before it.
    #[must_use]
    pub fn standing(&self, group: &GroupId, attempt: &Attempt) -> Option<Standing> {
        let theirs = |tentative: &&Tentative| {
            let of = tentative.attempt();
            (of.user, of.device) == (attempt.user, attempt.device)
        };
        let all = self.of(group).filter(theirs);
        all.filter_map(Tentative::standing).last()
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
        if let Entry::Occupied(mut count) = self.senders.entry(attempt.user) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
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
            .map(|held| (held.tentative.group, held.tentative.attempt()))
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
    /// their ids, at most `page`: what is handed over next.
    #[must_use]
    pub fn kept(&self, wanted: impl Fn(&GroupId) -> bool, page: Page) -> Vec<Tentative> {
        let groups = self.groups.iter().filter(|(group, _)| wanted(group));
        first(groups.flat_map(|(_, messages)| messages.values()), page)
    }

    /// What `node` has to be given before it is given anything newer of the
    /// group: what is kept and what it has not said to keep too, up to `last`,
    /// in order, at most `page`.
    #[must_use]
    pub fn owed(
        &self,
        group: &GroupId,
        node: NodeId,
        last: MessageId,
        page: Page,
    ) -> Vec<Tentative> {
        let messages = self.groups.get(group);
        let upto = messages.into_iter().flat_map(|m| m.range(..=last));
        first(
            upto.map(|(_, held)| held)
                .filter(|held| held.also != Some(node)),
            page,
        )
    }

    /// `node` keeps these too.
    pub fn given(&mut self, node: NodeId, said: &[Tentative]) {
        for tentative in said {
            let messages = self.groups.get_mut(&tentative.group);
            if let Some(held) = messages.and_then(|m| m.get_mut(&tentative.id)) {
                held.also = Some(node);
            }
        }
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

/// The first kept ones by their ids.
fn first<'a>(all: impl Iterator<Item = &'a Held>, page: Page) -> Vec<Tentative> {
    let mut first: BTreeMap<MessageId, &Held> = BTreeMap::new();
    for held in all.filter(|held| held.told.is_none()) {
        first.insert(held.tentative.id, held);
        if first.len() > page.messages {
            first.pop_last();
        }
    }
    let mut sum = 0;
    first
        .into_values()
        .take_while(|held| {
            let room = sum == 0 || sum + held.bytes <= page.bytes;
            sum += held.bytes;
            room
        })
        .map(|held| held.tentative.clone())
        .collect()
}
