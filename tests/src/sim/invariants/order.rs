//! What was acknowledged before something else began stands before it in the
//! log.

use super::End;
use crate::sim::book::{Act, Outcome};

pub(super) fn check(end: &End<'_>) {
    let pages = end.book.pages();
    for group in end.logs.keys() {
        // Entries made by what was acknowledged, in the order they were wanted.
        let mut made: Vec<(&Act, u64)> = pages
            .acts
            .iter()
            .filter(|act| act.group == *group)
            .filter_map(|act| match act.outcome {
                Outcome::Acked(sent) if sent.seq > 0 && !sent.duplicate => Some((act, sent.seq)),
                _ => None,
            })
            .collect();
        made.sort_by_key(|(act, _)| act.invoked);
        for (at, (later, seq)) in made.iter().enumerate() {
            let early = made[..at].iter().filter(|(act, before)| {
                before > seq && act.settled.is_some_and(|settled| settled < later.invoked)
            });
            for (act, before) in early {
                end.findings.add(format!(
                    "{group}: entry {before}, acknowledged to person {}, comes behind entry {seq}, \
                     which person {} wanted afterwards",
                    act.who, later.who
                ));
            }
        }
    }
}
