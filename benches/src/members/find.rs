//! Somebody looks who is in the group. An open loop: each page is due at its
//! time.

use std::time::Duration;

use anyhow::{bail, ensure};
use bytes::Bytes;
use folkmoot_client::Group;
use folkmoot_wire::proto::{Members, Role};
use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep_until};

use super::nick;
use super::report::{Page, WANTED_MS};
use crate::crowd::Joins;
use crate::machine::{Cores, Meter};
use crate::stats::Percentiles;

/// Members on a page.
const LIMIT: u32 = 100;
/// Longest delay that is told apart, in microseconds.
const LONGEST: u64 = 60_000_000;

/// Which page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    ask: Ask,
}

#[derive(Debug, Clone, Copy)]
enum Ask {
    User,
    Nick(&'static str),
    Role(Role),
    /// One member after the other, by the whole nick.
    One,
    /// Page after page, by nick.
    On,
}

const fn kind(name: &'static str, ask: Ask) -> Kind {
    Kind { name, ask }
}

pub(super) const KINDS: [Kind; 6] = [
    kind("the first page, by user", Ask::User),
    kind("the first page, by nick", Ask::Nick("")),
    kind("the first page of \"kit_the_\"", Ask::Nick("Kit_The_")),
    kind("one member by nick", Ask::One),
    kind("the owners", Ask::Role(Role::Owner)),
    kind("page after page, by nick", Ask::On),
];

pub(super) async fn measure(
    room: &Joins,
    kind: Kind,
    rate: f64,
    seconds: f64,
    cores: Cores,
) -> anyhow::Result<Page> {
    let group = room.member().group(room.group());
    let mut asking = Asking {
        group: &group,
        kind,
        next: Bytes::new(),
    };
    // What is read for the first time comes from the disk.
    asking.ask(0).await?;
    let mut delays = Histogram::new_with_max(LONGEST, 3)?;
    let count = (seconds * rate).ceil() as u32;
    let meter = Meter::start(room.pids(), cores)?;
    let start = Instant::now();
    for number in 0..count {
        let due = start + Duration::from_secs_f64(f64::from(number) / rate);
        sleep_until(due).await;
        asking.ask(number).await?;
        delays.saturating_record(due.elapsed().as_micros() as u64);
    }
    let time = start.elapsed();
    let usage = meter.stop()?;
    Ok(Page {
        what: kind.name,
        server_ms: usage.server / 100.0 * time.as_secs_f64() * 1_000.0 / f64::from(count),
        delay_ms: Percentiles::of(&delays),
        usage,
        wanted_ms: WANTED_MS,
    })
}

struct Asking<'a> {
    group: &'a Group,
    kind: Kind,
    next: Bytes,
}

impl Asking<'_> {
    async fn ask(&mut self, number: u32) -> anyhow::Result<()> {
        let (group, first) = (self.group, Bytes::new());
        match self.kind.ask {
            Ask::User => full(&group.members(first, LIMIT).await?),
            Ask::Nick(prefix) => {
                let found = group.members_by_nick(prefix, first, LIMIT).await?;
                named(&found, &prefix.to_lowercase())?;
                full(&found)
            }
            Ask::Role(role) => {
                let found = group.members_of_role(role, first, LIMIT).await?;
                ensure!(found.members.len() == 1, "{} owners", found.members.len());
                Ok(())
            }
            Ask::One => {
                // Nobody's is the beginning of another's: all have as many digits.
                let nick = nick(500 + number % 400);
                let found = group.members_by_nick(nick.as_str(), first, LIMIT).await?;
                ensure!(!found.members.is_empty(), "{nick} is not found");
                named(&found, &nick)
            }
            Ask::On => {
                let after = std::mem::take(&mut self.next);
                let found = group.members_by_nick("", after, LIMIT).await?;
                self.next = found.next;
                Ok(())
            }
        }
    }
}

fn full(found: &Members) -> anyhow::Result<()> {
    match found.members.len() {
        n if n == LIMIT as usize => Ok(()),
        n => bail!("a page of {n} members, and there are more"),
    }
}

fn named(found: &Members, prefix: &str) -> anyhow::Result<()> {
    for member in &found.members {
        let own = member.value.as_ref().and_then(|value| value.self_.as_ref());
        let nick = own.map_or("", |own| &own.nick);
        ensure!(nick.starts_with(prefix), "{nick:?} begins with {prefix:?}?");
    }
    Ok(())
}
