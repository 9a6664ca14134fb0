//! The log of one group as this client reads it: every entry once, in order,
//! each proved by the chain.
//!
//! Pushes, gaps and fetched pages come in, in any order and any number of
//! times; what comes out is dense. Entries that do not fit yet are kept while
//! a fetch is under way, within a bound, and fetched again beyond it. When the
//! reader is slow, nothing is kept for it: it gets what it has asked for
//! ([`Timeline::grant`]), and the rest is fetched when it asks again.

mod held;
mod start;
#[cfg(test)]
mod tests;

use folkmoot_wire::entry::{Chain, chain_from, genesis};
use folkmoot_wire::proto::{Activated, Deliver, Head, LogSlice, Resume, SealedEntry};
use folkmoot_wire::{GroupId, limits};

use crate::entry::Entry;
use held::Held;
pub use start::Start;

/// Fetches in a row that brought nothing on, after which the resume point is
/// checked with the edge.
const FUTILE_FETCHES: u32 = 3;

/// A place in a log: everything up to and including `seq` is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The last seq; 0: none.
    pub seq: u64,
    /// The chain there; `None` when it is not known yet.
    pub chain: Option<Chain>,
}

/// A page of the log that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// The page begins behind this seq.
    pub after: u64,
    /// It has at most so many entries.
    pub limit: u32,
}

/// What a reader has to know about the history beside the entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// What was read so far is not this log's history (any more): it has to be
    /// dropped, and the log is read anew from its start.
    Reset,
    /// The entries behind `after`, up to and including `to`, are below the
    /// group's floor.
    Gone {
        /// The last seq before the hole.
        after: u64,
        /// The last seq of the hole.
        to: u64,
    },
    /// The edge's entries do not follow from the resume point: it has to be
    /// checked by activating again.
    Suspect,
}

/// What came out of an event.
#[derive(Debug, Default, PartialEq)]
pub struct Output {
    /// For the reader, in order.
    pub entries: Vec<Entry>,
    /// For the reader; comes before the entries.
    pub notes: Vec<Note>,
}

/// The state of one group's log.
#[derive(Debug)]
pub struct Timeline {
    group: GroupId,
    start: Start,
    position: Option<Point>,
    /// Where the present reader began.
    base: Option<Point>,
    genesis: Option<Chain>,
    /// Up to here the log is known to go.
    known: u64,
    visible_from: u64,
    floor: Point,
    active: bool,
    fetching: bool,
    resumed_with: u64,
    credit: usize,
    follows: bool,
    futile: u32,
    held: Held,
}

impl Timeline {
    /// The log of `group`, read from `start`.
    #[must_use]
    pub fn new(group: GroupId, start: Start) -> Self {
        let position = match start {
            Start::After(point) => Some(point),
            _ => None,
        };
        Self {
            group,
            start,
            position,
            base: position,
            genesis: None,
            known: 0,
            visible_from: 0,
            floor: Point {
                seq: 0,
                chain: None,
            },
            active: false,
            fetching: false,
            resumed_with: 0,
            credit: 0,
            follows: position.is_some(),
            futile: 0,
            held: Held::default(),
        }
    }

    /// The last entry given out; `None` before the first activation.
    #[must_use]
    pub fn position(&self) -> Option<Point> {
        self.position
    }

    /// Whether the edge pushes this group in this session.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// What to activate the group with. The answer goes to
    /// [`Timeline::activated`].
    pub fn resume(&mut self) -> Resume {
        let (seq, chain) = match self.position {
            Some(Point {
                seq,
                chain: Some(chain),
            }) if seq > 0 => (seq, chain.to_vec()),
            _ => (0, Vec::new()),
        };
        self.resumed_with = seq;
        Resume {
            group: self.group.to_bytes(),
            seq,
            chain: chain.into(),
        }
    }

    /// The edge has activated the group. `cluster` gives the log's beginning.
    pub fn activated(&mut self, answer: &Activated, cluster: &[u8; 16]) -> Output {
        let mut output = Output::default();
        self.active = true;
        self.fetching = false;
        self.futile = 0;
        self.held.clear();
        self.genesis = Some(genesis(cluster, &self.group));
        self.visible_from = answer.visible_from;
        let head = answer.head.clone().unwrap_or_default();
        self.note_head(&head);
        // Not the greater of this and what was known: heads heard of before
        // may be of another history, or the word of an edge that was wrong.
        self.known = head.seq.max(answer.live_from);
        if self.resumed_with > 0 && !answer.resumed {
            self.position = None;
            self.start = Start::Beginning;
            output.notes.push(Note::Reset);
        }
        let is_new = self.position.is_none();
        if is_new {
            self.position = Some(self.start.point(&head));
            self.follows = false;
        }
        self.skip_unseen(&mut output);
        if is_new {
            self.base = self.position;
        }
        output
    }

    /// The session ended.
    pub fn disconnected(&mut self) {
        self.active = false;
        self.fetching = false;
        self.held.clear();
    }

    /// The reader takes `entries` more.
    pub fn grant(&mut self, entries: usize) {
        self.credit = self.credit.saturating_add(entries);
    }

    /// A new reader takes over, with a credit of its own. `taken`: what the
    /// old one has taken; `None`: nothing.
    pub fn rewind(&mut self, taken: Option<Point>) {
        self.credit = 0;
        if let (Some(point), Some(position)) = (taken.or(self.base), self.position)
            && point.seq <= position.seq
        {
            self.known = self.known.max(position.seq);
            self.position = Some(point);
            self.base = self.position;
            self.held.clear();
        }
    }

    /// The edge has pushed entries.
    pub fn deliver(&mut self, deliver: Deliver) -> Output {
        let mut output = Output::default();
        let (Some(covers), Some(position)) = (deliver.covers, self.position) else {
            return output;
        };
        self.known = self.known.max(covers.to);
        if covers.to <= position.seq || covers.from > covers.to {
            return output;
        }
        if covers.from > position.seq + 1 || position.chain.is_none() {
            if self.credit > 0 {
                self.held.keep(deliver);
            }
            return output;
        }
        if !self.advance(&deliver.entries, &mut output.entries) {
            self.held.clear();
        }
        output
    }

    /// The session was too slow, or the edge lost its place.
    pub fn gap(&mut self, head: &Head) {
        self.note_head(head);
    }

    /// What to fetch now. The answer goes to [`Timeline::fetched`], its absence
    /// to [`Timeline::fetch_failed`].
    pub fn fetch(&mut self) -> Option<Fetch> {
        let position = self.position?;
        if !self.active || self.fetching || self.credit == 0 || self.known <= position.seq {
            return None;
        }
        self.fetching = true;
        let limit = self.credit.min(limits::PAGE_ENTRIES as usize);
        Some(Fetch {
            after: position.seq,
            limit: u32::try_from(limit).unwrap_or(limits::PAGE_ENTRIES),
        })
    }

    /// The fetch was not answered or was refused.
    pub fn fetch_failed(&mut self) {
        self.fetching = false;
    }

    /// A fetched page. The flag says whether it brought the reader on; when
    /// not, the next fetch should wait a little.
    pub fn fetched(&mut self, slice: &LogSlice) -> (Output, bool) {
        let mut output = Output::default();
        self.fetching = false;
        let Some(before) = self.position else {
            return (output, false);
        };
        if let Some(head) = &slice.head {
            self.note_head(head);
            if slice.gone {
                self.skip_unseen(&mut output);
            }
        }
        self.anchor(slice);
        self.advance(&slice.entries, &mut output.entries);
        self.drain_held(&mut output.entries);
        if self.position != Some(before) || self.credit == 0 {
            self.futile = 0;
            return (output, true);
        }
        self.futile += 1;
        if self.futile >= FUTILE_FETCHES {
            self.futile = 0;
            output.notes.push(Note::Suspect);
        }
        (output, false)
    }

    /// Takes the chain before a page, where the position's own is not known:
    /// at the start of what this client may or wants to see.
    fn anchor(&mut self, slice: &LogSlice) {
        let from = slice.covers.map_or(0, |covers| covers.from);
        if let Some(position) = &mut self.position
            && position.chain.is_none()
            && from == position.seq + 1
        {
            position.chain = chain_from(&slice.chain_before).ok();
        }
    }

    /// Gives out what follows the position. False: something did not follow.
    fn advance(&mut self, entries: &[SealedEntry], out: &mut Vec<Entry>) -> bool {
        for sealed in entries {
            let Some(Point {
                seq,
                chain: Some(chain),
            }) = self.position
            else {
                return true;
            };
            match sealed.decode_header() {
                Ok(header) if header.seq <= seq => continue,
                Ok(_) if self.credit == 0 => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
            let Ok((header, chain)) = sealed.verify(&chain, seq + 1) else {
                return false;
            };
            self.position = Some(Point {
                seq: seq + 1,
                chain: Some(chain),
            });
            self.known = self.known.max(seq + 1);
            self.credit -= 1;
            out.push(Entry {
                group: self.group,
                header,
                body: sealed.body.clone(),
                chain,
                erased: sealed.is_erased(),
                follows: std::mem::replace(&mut self.follows, true),
            });
        }
        true
    }

    fn drain_held(&mut self, out: &mut Vec<Entry>) {
        while let Some(position) = self.position
            && let Some(deliver) = self.held.take_following(position.seq)
        {
            if !self.advance(&deliver.entries, out) {
                self.held.clear();
            }
        }
    }

    fn note_head(&mut self, head: &Head) {
        self.known = self.known.max(head.seq);
        if let Some(floor) = &head.floor
            && floor.seq > self.floor.seq
        {
            self.floor = Point {
                seq: floor.seq,
                chain: chain_from(&floor.chain).ok(),
            };
        }
    }

    /// Moves over what this client cannot have: what is below the floor, and
    /// what came before it may see.
    fn skip_unseen(&mut self, output: &mut Output) {
        let Some(position) = &mut self.position else {
            return;
        };
        if position.seq == 0 && position.chain.is_none() {
            position.chain = self.genesis;
        }
        if self.floor.seq > position.seq {
            output.notes.push(Note::Gone {
                after: position.seq,
                to: self.floor.seq,
            });
            *position = self.floor;
            self.follows = false;
        }
        if self.visible_from > position.seq + 1 {
            *position = Point {
                seq: self.visible_from - 1,
                chain: None,
            };
            self.follows = false;
        }
    }
}
