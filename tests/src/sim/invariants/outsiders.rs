//! Nothing of a group ever reaches someone outside it: not over the network,
//! not in events, not by name; nor what came before one may see.

use std::collections::BTreeMap;

use folkmoot_client::UserId;

use super::joins::Asked;
use super::members::{self, Standing};
use super::{End, Log};
use crate::sim::book::MessageNo;
use crate::sim::workload::Made;

/// Seqs `[from, to]` that a user may see.
pub(super) type Seen = Vec<(u64, u64)>;

pub(super) fn check(end: &End<'_>) {
    let pages = end.book.pages();
    let mut placed: BTreeMap<MessageNo, (usize, u64)> = BTreeMap::new();
    let mut may: Vec<BTreeMap<UserId, Seen>> = Vec::new();
    for (index, made) in end.groups.iter().enumerate() {
        let Some(log) = end.logs.get(&made.id) else {
            end.findings.add(format!("group {} is gone", made.number));
            return;
        };
        let asked = Asked::of(end, &pages, &made.id);
        may.push(match made.plan.large {
            true => asked.visible(made, log),
            false => visible(made, log),
        });
        for at in 0..log.entries.len() {
            if let Some(message) = log.message(at) {
                placed.insert(message, (index, at as u64 + 1));
            }
        }
    }
    for (who, message) in &pages.crossed {
        let user = pages.users.get(who);
        let place = placed.get(message).copied();
        let allowed = user.zip(place).is_some_and(|(user, (group, seq))| {
            let seen = may[group].get(user);
            seen.is_some_and(|seen| seen.iter().any(|(from, to)| (*from..=*to).contains(&seq)))
        });
        end.findings.check(allowed, || {
            format!("message {message} ({place:?}) reached person {who}, who may not see it")
        });
    }
    for (who, group, user) in &pages.present.ever {
        let index = end.groups.iter().position(|made| made.id == *group);
        let both = pages.users.get(who).into_iter().chain([user]);
        let allowed =
            index.is_some_and(|at| both.into_iter().all(|user| may[at].contains_key(user)));
        end.findings.check(allowed, || {
            format!(
                "person {who} was told that {user} of {group} is there, who may not see each other"
            )
        });
    }
    // What is tentative is in no log: who is a member is then known only as it
    // was, and whether the home takes it is not known at all.
    for (who, group, message) in &pages.shown {
        let index = end.groups.iter().position(|made| made.id == *group);
        let said_there = pages
            .acts
            .iter()
            .any(|act| act.message == Some(*message) && act.group == *group);
        let member = index.zip(pages.users.get(who));
        let allowed = member.is_some_and(|(index, user)| may[index].contains_key(user));
        end.findings.check(allowed && said_there, || {
            format!("message {message}, tentative in {group}, was shown to person {who}")
        });
    }
    for (index, made) in end.groups.iter().enumerate().filter(|(_, m)| !m.plan.open) {
        let inside = |who: &usize| {
            let user = pages.users.get(who);
            user.is_some_and(|user| may[index].contains_key(user))
        };
        for (who, _) in pages
            .named
            .iter()
            .filter(|(_, named)| *named == made.number)
        {
            end.findings.check(inside(who), || {
                format!("the name of group {} reached person {who}", made.number)
            });
        }
        for (who, _) in pages.told.iter().filter(|(_, group)| *group == made.id) {
            end.findings.check(inside(who), || {
                format!("an event of group {} reached person {who}", made.number)
            });
        }
    }
}

/// What each user may see, by what the log says: from where they may see to
/// where they left or were put out last.
fn visible(made: &Made, log: &Log) -> BTreeMap<UserId, Seen> {
    let mut seen: BTreeMap<UserId, Seen> = BTreeMap::new();
    for header in &log.headers {
        let Some(user) = members::subject(header) else {
            continue;
        };
        match members::change(header) {
            Some(Standing::Member) => {
                let from = match made.plan.history_from_join {
                    true => header.seq,
                    false => 1,
                };
                seen.entry(user).or_default().push((from, u64::MAX));
            }
            Some(Standing::Left | Standing::Banned) => {
                if let Some((_, to)) = seen.get_mut(&user).and_then(|seen| seen.last_mut()) {
                    *to = header.seq.min(*to);
                }
            }
            None => {}
        }
    }
    seen
}
