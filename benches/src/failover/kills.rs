//! One kill after the other, and what is there at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep, timeout};

use super::load::Load;
use crate::peer::{Replicated, Tag};

/// Between a server that is whole again and the next kill: everything is as
/// it was.
const CALM: Duration = Duration::from_millis(500);
/// A pause that is longer has no end.
const ENDLESS: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);

/// What a kill did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    /// From the kill to the first acknowledgement of a message that was sent
    /// after it, by whichever publisher.
    pub(super) first: Duration,
    /// From the kill until every publisher has one, those of the killed
    /// server among them.
    pub(super) all: Duration,
    /// From the restart until that server has caught up.
    pub(super) whole: Duration,
}

/// Kills the leader under load, and starts it again.
pub(super) async fn kill(servers: &mut dyn Replicated, load: &Load) -> anyhow::Result<Pause> {
    load.check()?;
    let leader = servers.leader().await?;
    let at = Instant::now();
    servers.kill(leader).await?;
    let after = load.next_tag();
    let first = until(load, at, || load.first_since(after))
        .await
        .context("no message was committed any more")?;
    let all = until(load, at, || load.all_since(after))
        .await
        .context("a publisher does not get on")?;
    let again = Instant::now();
    servers.again(leader).await?;
    let whole = again.elapsed();
    sleep(CALM).await;
    Ok(Pause { first, all, whole })
}

async fn until(
    load: &Load,
    since: Instant,
    seen: impl Fn() -> Option<Instant>,
) -> anyhow::Result<Duration> {
    let look = async {
        loop {
            if let Some(at) = seen() {
                return Ok(at.duration_since(since));
            }
            load.check()?;
            sleep(LOOK).await;
        }
    };
    timeout(ENDLESS, look)
        .await
        .with_context(|| format!("not within {} s", ENDLESS.as_secs()))?
}

/// All kills of one peer.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) pauses: Vec<Pause>,
    pub(super) acknowledged: usize,
    /// Acknowledged, and not there.
    pub(super) lost: usize,
    /// There more than once.
    pub(super) doubled: usize,
}

impl Outcome {
    pub(super) fn new(pauses: Vec<Pause>, acknowledged: &[Tag], stored: &[Tag]) -> Self {
        let mut times: BTreeMap<Tag, usize> = BTreeMap::new();
        for tag in stored {
            *times.entry(*tag).or_default() += 1;
        }
        let lost = |tag: &&Tag| !times.contains_key(tag);
        Self {
            pauses,
            acknowledged: acknowledged.len(),
            lost: acknowledged.iter().filter(lost).count(),
            doubled: times.values().filter(|times| **times > 1).count(),
        }
    }
}

#[cfg(test)]
mod tests;
