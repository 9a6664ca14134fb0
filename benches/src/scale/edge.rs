//! From an edge to its clients: the product's edge with its windows, its
//! encoding and its queues, replaying what came to a node. Those who have the
//! group open get the same bytes, and so do those who have it in their list:
//! one of each is counted.

mod client;
mod node;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use folkmoot_node::edge::{Auth, Edge, EdgeOptions, Grant, SigningKey, issue};
use folkmoot_wire::proto::{Head, Resume};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::follow::{Arrivals, group};
use super::home::START_MS;
use client::{Client, Got};
use node::OneGroup;

const SECRET: [u8; 32] = [5; 32];
/// The last window has closed and the last bump is out.
const DRAIN: Duration = Duration::from_secs(3);

/// What one client gets, at one pace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) per_s: u32,
    pub(super) messages: u32,
    /// With the group open, for one message.
    pub(super) active_frames: f64,
    pub(super) active_bytes: f64,
    /// With it in the list, for one message...
    pub(super) bump_frames: f64,
    pub(super) bump_bytes: f64,
    /// ...and for one bump.
    pub(super) bump_size: f64,
}

pub(super) fn measure(per_s: u32, messages: u32, arrivals: &Arrivals) -> anyhow::Result<Figures> {
    let got = replay(arrivals, &[true, false])?;
    let (active, passive) = (got[0], got[1]);
    ensure!(
        active.entries == u64::from(messages),
        "not all were delivered"
    );
    let per = |count: u64| count as f64 / f64::from(messages);
    Ok(Figures {
        per_s,
        messages,
        active_frames: per(active.frames),
        active_bytes: per(active.bytes),
        bump_frames: per(passive.frames),
        bump_bytes: per(passive.bytes),
        bump_size: passive.bytes as f64 / passive.bumps.max(1) as f64,
    })
}

/// What clients get of these arrivals, who have the group open or not.
fn replay(arrivals: &Arrivals, open: &[bool]) -> anyhow::Result<Vec<Got>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(run(arrivals, open))
}

async fn run(arrivals: &Arrivals, open: &[bool]) -> anyhow::Result<Vec<Got>> {
    let head = before(arrivals)?;
    let resume = Resume {
        group: group().to_bytes(),
        seq: head.seq,
        chain: head.chain.clone(),
    };
    let auth = Auth::new("app", "folkmoot").with_hs256("k", &SECRET);
    let backend = Arc::new(OneGroup::new(group(), head));
    let edge = Edge::new(backend, auth, EdgeOptions::default());
    let mut clients = Vec::new();
    for (n, open) in open.iter().enumerate() {
        let active = open.then(|| resume.clone()).into_iter().collect();
        clients.push(Client::connect(&edge, token(n as u32 + 1)?, active).await?);
    }
    // Bumps of the beginning are none of what is replayed.
    sleep(DRAIN).await;
    for client in &mut clients {
        client.got()?;
    }
    let begun = Instant::now();
    for (after, pushes) in arrivals {
        sleep_until(begun + *after).await;
        edge.publish(pushes);
    }
    sleep(DRAIN).await;
    clients.iter_mut().map(Client::got).collect()
}

/// The head before the first arrival.
fn before(arrivals: &Arrivals) -> anyhow::Result<Head> {
    let mut pushes = arrivals.iter().flat_map(|(_, pushes)| pushes);
    let first = pushes.find(|push| push.covers.is_some());
    let first = first.context("nothing came")?;
    let covers = first.covers.unwrap_or_default();
    Ok(Head {
        seq: covers.from - 1,
        chain: first.chain_before.clone(),
        version: 1,
        ..first.head.clone().unwrap_or_default()
    })
}

fn token(subject: u32) -> anyhow::Result<String> {
    let grant = Grant {
        subject: &subject.to_string(),
        issuer: "app",
        audience: "folkmoot",
        expires_ms: START_MS + 3_600_000,
        not_before_ms: None,
        nick: None,
    };
    issue(&SigningKey::Hs256(SECRET.to_vec()), "k", &grant).map_err(|error| anyhow!("{error:?}"))
}
