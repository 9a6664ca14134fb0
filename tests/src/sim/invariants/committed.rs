//! What was acknowledged is in the log, once, where the answer said; what was
//! refused for good is not; what nobody was told of is there once at most.

use std::collections::BTreeMap;

use folkmoot_client::{Code, UserId};
use folkmoot_wire::proto::Kind;

use super::End;
use super::members::{self, Standing};
use crate::sim::book::{Act, MessageNo, Outcome, PersonId};

type Users = BTreeMap<PersonId, UserId>;

pub(super) fn check(end: &End<'_>) {
    let mut found: BTreeMap<MessageNo, Vec<(folkmoot_client::GroupId, u64)>> = BTreeMap::new();
    for (group, log) in &end.logs {
        for at in 0..log.entries.len() {
            if let Some(message) = log.message(at) {
                found
                    .entry(message)
                    .or_default()
                    .push((*group, at as u64 + 1));
            }
        }
    }
    let pages = end.book.pages();
    let users = &pages.users;
    for act in &pages.acts {
        let places = act.message.and_then(|message| found.get(&message));
        let places = places.map_or(&[][..], Vec::as_slice);
        if let Err(wrong) = judge(end, users, act, places) {
            let (who, group, message) = (act.who, act.group, act.message);
            end.findings.add(format!(
                "{:?} {message:?} of person {who} in {group}, {:?}: {wrong}",
                act.kind, act.outcome
            ));
        }
    }
}

fn judge(
    end: &End<'_>,
    users: &Users,
    act: &Act,
    places: &[(folkmoot_client::GroupId, u64)],
) -> Result<(), String> {
    match act.outcome {
        Outcome::Unknown if places.len() > 1 => Err(format!("it is at {places:?}")),
        // Of a raw device's repetitions one may be refused and one not.
        Outcome::Refused(_) if !places.is_empty() && !act.raw => {
            Err(format!("it is at {places:?}"))
        }
        Outcome::Refused(code) => fair(end, users, act, code),
        Outcome::Unknown => Ok(()),
        Outcome::Acked(sent) if act.message.is_some() => match places {
            [(group, seq)] if (*group, *seq) == (act.group, sent.seq) => Ok(()),
            other => Err(format!("it is at {other:?}")),
        },
        // There was nothing to change.
        Outcome::Acked(sent) if sent.seq == 0 => Ok(()),
        Outcome::Acked(sent) => {
            let log = end.logs.get(&act.group);
            let header = log.and_then(|log| log.headers.get(sent.seq as usize - 1));
            match header {
                Some(header)
                    if header.kind == act.kind as i32
                        && header.client_msg_id[..] == sent.client_msg_id.as_bytes()[..] =>
                {
                    Ok(())
                }
                other => Err(format!("there is {other:?}")),
            }
        }
    }
}

/// A refusal for good is for a reason that the log shows.
fn fair(end: &End<'_>, users: &Users, act: &Act, code: Code) -> Result<(), String> {
    let user = users.get(&act.who).copied();
    let ever = |standing: Standing| {
        let headers = end.logs.get(&act.group).map(|log| &log.headers);
        headers.into_iter().flatten().any(|header| {
            members::subject(header) == user && members::change(header) == Some(standing)
        })
    };
    let over_others = matches!(act.kind, Kind::Ban | Kind::Unban | Kind::Mute | Kind::Leave);
    let fair = match code {
        Code::NotFound => !act.member || ever(Standing::Left) || ever(Standing::Banned),
        // Whoever is added by somebody else was banned, perhaps.
        Code::Banned => act.kind == Kind::Join || ever(Standing::Banned),
        // What was said before one left may be out of sight now.
        Code::TargetNotFound => ever(Standing::Left) || ever(Standing::Banned),
        Code::Conflict => act.raw,
        Code::Forbidden => act.kind == Kind::Join || ever(Standing::Left),
        Code::Invalid => over_others,
        _ => false,
    };
    match fair {
        true => Ok(()),
        false => Err("nothing shows why".into()),
    }
}
