//! Who is told to be there, and who is: everybody watches everybody else, in
//! every group.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_client::{GroupId, Presence, UserId};

use super::book::{Book, PersonId};
use super::person::Person;

/// What people were told of each other.
#[derive(Debug, Default)]
pub struct Told {
    /// Who is there, as a person's client told last.
    now: BTreeMap<(PersonId, GroupId), BTreeSet<UserId>>,
    /// Who ever was.
    pub ever: BTreeSet<(PersonId, GroupId, UserId)>,
}

impl Told {
    /// A person's client tells.
    pub fn take(&mut self, who: PersonId, group: GroupId, people: &[Presence]) {
        let now = self.now.entry((who, group)).or_default();
        for one in people {
            if one.online {
                now.insert(one.user);
                self.ever.insert((who, group, one.user));
            } else {
                now.remove(&one.user);
            }
        }
    }

    /// The person has a new client, which knows nothing.
    pub fn forget(&mut self, who: PersonId) {
        self.now.retain(|(of, _), _| *of != who);
    }
}

/// Everybody names everybody, anew: who of them is a member is looked up then.
pub async fn watch(people: &[Person], book: &Book) {
    let users: Vec<UserId> = book.pages().users.values().copied().collect();
    for person in people {
        for group in &person.groups {
            let Some(group) = person.group(*group) else {
                continue;
            };
            // A client that is closed watches nobody.
            let _ = group.watch_presence([]).await;
            let _ = group.watch_presence(users.iter().copied()).await;
        }
    }
}

/// Somebody who is not told of a member who is connected. `is_member` says who
/// is one by what the home holds.
pub fn unseen(
    people: &[Person],
    book: &Book,
    is_member: impl Fn(Option<UserId>, &GroupId) -> bool,
) -> Option<String> {
    let pages = book.pages();
    let connected = people.iter().filter(|person| person.client().is_some());
    let connected: Vec<&Person> = connected.collect();
    for person in &connected {
        let me = pages.users.get(&person.id).copied();
        for group in person.groups.iter().filter(|group| is_member(me, group)) {
            let told = pages.present.now.get(&(person.id, *group));
            for other in &connected {
                let user = pages.users.get(&other.id).copied();
                let seen = user.is_none_or(|user| told.is_some_and(|told| told.contains(&user)));
                if !seen && other.groups.contains(group) && is_member(user, group) {
                    let (me, other) = (person.id, other.id);
                    return Some(format!(
                        "person {me} is not told that person {other} is there, in {group}"
                    ));
                }
            }
        }
    }
    None
}
