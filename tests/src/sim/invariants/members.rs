//! Whoever has an entry in a log was in the group at that place: nobody
//! appends after leaving, or after the seq of a ban.

use std::collections::BTreeMap;

use folkmoot_client::{GroupId, UserId};
use folkmoot_wire::proto::{EntryHeader, Kind};

use super::joins::Asked;
use super::{End, Log};
use crate::sim::book::{Outcome, Pages};
use crate::sim::sometimes::State;

/// Where somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Member,
    Left,
    Banned,
}

/// Whom an entry is about.
#[must_use]
pub fn subject(header: &EntryHeader) -> Option<UserId> {
    let subject = match header.subject.is_empty() {
        true => &header.sender,
        false => &header.subject,
    };
    UserId::from_slice(subject).ok()
}

/// What an entry makes of whom it is about.
#[must_use]
pub fn change(header: &EntryHeader) -> Option<Standing> {
    match header.kind() {
        Kind::Create | Kind::Join => Some(Standing::Member),
        Kind::Leave | Kind::Unban => Some(Standing::Left),
        Kind::Ban => Some(Standing::Banned),
        _ => None,
    }
}

/// Where everybody stands at the end of a log, by what it says.
#[must_use]
pub fn at_end(log: &Log) -> BTreeMap<UserId, Standing> {
    let mut standings = BTreeMap::new();
    for header in &log.headers {
        if let (Some(user), Some(standing)) = (subject(header), change(header)) {
            standings.insert(user, standing);
        }
    }
    standings
}

pub(super) fn check(end: &End<'_>) {
    let pages = end.book.pages();
    for (group, log) in &end.logs {
        let asked = Asked::of(end, &pages, group);
        let mut standings: BTreeMap<UserId, Standing> = BTreeMap::new();
        for header in &log.headers {
            let Ok(sender) = UserId::from_slice(&header.sender) else {
                continue;
            };
            let comes = matches!(header.kind(), Kind::Create | Kind::Join);
            let before = standings.get(&sender).copied();
            let may = match before {
                Some(Standing::Member) => true,
                Some(Standing::Banned) => false,
                Some(Standing::Left) | None => {
                    comes && subject(header) == Some(sender) || asked.may_have_come(&sender)
                }
            };
            // A self group's entries are made by the system.
            let of_system = header.kind() == Kind::Listed;
            end.findings.check(may || of_system, || {
                format!("{sender} has entry {} of {group} as {before:?}", header.seq)
            });
            if let (Some(user), Some(standing)) = (subject(header), change(header)) {
                let again =
                    header.kind() == Kind::Join && standings.get(&user) == Some(&Standing::Banned);
                end.findings.check(!again, || {
                    format!("{user}, banned, joins {group} at {}", header.seq)
                });
                standings.insert(user, standing);
            }
        }
        bans_under_way(end, &pages, group, log);
    }
}

/// Counts bans that found something of the banned under way.
fn bans_under_way(end: &End<'_>, pages: &Pages, group: &GroupId, log: &Log) {
    for header in log.headers.iter().filter(|h| h.kind() == Kind::Ban) {
        let banned = pages
            .users
            .iter()
            .find(|(_, user)| subject(header) == Some(**user));
        let refused = |who: usize| {
            let mut acts = pages.acts.iter();
            acts.any(|act| {
                act.who == who
                    && act.group == *group
                    && matches!(act.outcome, Outcome::Refused(folkmoot_client::Code::Banned))
            })
        };
        if banned.is_some_and(|(who, _)| refused(*who)) {
            end.sometimes.saw(State::BannedUnderWay);
        }
    }
    let epochs = log.headers.iter().zip(log.headers.iter().skip(1));
    let changes = epochs.filter(|(before, after)| before.epoch != after.epoch);
    for _ in changes {
        end.sometimes.saw(State::NewEpoch);
    }
}
