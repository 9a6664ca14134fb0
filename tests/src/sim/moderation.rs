//! What owners do to members, and what people do to what they said.

use std::time::Duration;

use folkmoot_client::{GroupId, SendOptions};
use folkmoot_node::ports::Clock;
use folkmoot_wire::proto::{JoinBody, Kind, MemberSelf, MuteBody};
use prost::Message;

use super::book::{Outcome, message_text};
use super::person::Person;
use super::workload::Made;

/// A mute lasts so long, by the owner's clock.
const MUTE: Duration = Duration::from_secs(3);

/// An owner puts somebody out, lets somebody in again, or silences somebody.
pub async fn moderate(person: &mut Person, made: &Made) {
    let others = made.plan.members.clone();
    let Some(victim) = person.draw.pick(&others).copied() else {
        return;
    };
    let Some(user) = person.book.pages().users.get(&victim).copied() else {
        return;
    };
    let group = made.id;
    let (kind, body) = match person.draw.below(8) {
        0 | 1 => (Kind::Ban, Vec::new()),
        2 | 3 => (Kind::Unban, Vec::new()),
        4 => {
            let until_ms = person.clock.wall_ms() + MUTE.as_millis() as u64;
            (Kind::Mute, MuteBody { until_ms }.encode_to_vec())
        }
        5 => (Kind::Leave, Vec::new()),
        _ => {
            let nick = format!("nick{victim}");
            (Kind::Join, JoinBody { nick, role: 0 }.encode_to_vec())
        }
    };
    if matches!(kind, Kind::Ban | Kind::Leave) {
        if made.plan.history_from_join {
            person.book.left(victim, group);
        }
        person.book.pages().put_out.insert((victim, group));
    }
    let options = SendOptions {
        subject: Some(user),
        ..SendOptions::of(kind, body)
    };
    person.act(group, options).await;
}

/// Something said before gets other words, or is taken back.
pub async fn amend(person: &mut Person, group: GroupId, recall: bool) {
    let said: Vec<u64> = {
        let pages = person.book.pages();
        let mine = pages
            .acts
            .iter()
            .filter(|act| act.who == person.id && act.group == group)
            .filter(|act| act.kind == Kind::Message);
        mine.filter_map(|act| match act.outcome {
            Outcome::Acked(sent) => Some(sent.seq),
            _ => None,
        })
        .collect()
    };
    let Some(target) = person.draw.pick(&said).copied() else {
        return;
    };
    if recall {
        let options = SendOptions {
            target,
            ..SendOptions::of(Kind::Recall, Vec::new())
        };
        person.act(group, options).await;
        return;
    }
    let message = person.book.message();
    let options = SendOptions {
        kind: Kind::Edit,
        target,
        ..SendOptions::text(message_text(message, "better words"))
    };
    person.submit(group, options, Some(message)).await;
}

/// A member's own settings in a group.
pub async fn settings(person: &mut Person, group: GroupId) {
    let own = MemberSelf {
        muted: person.draw.one_in(2),
        pinned: person.draw.one_in(2),
        ..MemberSelf::default()
    };
    if let Some(handle) = person.group(group) {
        // A failure shows nowhere but in a setting that stays as it was.
        let _ = handle.update_self(own).await;
    }
}
