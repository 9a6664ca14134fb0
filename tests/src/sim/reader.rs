//! What a person's client gives without being asked each time: entries and
//! events.

use std::sync::Arc;
use std::time::Duration;

use folkmoot_client::{ClientError, Code, Event, Events, Group, GroupId};
use tokio::time::sleep;

use super::book::{Book, PersonId};
use super::findings::Findings;

/// Between attempts of what did not work.
const AGAIN: Duration = Duration::from_secs(1);

/// Reads a group as long as the client lives.
pub async fn read(who: PersonId, group: Group, book: Arc<Book>, pause: Option<Duration>) {
    loop {
        match group.entries().await {
            Ok(mut entries) => {
                let mut fresh = true;
                while let Some(entry) = entries.next().await {
                    book.read(who, &entry, fresh);
                    fresh = false;
                    if let Some(pause) = pause {
                        sleep(pause).await;
                    }
                }
            }
            Err(ClientError::Closed) => return,
            // Just joined, and this edge does not know it yet.
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

/// Takes down what the client tells beside its answers.
pub async fn listen(who: PersonId, mut events: Events, book: Arc<Book>, findings: Findings) {
    while let Some(event) = events.next().await {
        match event {
            Event::Bump { group, .. } | Event::RowsChanged { group, .. } => {
                book.pages().told.insert((who, group));
            }
            Event::GroupsChanged(groups) | Event::GroupsListed(groups) => {
                let ids = groups
                    .iter()
                    .filter_map(|g| GroupId::from_slice(&g.group).ok());
                book.pages().told.extend(ids.map(|group| (who, group)));
            }
            Event::Presence { group, people } => {
                book.pages().present.take(who, group, &people);
            }
            Event::HistoryReset { group } => book.replaced(who, group),
            Event::HistoryGone { group, after, to } => {
                findings.add(format!("person {who}: {group} has a hole, {after}..={to}"));
            }
            Event::Settled {
                result: Err(fault), ..
            } if fault.code == Code::Conflict => {
                findings.add(format!("person {who}: a retry was a conflict: {fault}"));
            }
            _ => {}
        }
    }
}
