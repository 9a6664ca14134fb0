//! Those with clients: some talk, and all read, each in their own time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_client::{Carrier, Client, Group, Start};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::Crowd;
use crate::demo::regions;

/// People with clients, in all regions together.
const READERS: usize = 240;
/// Of these, so many talk.
const TALKERS: usize = 24;
/// Something is said so often.
const EVERY: Duration = Duration::from_millis(200);
/// Clients that connect at once.
const AT_ONCE: usize = 12;
/// Somebody reads what is new after this long, at least...
const LEAST: u64 = 500;
/// ...and so much longer at most, in milliseconds.
const MORE: u64 = 12_000;

impl Crowd {
    pub(super) async fn live(self: Arc<Self>, lines: Vec<String>) -> anyhow::Result<()> {
        let mut people: Vec<Client> = Vec::with_capacity(READERS);
        while people.len() < READERS {
            let mut connecting = JoinSet::new();
            for number in people.len()..(people.len() + AT_ONCE).min(READERS) {
                let crowd = Arc::clone(&self);
                connecting.spawn(async move { crowd.person(number).await });
            }
            while let Some(one) = connecting.join_next().await {
                people.push(one.context("somebody with a client ended early")??);
            }
        }
        let first = people.first().context("nobody has a client")?;
        let head = Arc::new(AtomicU64::new(0));
        let mut living = JoinSet::new();
        living.spawn(listen(first.group(self.group), Arc::clone(&head)));
        for (number, person) in people.iter().enumerate() {
            living.spawn(read(
                person.group(self.group),
                Arc::clone(&head),
                number as u64,
            ));
        }
        if lines.is_empty() {
            bail!("nobody has anything to say");
        }
        let talkers: Vec<Group> = people
            .iter()
            .take(TALKERS)
            .map(|p| p.group(self.group))
            .collect();
        let mut turns = interval(EVERY);
        for (number, line) in lines.iter().cycle().enumerate() {
            turns.tick().await;
            let talker = &talkers[turn(number as u64) as usize % talkers.len()];
            // What cannot be said now is said later, and in its order.
            drop(talker.submit(line.as_str()).await?);
        }
        Ok(())
    }

    async fn person(&self, number: usize) -> anyhow::Result<Client> {
        let region = number % self.cluster.regions;
        let edge = self.cluster.of_region(region).last();
        let edge = edge.context("a region has nodes")?;
        let name = format!("{}-{number}", regions::NAMES[region]);
        let token = self.cluster.token(edge, &format!("crowd-{name}")).await?;
        let client = self
            .dialers
            .builder([Carrier::Quic, Carrier::WebSocket][number / self.cluster.regions % 2])
            .edge(edge.place.listen.to_string())
            .token(token)
            .connect()
            .await
            .with_context(|| format!("the client of {name}"))?;
        let joined = client.group(self.group).join(name.as_str()).await;
        joined.with_context(|| format!("{name} joins the large group"))?;
        Ok(client)
    }
}

/// Notes how far the group is.
async fn listen(group: Group, head: Arc<AtomicU64>) -> anyhow::Result<()> {
    let mut entries = group.entries_from(Start::Recent(0)).await?;
    while let Some(entry) = entries.next().await {
        head.store(entry.seq(), Ordering::Relaxed);
    }
    Ok(())
}

/// Reads what is new, now and then.
async fn read(group: Group, head: Arc<AtomicU64>, number: u64) -> anyhow::Result<()> {
    let mut read = 0;
    for time in 0.. {
        let pause = LEAST + turn(number << 32 | time) % MORE;
        sleep(Duration::from_millis(pause)).await;
        let head = head.load(Ordering::Relaxed);
        // Behind a slow link what is known here may not be known there yet: the
        // next time will do.
        if head > read && group.mark_read(head).await.is_ok() {
            read = head;
        }
    }
    Ok(())
}

/// A number for a number, as if at random (splitmix64).
fn turn(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
