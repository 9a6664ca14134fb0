//! Who is a member is who was let in and not out again: by the log, and where
//! joins make no entries by what people were answered.

use std::collections::BTreeMap;

use folkmoot_client::{GroupId, UserId};
use folkmoot_wire::proto::{Kind, MemberStatus};
use tokio::time::Instant;

use super::members::{self, Standing, at_end};
use super::outsiders::Seen;
use super::{End, Log};
use crate::sim::book::{Act, Outcome, Pages};
use crate::sim::sometimes::State;
use crate::sim::workload::Made;

/// Joins into a large group that people asked for and that may have been done,
/// by who was to come.
pub(super) struct Asked<'a> {
    pages: &'a Pages,
    group: GroupId,
    joins: BTreeMap<UserId, Vec<&'a Act>>,
}

impl<'a> Asked<'a> {
    /// None of a group that is not large.
    pub(super) fn of(end: &End<'_>, pages: &'a Pages, group: &GroupId) -> Self {
        let made = end.groups.iter().find(|made| made.id == *group);
        let large = made.is_some_and(|made| made.plan.large);
        let mut joins: BTreeMap<UserId, Vec<&Act>> = BTreeMap::new();
        for act in pages.acts.iter().filter(|_| large) {
            let comes = act.about.or_else(|| pages.users.get(&act.who).copied());
            let refused = matches!(act.outcome, Outcome::Refused(_));
            if let Some(user) = comes
                && act.group == *group
                && act.kind == Kind::Join
                && !refused
            {
                joins.entry(user).or_default().push(act);
            }
        }
        Self {
            pages,
            group: *group,
            joins,
        }
    }

    pub(super) fn may_have_come(&self, user: &UserId) -> bool {
        self.joins.contains_key(user)
    }

    /// What each user may see: to where they left or were put out, and on if
    /// they may have come again.
    pub(super) fn visible(&self, made: &Made, log: &Log) -> BTreeMap<UserId, Seen> {
        let mut seen: BTreeMap<UserId, Seen> = BTreeMap::new();
        let from = |seq| match made.plan.history_from_join {
            true => seq,
            false => 1,
        };
        for (user, joins) in &self.joins {
            let first = joins.iter().map(|act| act.invoked).min();
            let before = first.map_or(0, |first| self.acked_before(first));
            seen.insert(*user, vec![(from(before + 1), u64::MAX)]);
        }
        for header in &log.headers {
            let (Some(user), Some(change)) = (members::subject(header), members::change(header))
            else {
                continue;
            };
            let spans = seen.entry(user).or_default();
            let again = match change {
                Standing::Banned => false,
                Standing::Left => self.may_come_after(&user, header.seq),
                Standing::Member => true,
            };
            if change != Standing::Member {
                for (_, to) in spans.iter_mut() {
                    *to = header.seq.min(*to);
                }
            }
            if again {
                spans.push((from(header.seq), u64::MAX));
            }
        }
        seen
    }

    /// The last entry that was known to be there before.
    fn acked_before(&self, at: Instant) -> u64 {
        let acts = self.pages.acts.iter().filter(|act| act.group == self.group);
        let acts = acts.filter(|act| act.settled.is_some_and(|settled| settled < at));
        let seqs = acts.filter_map(|act| match act.outcome {
            Outcome::Acked(sent) => Some(sent.seq),
            _ => None,
        });
        seqs.max().unwrap_or(0)
    }

    /// Whether a join may have been done behind the entry of a departure: one
    /// that had been answered before that was asked for was not.
    fn may_come_after(&self, user: &UserId, seq: u64) -> bool {
        let went = self.pages.acts.iter().find(|act| {
            act.group == self.group
                && matches!(act.outcome, Outcome::Acked(sent) if sent.seq == seq)
        });
        let joins = self.joins.get(user).into_iter().flatten();
        let mut settled = joins.map(|act| act.settled);
        settled.any(|settled| match (settled, went) {
            (Some(settled), Some(went)) => settled > went.invoked,
            _ => true,
        })
    }
}

pub(super) fn check(end: &End<'_>) {
    let pages = end.book.pages();
    for made in end.groups {
        let group = &made.id;
        let Some(log) = end.logs.get(group) else {
            continue;
        };
        let asked = Asked::of(end, &pages, group);
        let by_log = at_end(log);
        for (user, status) in &log.members {
            let told = by_log.get(user).copied();
            end.findings.check(fits(&asked, user, told, *status), || {
                format!("{user} is {status:?} of {group}, and by its log {told:?}")
            });
            if told.is_none() && *status == MemberStatus::Member && asked.may_have_come(user) {
                end.sometimes.saw(State::JoinedQuietly);
            }
        }
        stay(end, &asked, &by_log, (group, log));
        let is_member = |status: &&MemberStatus| **status == MemberStatus::Member;
        let there = log.members.values().filter(is_member).count();
        let told = log.member_count;
        end.findings.check(there == told as usize, || {
            format!("{group} has {there} members and says {told}")
        });
    }
}

/// Whether a row's status is one that the log, and what was answered, allow.
fn fits(asked: &Asked<'_>, user: &UserId, by_log: Option<Standing>, status: MemberStatus) -> bool {
    match (by_log, status) {
        (Some(Standing::Member), MemberStatus::Member)
        | (Some(Standing::Left), MemberStatus::Left)
        | (Some(Standing::Banned), MemberStatus::Banned) => true,
        (Some(Standing::Left) | None, MemberStatus::Member) => asked.may_have_come(user),
        _ => false,
    }
}

/// Whoever was told to be in, and whom no entry puts out, is.
fn stay(
    end: &End<'_>,
    asked: &Asked<'_>,
    by_log: &BTreeMap<UserId, Standing>,
    (group, log): (&GroupId, &Log),
) {
    for (user, joins) in &asked.joins {
        let acked = |act: &&Act| matches!(act.outcome, Outcome::Acked(_));
        if by_log.contains_key(user) || !joins.iter().any(acked) {
            continue;
        }
        let status = log.members.get(user).copied();
        end.findings
            .check(status == Some(MemberStatus::Member), || {
                format!("{user} joined {group} and is {status:?}")
            });
    }
}
