//! What each side does by itself; both together in [`model`].

mod model;

use folkmoot_wire::{RegionId, Slot};

use super::*;

const BOUNDS: Bounds = Bounds {
    lease: Duration::from_secs(60),
    renew: Duration::from_secs(30),
    grace: Duration::from_secs(10),
    typing: Duration::from_secs(6),
    people: 1_000,
    watches: 1_000,
    watched: 10,
    page: 4,
};
const SHARDS: u32 = 2;

fn user(n: u8) -> UserId {
    UserId::new(RegionId(1), Slot(u16::from(n)), [n; 11])
}

fn group(n: u8) -> GroupId {
    GroupId::new(RegionId(1), Slot(u16::from(n)), [n; 11])
}

fn home(user: &UserId) -> Option<ShardId> {
    Some(ShardId(1 + u32::from(user.slot().0) % SHARDS))
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn news(set: impl FnOnce(&mut News)) -> News {
    let mut news = News::default();
    set(&mut news);
    news
}

const EDGE: NodeId = NodeId(7);
const OTHER: NodeId = NodeId(8);

/// A home that is old enough to know who is not there.
fn old_home() -> Home {
    let mut home = Home::new(ShardId(1), 3, BOUNDS);
    home.hear(EDGE, &News::default(), secs(0));
    home
}

fn online(push: &Push) -> Vec<(UserId, bool)> {
    let users = push.states.users.iter();
    users.map(|(user, is)| (*user, is.online)).collect()
}

#[test]
fn who_comes_and_goes_is_told_to_those_who_watch() {
    let mut home = old_home();
    let watch = news(|news| news.watch = vec![user(1), user(2)]);
    let answer = home.hear(OTHER, &watch, secs(100));
    assert!(answer.is_whole && answer.states.users.is_empty());
    home.hear(EDGE, &news(|news| news.here = vec![user(1)]), secs(101));
    let pushes = home.due(secs(101));
    assert_eq!(pushes.len(), 1);
    assert_eq!(
        (pushes[0].to, online(&pushes[0])),
        (OTHER, vec![(user(1), true)])
    );
    assert_eq!(home.due(secs(102)), []);
    // Whoever leaves may come to another edge, and was there all along.
    home.hear(EDGE, &news(|news| news.gone = vec![user(1)]), secs(103));
    home.hear(OTHER, &news(|news| news.here = vec![user(1)]), secs(104));
    assert_eq!(home.due(secs(114)), []);
    home.hear(OTHER, &news(|news| news.gone = vec![user(1)]), secs(120));
    assert_eq!(home.wake_at(secs(120)), Some(secs(130)));
    let pushes = home.due(secs(130));
    assert_eq!(online(&pushes[0]), [(user(1), false)]);
}

#[test]
fn leases_end_by_themselves_and_nothing_is_kept() {
    let mut home = old_home();
    let here = news(|news| {
        news.here = vec![user(1)];
        news.typing = vec![(user(1), Some(group(1)))];
        news.watch = vec![user(1), user(2)];
    });
    home.hear(EDGE, &here, secs(100));
    assert_eq!(home.online(), 1);
    let pushes = home.due(secs(106));
    let types = |push: &Push| push.states.users[0].1.typing;
    assert_eq!((pushes.len(), types(&pushes[0])), (1, None));
    // The watch ends with the lease, so nobody is told.
    assert_eq!(home.due(secs(160)), []);
    assert_eq!((home.online(), home.wake_at(secs(160))), (0, None));
    assert!(home.is_empty());
}

#[test]
fn a_new_home_says_nothing_of_those_who_may_yet_come_back_to_it() {
    let mut home = Home::new(ShardId(1), 4, BOUNDS);
    let watch = news(|news| news.watch = vec![user(1)]);
    assert!(!home.hear(EDGE, &watch, secs(500)).is_whole);
    assert!(!home.hear(EDGE, &watch, secs(559)).is_whole);
    assert!(home.hear(EDGE, &watch, secs(560)).is_whole);
}

/// An edge with a session.
fn table() -> Table {
    let mut table = Table::new(BOUNDS, secs(0));
    table.came(1, user(100));
    table
}

#[test]
fn a_session_that_has_ended_watches_nobody() {
    let mut table = table();
    table.went(1, user(100));
    table.watch(1, group(1), [user(2)].into()).expect("nobody");
    let told: Vec<_> = table.due(secs(0), home_of_all);
    assert!(
        told.iter().all(|(_, news)| news.watch.is_empty()),
        "{told:?}"
    );
}

#[test]
fn homes_and_sessions_have_bounds() {
    let bounds = Bounds {
        people: 2,
        watches: 1,
        ..BOUNDS
    };
    let mut home = Home::new(ShardId(1), 1, bounds);
    let watch = news(|news| news.watch = vec![user(1), user(2)]);
    home.hear(EDGE, &watch, secs(0));
    home.hear(EDGE, &watch, secs(1));
    let here = news(|news| news.here = vec![user(1), user(2), user(3)]);
    home.hear(OTHER, &here, secs(2));
    assert_eq!(home.online(), 2);
    // Of the second this edge hears at renewals.
    assert_eq!(online(&home.due(secs(2))[0]), [(user(1), true)]);
    let answer = home.hear(EDGE, &watch, secs(3));
    assert_eq!(answer.states.users.len(), 2);

    let mut table = table();
    let crowd = |from: u8, count: u8| (from..from + count).map(user).collect();
    table.watch(1, group(1), crowd(0, 6)).expect("six");
    assert_eq!(table.watch(1, group(2), crowd(6, 5)), Err(TooMany(10)));
    table.watch(1, group(2), crowd(6, 4)).expect("ten");
    table.watch(1, group(1), crowd(0, 3)).expect("fewer");
    table.watch(1, group(2), crowd(6, 7)).expect("ten");
    let sizes: Vec<_> = table
        .due(secs(0), home_of_all)
        .iter()
        .map(|(_, news)| news.len())
        .collect();
    assert_eq!(sizes, [BOUNDS.page]);
}

fn home_of_all(_: &UserId) -> Option<ShardId> {
    Some(ShardId(1))
}

#[test]
fn what_was_overtaken_or_is_of_another_home_is_not_told() {
    let mut table = table();
    table.watch(1, group(1), [user(2)].into()).expect("one");
    let states = |shard: u32, term, number, online| States {
        stamp: Stamp {
            shard: ShardId(shard),
            term,
            number,
        },
        users: vec![(
            user(2),
            Presence {
                online,
                typing: None,
            },
        )],
    };
    assert_eq!(table.heard(&states(1, 2, 5, true), home).len(), 1);
    assert_eq!(table.heard(&states(1, 2, 4, false), home), []);
    assert_eq!(table.heard(&states(1, 1, 9, false), home), []);
    assert_eq!(table.heard(&states(2, 9, 9, false), home), []);
    let told = table.heard(&states(1, 3, 1, false), home);
    assert!(!told[0].online);
}

#[test]
fn writing_shows_where_it_is_done() {
    let mut table = table();
    table.watch(1, group(1), [user(2)].into()).expect("one");
    table.watch(1, group(2), [user(2)].into()).expect("one");
    let writes = |number, typing| States {
        stamp: Stamp {
            shard: ShardId(1),
            term: 1,
            number,
        },
        users: vec![(
            user(2),
            Presence {
                online: true,
                typing,
            },
        )],
    };
    assert_eq!(table.heard(&writes(1, None), home).len(), 2);
    let told = table.heard(&writes(2, Some(group(2))), home);
    assert_eq!(told.len(), 1);
    assert!(told[0].group == group(2) && told[0].typing);
    // Whoever has left a group is not seen there.
    table.left(group(2), user(2));
    let told = table.heard(&writes(3, Some(group(1))), home);
    assert!(told.len() == 1 && told[0].group == group(1));
}
