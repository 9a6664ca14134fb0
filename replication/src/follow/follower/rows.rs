//! Reconciling rows with the upstream: a session a group, a message a fetch.

use std::collections::BTreeSet;

use bytes::Bytes;
use folkmoot_wire::proto::RowDiff;
use folkmoot_wire::{GroupId, limits, without};
use prost::Message;

use super::fetch::{Need, Open, Walk};
use super::{Fetch, Follower, Output, newer};
use crate::apply::ApplyError;

impl Follower {
    /// Begins the fetches that may begin.
    pub(super) fn start(&mut self, out: &mut Output) -> Result<(), ApplyError> {
        let mut not_yet = Vec::new();
        while let Some((group, need)) = self.fetches.begin() {
            let walk = match need {
                Need::Log { after } => {
                    let after = *after;
                    out.fetches.push(Fetch::Log { group, after });
                    continue;
                }
                Need::Rows(walk) => walk,
            };
            // What was taken just now is not in the store yet.
            let readable = !self.copies.has_fresh(&group);
            let asked = self.sums.with(&self.config.place(group), |sums| {
                if !readable || !sums.refresh(limits::ROW_SUM_READS)? {
                    return Ok::<_, ApplyError>(None);
                }
                walk.session.ask(sums)
            })?;
            match asked {
                Some(asked) => {
                    walk.cost.bytes += asked.encoded_len() as u64;
                    out.fetches.push(Fetch::Rows { group, asked });
                }
                None => not_yet.push(group),
            }
        }
        out.more = !not_yet.is_empty();
        for group in not_yet {
            self.fetches.not_yet(group);
        }
        Ok(())
    }

    /// An answer of a session.
    pub(super) fn rows(
        &mut self,
        group: GroupId,
        diff: RowDiff,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let Some(Open {
            need: Need::Rows(mut walk),
            target,
        }) = self.fetches.answered(&group, true)
        else {
            return Ok(());
        };
        self.check(group, out)?;
        let version = diff.head.as_ref().map(|head| head.version);
        walk.moved |= version.is_none() || walk.version.is_some_and(|v| Some(v) != version);
        walk.moved |= version < Some(target.version);
        walk.version = version;
        walk.cost.answers += 1;
        walk.cost.bytes += diff.encoded_len() as u64;
        let head = newer(target, diff.head.clone());
        #[cfg_attr(not(folkmoot_mutants), allow(unused_mut))]
        let mut found = self.sums.with(&self.config.place(group), |sums| {
            // Blocks that are stale still make a difference show where there is
            // none, or hide one: the next walk finds it.
            sums.refresh(limits::ROW_SUM_READS)?;
            walk.session.answered(sums, diff)
        })?;
        without!(TombstoneWatermark => { found.ours.clear(); });
        walk.cost.rows += found.theirs.len() as u64;
        if walk.mirror && !walk.moved {
            walk.cost.wrong += found.ours.len() as u64;
            self.copies
                .mirror_rows(group, found.theirs, found.ours, out)?;
        } else {
            if walk.drops && !walk.moved {
                let theirs: BTreeSet<Bytes> = found.theirs.iter().map(|r| r.key.clone()).collect();
                let mut ours = found.ours;
                ours.retain(|key| !theirs.contains(key));
                self.copies.drop_rows(group, &ours, out)?;
            }
            self.copies.take_rows(group, found.theirs, out)?;
        }
        if !walk.session.is_done() {
            self.fetches.want_rows(group, walk, head);
            if found.stalled {
                self.fetches.pause(&group);
            }
            return Ok(());
        }
        self.walked(group, &mut walk, &head, out)
    }

    /// A session has nothing left to ask.
    fn walked(
        &mut self,
        group: GroupId,
        walk: &mut Walk,
        head: &folkmoot_wire::proto::Head,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        walk.moved |= walk.session.dropped();
        if walk.mirror {
            let total = self.sums.with(&self.config.place(group), |sums| {
                while !sums.refresh(limits::ROW_SUM_READS)? {}
                Ok::<_, ApplyError>(sums.total())
            })?;
            self.copies.recount(group, total, out)?;
        }
        out.reconciled.push(walk.cost.clone());
        self.compare(group, head, out)?;
        // What still differs changed meanwhile, or else it is ours that is
        // wrong. Either way the next walk is later.
        let mirror = !walk.moved && walk.version == Some(head.version);
        if mirror {
            // Nor is what we remember of our rows to be relied on.
            self.sums.forget(&self.config.place(group));
        }
        self.fetches.walk_later(&group, walk, mirror);
        Ok(())
    }
}
