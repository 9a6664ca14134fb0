//! What people do.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use folkmoot_client::{ClientError, Code, GroupId, NewGroup, Range};
use folkmoot_wire::limits;
use folkmoot_wire::proto::Member;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::book::{Outcome, group_name};
use super::moderation;
use super::net::{PORT, REGIONS, node_ip};
use super::oracle::Oracle;
use super::person::{Person, PersonParts};
use super::plan::{GroupPlan, Plan};
use super::raw;
use super::weather::Weather;
use super::world::World;

/// One thing that somebody does takes no longer, times aside in which some way
/// is cut: a home out of reach can be waited for until it is not.
const STEP: Duration = Duration::from_secs(60);
/// That time is taken this often.
const TICK: Duration = Duration::from_secs(1);

/// Members that a large group may have.
const LARGE: u32 = limits::LARGE_GROUP + 1;
/// Kinds of things that people do.
const KINDS: usize = 29;
/// Entries of a page that somebody looks at.
pub const PAGE: u32 = 10;

/// A group that was made.
#[derive(Debug, Clone)]
pub struct Made {
    pub number: usize,
    pub plan: GroupPlan,
    pub id: GroupId,
}

/// The people and their groups.
pub struct Crowd {
    pub people: Vec<Person>,
    pub groups: Arc<Vec<Made>>,
}

/// Connects everybody and makes the groups.
///
/// # Errors
/// When something is refused: nothing is broken yet.
pub async fn gather(plan: &Plan, world: &World, oracle: &Oracle) -> anyhow::Result<Crowd> {
    let mut people: Vec<Person> = (0..plan.everybody())
        .map(|id| person(plan, world, id, oracle))
        .collect();
    for person in &mut people {
        person.connect().await;
    }
    let mut groups = Vec::new();
    for (number, group) in plan.groups.iter().enumerate() {
        let id = make(&mut people, number, group)
            .await
            .with_context(|| format!("group {number}"))?;
        if !plan.moves(number) {
            oracle.leases.stays(id, group.home);
        }
        groups.push(Made {
            number,
            plan: group.clone(),
            id,
        });
    }
    Ok(Crowd {
        people,
        groups: Arc::new(groups),
    })
}

fn person(plan: &Plan, world: &World, id: usize, oracle: &Oracle) -> Person {
    let region = id / plan.people;
    let regions = (0..REGIONS.len()).map(|n| (region + n) % REGIONS.len());
    let edges = regions.flat_map(|region| {
        let nodes = 0..plan.shape.nodes[region];
        nodes.map(move |number| format!("{}:{PORT}", node_ip(region, number)))
    });
    Person::new(PersonParts {
        seed: plan.seed,
        region,
        number: id % plan.people,
        id,
        net: world.net.clone(),
        edges: edges.collect(),
        book: Arc::clone(&oracle.book),
        findings: oracle.findings.clone(),
        sometimes: oracle.sometimes.clone(),
        start: world.start,
    })
}

async fn make(people: &mut [Person], number: usize, plan: &GroupPlan) -> anyhow::Result<GroupId> {
    let id = people[plan.owner]
        .create(NewGroup {
            name: group_name(number),
            region: REGIONS[plan.home].into(),
            nick: format!("nick{}", plan.owner),
            open: plan.open,
            history_from_join: plan.history_from_join,
            member_cap: if plan.large { LARGE } else { 0 },
        })
        .await?;
    for &member in &plan.members {
        let outcome = if plan.open {
            people[member].join(id).await
        } else {
            let user = people[member].client().context("a client")?.user();
            let added = people[plan.owner]
                .add(id, user, format!("nick{member}"))
                .await;
            people[member].entered(id);
            added
        };
        if !matches!(outcome, Outcome::Acked(_)) {
            bail!("person {member} did not get in: {outcome:?}");
        }
    }
    Ok(id)
}

/// Sets everybody going.
pub fn start(crowd: Crowd, steps: usize, weather: &Arc<Weather>) -> Vec<JoinHandle<Person>> {
    let groups = crowd.groups;
    let people = crowd.people.into_iter();
    people
        .map(|person| {
            let (groups, weather) = (Arc::clone(&groups), Arc::clone(weather));
            tokio::spawn(live(person, groups, steps, weather))
        })
        .collect()
}

async fn live(
    mut person: Person,
    groups: Arc<Vec<Made>>,
    steps: usize,
    weather: Arc<Weather>,
) -> Person {
    for _ in 0..steps {
        let pause = person.draw.between(50, 1_100);
        sleep(pause).await;
        let what = person.draw.below(KINDS);
        let step = one(&mut person, &groups, what);
        if !ends(step, &weather).await {
            person
                .findings
                .add(format!("person {}: step {what} hangs", person.id));
        }
    }
    person
}

/// Whether a step ends in its time.
async fn ends(step: impl Future<Output = ()>, weather: &Weather) -> bool {
    tokio::pin!(step);
    let mut left = STEP;
    while !left.is_zero() {
        if timeout(TICK, &mut step).await.is_ok() {
            return true;
        }
        if weather.serves() {
            left -= TICK;
        }
    }
    false
}

async fn one(person: &mut Person, groups: &[Made], what: usize) {
    let own: Vec<GroupId> = person.groups.iter().copied().collect();
    let Some(group) = person.draw.pick(&own).copied() else {
        return enter(person, groups).await;
    };
    match what {
        0..=10 => {
            for _ in 0..=person.draw.below(4) {
                person.say(group).await;
            }
        }
        11..=13 => mark(person, group).await,
        14 => person.rename(group).await,
        15 => leave(person, groups, group).await,
        16 => enter(person, groups).await,
        17 => look(person, group).await,
        18 => pry(person, groups).await,
        19 => person.reconnect().await,
        20 => person.die().await,
        21 => moderation::amend(person, group, false).await,
        22 => moderation::amend(person, group, true).await,
        23 => moderation::settings(person, group).await,
        24 => match person.draw.one_in(3) {
            true => raw::from_elsewhere(person, group).await,
            false => raw::again_and_again(person, group).await,
        },
        25 => raw::looks_away(person, group).await,
        _ => {
            let own = |made: &&Made| made.plan.owner == person.id;
            let owned: Vec<&Made> = groups.iter().filter(own).collect();
            if let Some(made) = person.draw.pick(&owned).copied() {
                moderation::moderate(person, made).await;
            }
        }
    }
}

/// Leaves a group that one can come back to.
async fn leave(person: &mut Person, groups: &[Made], group: GroupId) {
    let made = groups.iter().find(|made| made.id == group);
    if let Some(made) = made
        && made.plan.open
        && made.plan.owner != person.id
    {
        // Before it is done: somebody may add the person again at once.
        if made.plan.history_from_join {
            person.book.left(person.id, group);
        }
        person.leave(group).await;
    }
}

/// Joins an open group.
async fn enter(person: &mut Person, groups: &[Made]) {
    let open: Vec<GroupId> = groups
        .iter()
        .filter(|made| made.plan.open && !person.groups.contains(&made.id))
        .map(|made| made.id)
        .collect();
    if let Some(group) = person.draw.pick(&open).copied() {
        person.join(group).await;
    }
}

/// Marks some of what was read as read.
async fn mark(person: &mut Person, group: GroupId) {
    let read = {
        let pages = person.book.pages();
        let reading = pages.readings.get(&(person.id, group));
        reading.map_or(0, |reading| reading.last)
    };
    let back = person.draw.below(3) as u64;
    if let Some(handle) = person.group(group)
        && read > back
    {
        // A failure shows nowhere but in a cursor that stays behind.
        let _ = handle.mark_read(read - back).await;
    }
    if let Some(handle) = person.group(group)
        && handle.mark_read(read + 1_000_000).await.is_ok()
    {
        let id = person.id;
        person
            .findings
            .add(format!("person {id}: a cursor was taken beyond the head"));
    }
}

/// Looks at a page of the log: what it covers must be there, and no more.
async fn look(person: &mut Person, group: GroupId) {
    let Some(handle) = person.group(group) else {
        return;
    };
    let range = Range {
        after: person.draw.below(20) as u64,
        limit: PAGE,
        ..Range::default()
    };
    let Ok(slice) = handle.history(range).await else {
        return;
    };
    let covers = slice.covers.unwrap_or_default();
    let seqs: Vec<u64> = slice
        .entries
        .iter()
        .filter_map(|entry| entry.decode_header().ok())
        .map(|header| header.seq)
        .collect();
    let wanted: Vec<u64> = (covers.from..=covers.to).collect();
    person.findings.check(seqs == wanted, || {
        format!(
            "person {}: a page of {group} covers {}..={} and holds {seqs:?}",
            person.id, covers.from, covers.to
        )
    });
    if let Ok(found) = handle.members_by_nick("NICK1", Bytes::new(), 2).await {
        let other = |member: &&Member| {
            let own = member.value.as_ref().and_then(|value| value.self_.as_ref());
            own.is_none_or(|own| !own.nick.starts_with("nick1"))
        };
        person
            .findings
            .check(found.members.iter().find(other).is_none(), || {
                let id = person.id;
                format!("person {id} looked for nick1 in {group} and found {found:?}")
            });
    }
    // For their deadlines and their order; what they say is compared at the
    // end, on the nodes.
    let _ = handle.members(Bytes::new(), 0).await;
    let _ = handle.digests().await;
}

/// Tries to get at a group of others.
async fn pry(person: &mut Person, groups: &[Made]) {
    let closed: Vec<&Made> = groups
        .iter()
        .filter(|made| !made.plan.open)
        .filter(|made| made.plan.owner != person.id && !made.plan.members.contains(&person.id))
        .collect();
    let Some(made) = person.draw.pick(&closed).copied() else {
        return;
    };
    let Some(handle) = person.group(made.id) else {
        return;
    };
    let answers = [
        ("info", handle.info().await.err()),
        ("history", handle.history(Range::default()).await.err()),
        ("members", handle.members(Bytes::new(), 0).await.err()),
        (
            "members by nick",
            handle.members_by_nick("", Bytes::new(), 0).await.err(),
        ),
        ("activate", handle.activate().await.err()),
    ];
    for (what, error) in answers {
        let hidden = match &error {
            Some(ClientError::Fault(fault)) => {
                fault.code == Code::NotFound || fault.code.temporary()
            }
            Some(_) => true,
            None => false,
        };
        person.findings.check(hidden, || {
            let (id, number) = (person.id, made.number);
            format!(
                "person {id} asks for {what} of group {number}, an outsider, and gets {error:?}"
            )
        });
    }
    person.say(made.id).await;
}
