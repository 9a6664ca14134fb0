//! What was acknowledged is in the log, once, where the answer said; what was
//! refused for good is not; what nobody was told of is there once at most.

use std::collections::BTreeMap;

use folkmoot_client::Code;
use folkmoot_wire::proto::Kind;

use super::End;
use crate::sim::book::{Act, MessageNo, Outcome};

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
    for act in &pages.acts {
        let places = act.message.and_then(|message| found.get(&message));
        let places = places.map_or(&[][..], Vec::as_slice);
        if let Err(wrong) = judge(end, act, places) {
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
    act: &Act,
    places: &[(folkmoot_client::GroupId, u64)],
) -> Result<(), String> {
    match act.outcome {
        Outcome::Unknown if places.len() > 1 => Err(format!("it is at {places:?}")),
        Outcome::Refused(_) if !places.is_empty() => Err(format!("it is at {places:?}")),
        // A member who is told "not found" was not looked up where it counts.
        Outcome::Refused(Code::NotFound) if act.member && act.kind == Kind::Message => {
            Err("a member was held for an outsider".into())
        }
        Outcome::Unknown | Outcome::Refused(_) => Ok(()),
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
