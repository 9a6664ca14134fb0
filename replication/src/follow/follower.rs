//! The following side: one follower a shard, at a relay or an edge.
//!
//! It holds copies of logs and rows, verifies every chain, fetches what a
//! push left open, and claims a watermark only when nothing is open. What it
//! took is given on as pushes of its own, to its sessions and, at a relay, to
//! its own feed.

mod copy;
mod derived;
mod fetch;
mod gone;
mod moved;
mod pushes;
mod repair;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use folkmoot_storage::{Batch, Place, Read, Seat, StoreError, Table, keys, value};
use folkmoot_wire::proto::{
    FollowOpen, FollowPush, GroupMoved, GroupPush, Head, LogSlice, ReconcileRows, RowDiff,
    StoredFollow,
};
use folkmoot_wire::{GroupId, RegionId, ShardId, Slot, safeguard};

use crate::apply::{ApplyError, moved_groups};
use crate::reconcile::RowSums;
use copy::Copies;
use fetch::{Fetches, Open, Walk};

/// What a follower is told at its making.
#[derive(Debug, Clone)]
pub struct Config {
    /// The shard.
    pub shard: ShardId,
    /// Its region.
    pub region: RegionId,
    /// Its slots: of other groups the upstream may not have heard yet that they
    /// were split off.
    pub slots: (Slot, Slot),
    /// The cluster, part of every chain.
    pub cluster: [u8; 16],
    /// Key of row fingerprints.
    pub digest_key: [u8; 32],
    /// Follow every group in full, not only those that are wanted.
    pub all_groups: bool,
}

impl Config {
    /// Where this shard keeps a group.
    fn place(&self, group: GroupId) -> Place {
        Place {
            region: self.region,
            group,
        }
    }
}

/// What happens to a follower.
#[derive(Debug)]
pub enum Event {
    /// A push arrived.
    Push(FollowPush),
    /// An answer to [`Fetch::Log`].
    Log { group: GroupId, slice: LogSlice },
    /// An answer to [`Fetch::Rows`].
    Rows { group: GroupId, diff: RowDiff },
    /// A fetch failed; it is tried again at a tick.
    FetchFailed { group: GroupId },
    /// Follow these groups in full from now on.
    Want { groups: Vec<GroupId> },
    /// No longer.
    Unwant { groups: Vec<GroupId> },
    /// Time passed.
    Tick,
    /// Go on with what was left: see [`Output::more`].
    Continue,
}

/// Something to ask of the upstream.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetch {
    /// Entries behind `after`.
    Log { group: GroupId, after: u64 },
    /// In which rows we differ.
    Rows {
        group: GroupId,
        asked: ReconcileRows,
    },
}

/// What a session about the rows of one group cost and found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// The group.
    pub group: GroupId,
    /// Answers it took.
    pub answers: u64,
    /// Bytes of messages, both ways.
    pub bytes: u64,
    /// Rows that the upstream had and we did not have so.
    pub rows: u64,
    /// Rows of ours that were removed or replaced because the upstream does
    /// not have them so.
    pub wrong: u64,
}

impl Reconciled {
    fn new(group: GroupId) -> Self {
        Self {
            group,
            answers: 0,
            bytes: 0,
            rows: 0,
            wrong: 0,
        }
    }
}

/// What the driver is to do, in this order: write the batch, publish, fetch.
#[derive(Debug, Default)]
pub struct Output {
    /// To be written before the next event.
    pub batch: Batch,
    /// What changed here, for sessions and the relay's feed.
    pub pushes: Vec<GroupPush>,
    /// Everything up to this shard version is held now.
    pub watermark: Option<u64>,
    /// To be asked; each is answered by an event.
    pub fetches: Vec<Fetch>,
    /// Copies that were thrown away because their chain was not the
    /// upstream's: a disk or a peer lied.
    pub diverged: Vec<GroupId>,
    /// Sessions about rows that ended.
    pub reconciled: Vec<Reconciled>,
    /// Rows that were deleted since they are gone at the home.
    pub gone: u64,
    /// There is more to do: once the batch is written, [`Event::Continue`]
    /// goes on with it. Others may be let in between.
    pub more: bool,
}

/// The follower of one shard.
pub struct Follower {
    config: Config,
    seat: Arc<Seat>,
    sums: Arc<RowSums>,
    copies: Copies,
    fetches: Fetches,
    wanted: BTreeSet<GroupId>,
    /// Heads of groups that are not followed in full.
    known: BTreeMap<GroupId, Head>,
    /// Groups that went to another shard.
    moved: BTreeMap<GroupId, GroupMoved>,
    held: u64,
    /// A watermark that waits for the open fetches.
    due: u64,
}

impl Follower {
    /// A follower over what the store holds from before. `sums` is told of all
    /// that is written to the store.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(
        config: Config,
        store: Arc<dyn Read>,
        sums: Arc<RowSums>,
    ) -> Result<Self, StoreError> {
        let key = keys::node::follow(config.shard);
        let held = match store.get(Table::Node, &key)? {
            Some(bytes) => value::decode_value::<StoredFollow>(bytes)?.watermark,
            None => 0,
        };
        // Heads of groups not followed are not kept on disk, so without all
        // groups the stream begins with every head again.
        let held = if config.all_groups { held } else { 0 };
        let moved = moved_groups(&*store, config.shard)?;
        let seat = Arc::new(Seat::new(store, config.region));
        Ok(Self {
            sums,
            copies: Copies::new(seat.clone(), config.cluster, config.digest_key),
            seat,
            moved,
            fetches: Fetches::default(),
            wanted: BTreeSet::new(),
            known: BTreeMap::new(),
            held,
            due: held,
            config,
        })
    }

    /// How to follow from here.
    #[must_use]
    pub fn open_message(&self) -> FollowOpen {
        FollowOpen {
            shard: self.config.shard.0,
            watermark: self.held,
            all_groups: self.config.all_groups,
            groups: self.wanted.iter().map(GroupId::to_bytes).collect(),
            subscription: 0, // the driver's
        }
    }

    /// Everything up to this shard version is held.
    #[must_use]
    pub fn watermark(&self) -> u64 {
        self.held
    }

    /// The newest head that was heard of, of a group not followed in full.
    #[must_use]
    pub fn known_head(&self, group: &GroupId) -> Option<&Head> {
        self.known.get(group)
    }

    /// Takes one event.
    ///
    /// # Errors
    /// When the store fails or holds what it should not.
    pub fn handle(&mut self, event: Event) -> Result<Output, ApplyError> {
        let mut out = Output::default();
        self.copies.settled();
        match event {
            Event::Push(push) if push.shard != self.config.shard.0 => {}
            Event::Push(push) => {
                for group in push.groups {
                    self.take(group, &mut out)?;
                }
                self.due = self.due.max(push.watermark);
            }
            Event::Log { group, slice } => self.log(group, slice, &mut out)?,
            Event::Rows { group, diff } => self.rows(group, diff, &mut out)?,
            Event::FetchFailed { group } => self.fetches.failed(group),
            Event::Want { groups } => self.want(groups, &mut out)?,
            Event::Unwant { groups } => {
                for group in groups {
                    self.unwant(group, &mut out)?;
                }
            }
            Event::Tick => self.fetches.retry(),
            Event::Continue => {}
        }
        self.start(&mut out)?;
        self.claim(&mut out);
        out.batch = self.seat.batch(out.batch);
        Ok(out)
    }

    fn follows(&self, group: &GroupId) -> bool {
        self.config.all_groups || self.wanted.contains(group)
    }

    fn want(&mut self, groups: Vec<GroupId>, out: &mut Output) -> Result<(), ApplyError> {
        for group in groups {
            self.wanted.insert(group);
            if let Some(head) = self.known.remove(&group) {
                self.compare(group, &head, out)?;
            }
        }
        Ok(())
    }

    fn unwant(&mut self, group: GroupId, out: &mut Output) -> Result<(), ApplyError> {
        if !self.wanted.remove(&group) || self.config.all_groups {
            return Ok(());
        }
        self.check(group, out)?;
        // What was to be reached is what is known of the group from now on.
        let head = match self.fetches.cancel(&group) {
            Some(target) => target,
            None => self.copies.head(&group)?,
        };
        if head.seq > 0 {
            self.known.insert(group, head);
        }
        Ok(())
    }

    /// The first look at a copy from before a restart: its head has to be
    /// that of its log.
    fn check(&mut self, group: GroupId, out: &mut Output) -> Result<(), ApplyError> {
        if !self.copies.is_sound(&group)? {
            self.copies.discard(group, out)?;
            out.diverged.push(group);
        }
        Ok(())
    }

    /// What separates our copy from the upstream's `head`? One without a chain
    /// only says that there is another: the log's answer brings it.
    fn compare(&mut self, group: GroupId, head: &Head, out: &mut Output) -> Result<(), ApplyError> {
        self.check(group, out)?;
        let local = self.copies.head(&group)?;
        if safeguard!(GapDetection, local.seq < head.seq) || is_unknown(head) {
            self.fetches.want_log(group, local.seq, head.clone());
        } else if self.copies.forks(&group, head)? {
            self.diverged(group, head, out)?;
        } else if local.seq > head.seq {
            // We hold more than this upstream; it will come.
        } else if local.version > head.version {
            self.fetches.settled(&group, local.version);
        } else if local.rows_digest != head.rows_digest || local.rows_count != head.rows_count {
            let mut walk = Walk::new(group, 0, false);
            walk.drops = local.tombstones < head.tombstones;
            self.fetches.want_rows(group, walk, head.clone());
        } else {
            self.fetches.settled(&group, head.version);
            self.copies.complete(group, head, out)?;
        }
        Ok(())
    }

    fn diverged(
        &mut self,
        group: GroupId,
        head: &Head,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        self.copies.discard(group, out)?;
        out.diverged.push(group);
        self.fetches.want_log(group, 0, head.clone());
        Ok(())
    }

    fn log(&mut self, group: GroupId, slice: LogSlice, out: &mut Output) -> Result<(), ApplyError> {
        let Some(Open { target, .. }) = self.fetches.answered(&group, false) else {
            return Ok(());
        };
        self.check(group, out)?;
        if slice.gone
            && let Some(head) = &slice.head
            && let Some(floor) = &head.floor
            && floor.seq <= head.seq
        {
            self.copies.start_at(group, floor, out)?;
        }
        let before = self.copies.head(&group)?;
        let next = before.seq.saturating_add(1);
        let behind_ours = slice.covers.is_some_and(|covers| covers.from == next);
        if behind_ours && !slice.chain_before.is_empty() && slice.chain_before != before.chain {
            self.diverged(group, &target, out)?;
        }
        self.copies
            .take_entries(group, &slice.chain_before, slice.entries, out)?;
        let head = newer(target, slice.head);
        self.compare(group, &head, out)?;
        let after = self.copies.head(&group)?.seq;
        if after <= before.seq && (after < head.seq || is_unknown(&head)) {
            // It brought nothing: asking again at once would bring no more.
            self.fetches.pause(&group);
        }
        Ok(())
    }

    /// Claims the watermark once nothing is open.
    fn claim(&mut self, out: &mut Output) {
        if self.due <= self.held || !self.fetches.is_idle() {
            return;
        }
        self.held = self.due;
        out.watermark = Some(self.held);
        if self.config.all_groups {
            let record = StoredFollow {
                watermark: self.held,
            };
            out.batch.put(
                Table::Node,
                keys::node::follow(self.config.shard),
                value::encode_value(&record),
            );
        }
    }
}

fn is_unknown(head: &Head) -> bool {
    head.seq > 0 && head.chain.is_empty()
}

fn newer(target: Head, answer: Option<Head>) -> Head {
    match answer {
        Some(head) if head.version >= target.version => head,
        _ => target,
    }
}
