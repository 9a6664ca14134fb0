//! What was read of groups, and whether it came whole, once and in order: the
//! simulator's judgement of timelines.

use folkmoot_client::{Entry, GroupId};
use parking_lot::Mutex;

use crate::sim::invariants::timelines::{Reading, follows};

/// Findings that are listed. More are only counted.
const LISTED: usize = 100;

/// A listener's place.
pub type Listener = usize;

struct Heard {
    who: String,
    group: GroupId,
    reading: Reading,
}

#[derive(Default)]
struct Inner {
    heard: Vec<Heard>,
    wrong: Vec<String>,
    entries: u64,
}

/// All listeners.
#[derive(Default)]
pub struct Listeners(Mutex<Inner>);

impl Listeners {
    /// A new one, who reads a group from its beginning.
    pub fn add(&self, who: String, group: GroupId) -> Listener {
        let mut inner = self.0.lock();
        inner.heard.push(Heard {
            who,
            group,
            reading: Reading::default(),
        });
        inner.heard.len() - 1
    }

    /// It was given an entry.
    pub fn heard(&self, listener: Listener, entry: &Entry) {
        let mut inner = self.0.lock();
        let inner = &mut *inner;
        inner.entries += 1;
        let Some(heard) = inner.heard.get_mut(listener) else {
            return;
        };
        let fresh = heard.reading.last == 0;
        let judged = if fresh && entry.seq() != 1 {
            Err(format!("it begins at {}", entry.seq()))
        } else {
            follows(&mut heard.reading, entry, fresh)
        };
        if let Err(wrong) = judged
            && inner.wrong.len() < LISTED
        {
            let Heard { who, group, .. } = heard;
            inner.wrong.push(format!("{who} reads {group}: {wrong}"));
        }
    }

    /// How many there are, and how many entries they were given.
    #[must_use]
    pub fn counts(&self) -> (usize, u64) {
        let inner = self.0.lock();
        (inner.heard.len(), inner.entries)
    }

    /// What was wrong.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        self.0.lock().wrong.clone()
    }

    /// Those who have not read a group up to `seq`.
    #[must_use]
    pub fn behind(&self, group: GroupId, seq: u64) -> Vec<String> {
        let inner = self.0.lock();
        let of_group = inner.heard.iter().filter(|heard| heard.group == group);
        of_group
            .filter(|heard| heard.reading.last < seq)
            .map(|heard| {
                format!(
                    "{} has read {group} up to {} of {seq}",
                    heard.who, heard.reading.last
                )
            })
            .collect()
    }
}
