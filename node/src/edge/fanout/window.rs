//! The window of D13: new entries of a group are gathered for a while and
//! encoded once. After as long a quiet the first entry leaves at once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::{Head, Row, SealedEntry};
use tokio::time::Instant;

use super::encode::is_public;

/// A window that is full stays open for so long, so that a group that is busier
/// than that gets larger frames instead of more of them. It has no timer of its
/// own: what fills it comes fast, and what waits longest waits as ever.
const FULL: Duration = Duration::from_millis(5);
/// So many times full, it closes at once.
const TIMES: usize = 16;

/// When a window closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// Longest wait of an entry. Zero: none waits.
    pub time: Duration,
    /// Entries.
    pub entries: usize,
    /// Bytes of entries.
    pub bytes: usize,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(50),
            entries: 10,
            bytes: 4 * 1024,
        }
    }
}

/// News of one group, gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Seq of the first entry; 0: no entries.
    pub(super) from: u64,
    /// Seq of the last entry.
    pub(super) to: u64,
    pub(super) entries: Vec<SealedEntry>,
    /// The latest of each.
    pub(super) rows: BTreeMap<Bytes, Row>,
    pub(super) head: Head,
    bytes: usize,
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.from == 0 && self.rows.is_empty()
    }

    /// Whether entries from `from` on continue what is gathered.
    pub(super) fn continues(&self, from: u64) -> bool {
        self.from == 0 || from == self.to + 1
    }

    /// `small`: the group is. Rows that are only their user's business do not
    /// close a window.
    pub(super) fn add(
        &mut self,
        entries: &[(u64, SealedEntry)],
        rows: &[Row],
        head: &Head,
        small: bool,
    ) {
        for (seq, entry) in entries {
            if self.from == 0 {
                self.from = *seq;
            }
            self.to = *seq;
            self.bytes += entry.header.len() + entry.body.len();
            self.entries.push(entry.clone());
        }
        for row in rows {
            if is_public(row, small) {
                self.bytes += row.key.len();
            }
            self.rows.insert(row.key.clone(), row.clone());
        }
        self.head.clone_from(head);
    }
}

/// The window of one group.
#[derive(Debug, Default)]
pub(super) struct Window {
    gathered: Gathered,
    opened: Option<Instant>,
    last: Option<Instant>,
    /// A deadline is with the timer.
    timed: bool,
}

impl Window {
    pub(super) fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Gathers; the caller then asks [`Window::due`] and [`Window::deadline`].
    pub(super) fn gather(&mut self, now: Instant) -> &mut Gathered {
        self.opened.get_or_insert(now);
        &mut self.gathered
    }

    pub(super) fn gathered(&self) -> &Gathered {
        &self.gathered
    }

    /// Whether what is gathered has to go.
    pub(super) fn due(&self, now: Instant, options: &WindowOptions) -> bool {
        let Some(opened) = self.opened else {
            return false;
        };
        let quiet = self.last.is_none_or(|last| now >= last + options.time);
        quiet
            || now >= opened + options.time
            || (self.is_full(1, options) && now >= opened + FULL)
            || self.is_full(TIMES, options)
    }

    fn is_full(&self, times: usize, options: &WindowOptions) -> bool {
        self.gathered.entries.len() >= options.entries * times
            || self.gathered.bytes >= options.bytes * times
    }

    /// When to look again, for the timer; `None` when it knows or need not.
    pub(super) fn deadline(&mut self, options: &WindowOptions) -> Option<Instant> {
        if self.timed {
            return None;
        }
        self.timed = self.opened.is_some();
        self.opened.map(|opened| opened + options.time)
    }

    /// The timer has come.
    pub(super) fn timer_fired(&mut self) {
        self.timed = false;
    }

    /// Closes the window.
    pub(super) fn take(&mut self, now: Instant) -> Gathered {
        self.opened = None;
        self.last = Some(now);
        std::mem::take(&mut self.gathered)
    }
}
