//! What was said, and what became of it.

use parking_lot::Mutex;
use tokio::time::Instant;

/// A message's place in the ledger.
pub type No = usize;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not known yet.
    Open,
    /// Committed under this seq.
    Acknowledged { seq: u64, at: Instant },
    /// Refused for good, with the reason.
    Refused(String),
    /// It may have been committed or not.
    Unknown(String),
}

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Who sent it to which group.
    pub lane: Lane,
    /// Its text, which no other message has.
    pub text: String,
    /// When it was sent.
    pub sent: Instant,
    /// What became of it.
    pub outcome: Outcome,
}

/// A publisher and a group: what goes this way keeps its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// Number of the publisher.
    pub publisher: usize,
    /// Number of the group.
    pub group: usize,
}

/// All messages, in the order in which they were sent.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Vec<Message>>);

impl Ledger {
    /// Writes down that a message is sent; gives its place and text.
    pub fn sends(&self, lane: Lane) -> (No, String) {
        let mut messages = self.0.lock();
        let no = messages.len();
        let text = format!("message {no} of publisher {}", lane.publisher);
        messages.push(Message {
            lane,
            text: text.clone(),
            sent: Instant::now(),
            outcome: Outcome::Open,
        });
        (no, text)
    }

    /// Writes down what became of it.
    pub fn settled(&self, no: No, outcome: Outcome) {
        if let Some(message) = self.0.lock().get_mut(no) {
            message.outcome = outcome;
        }
    }

    /// How many have no outcome yet.
    #[must_use]
    pub fn open(&self) -> usize {
        let messages = self.0.lock();
        let open = messages.iter().filter(|m| m.outcome == Outcome::Open);
        open.count()
    }

    /// A copy of all.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.0.lock().clone()
    }

    /// For each of these lanes, when the first message that was sent after
    /// `since` was acknowledged; `None`: none was yet.
    #[must_use]
    pub fn first_since(&self, since: Instant, lanes: &[Lane]) -> Vec<Option<Instant>> {
        let messages = self.0.lock();
        let from = messages.partition_point(|message| message.sent < since);
        let mut first = vec![None; lanes.len()];
        for message in &messages[from..] {
            let Outcome::Acknowledged { at, .. } = message.outcome else {
                continue;
            };
            if let Some(place) = lanes.iter().position(|lane| *lane == message.lane) {
                let before: &mut Option<Instant> = &mut first[place];
                *before = Some(before.map_or(at, |before| before.min(at)));
            }
        }
        first
    }
}

#[cfg(test)]
mod tests;
