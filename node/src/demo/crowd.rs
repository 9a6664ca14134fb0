//! `--members N`: a group that so many people come into. A few of them have
//! clients: they talk, and read what is said. The rest is only there.

mod coming;
mod living;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use folkmoot_client::{GroupId, UserId};
use folkmoot_wire::{Slot, limits};
use serde_json::json;
use tokio::task::JoinHandle;

use super::cluster::Cluster;
use super::regions;
use super::replay::{BRIDGE_SUBJECT, Dialers};
use super::script::BRIDGE;

/// What the group is called.
const NAME: &str = "the square";
/// Its home: the first region.
const HOME: usize = 0;
/// Room for those from the page, and for those with clients.
pub(super) const ROOM: u32 = 1_000;

/// The group, and how far its people are.
pub(super) struct Crowd {
    pub(super) group: GroupId,
    /// People who come.
    pub(super) members: u32,
    cluster: Arc<Cluster>,
    dialers: Arc<Dialers>,
    come: AtomicU64,
}

impl Crowd {
    /// Makes the group.
    pub(super) async fn make(
        cluster: &Arc<Cluster>,
        dialers: &Arc<Dialers>,
        members: u32,
    ) -> anyhow::Result<Arc<Self>> {
        let first = cluster.members.first().context("a demo has nodes")?;
        let request = json!({
            "name": NAME,
            "region": regions::NAMES[HOME],
            "owner": BRIDGE_SUBJECT,
            "nick": BRIDGE,
            "open": true,
            "member_cap": limits::MEMBER_CAP_MAX,
        });
        let made = first.place.api.post("/v1/groups", &request).await;
        let made = made.with_context(|| format!("making the group {NAME}"))?;
        let group = made["group"].as_str().context("no group")?;
        Ok(Arc::new(Self {
            group: group.parse()?,
            members,
            cluster: Arc::clone(cluster),
            dialers: Arc::clone(dialers),
            come: AtomicU64::new(0),
        }))
    }

    pub(super) fn name(&self) -> &'static str {
        NAME
    }

    pub(super) fn home(&self) -> usize {
        HOME
    }

    /// How many have come.
    pub(super) fn come(&self) -> u64 {
        self.come.load(Ordering::Relaxed)
    }

    /// Has the people come, and those with clients live. They say these lines,
    /// over and over.
    pub(super) fn begin(self: &Arc<Self>, lines: Vec<String>) -> Gathering {
        Gathering {
            coming: tokio::spawn(Arc::clone(self).come_all()),
            living: tokio::spawn(Arc::clone(self).live(lines)),
        }
    }
}

/// The people of a large group. They are gone when this is dropped.
pub(super) struct Gathering {
    coming: JoinHandle<anyhow::Result<()>>,
    living: JoinHandle<anyhow::Result<()>>,
}

impl Gathering {
    /// Waits until all have come.
    pub(super) async fn all(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            biased;
            came = &mut self.coming => came.context("the large group filled no further")?,
            failed = &mut self.living => failed.context("the large group fell silent")?,
        }
    }

    /// Waits until something is wrong with them.
    pub(super) async fn life(&mut self) -> anyhow::Result<()> {
        (&mut self.living)
            .await
            .context("the large group fell silent")?
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.coming.abort();
        self.living.abort();
    }
}

/// The user of a number: all over the slots of the group's region.
fn user(group: GroupId, number: u32) -> UserId {
    let mut unique = [0; 11];
    unique[..4].copy_from_slice(&number.to_be_bytes());
    let mixed = number.wrapping_mul(0x9e37_79b1);
    unique[4..8].copy_from_slice(&mixed.to_be_bytes());
    UserId::new(group.region(), Slot((mixed >> 16) as u16), unique)
}

/// What that one is called.
fn nick(number: u32) -> String {
    const NAMES: [&str; 20] = [
        "ada", "bo", "cleo", "dan", "eve", "finn", "gus", "hana", "ian", "juno", "kit", "lea",
        "mio", "nils", "ola", "pia", "quin", "rosa", "sam", "tove",
    ];
    let number = number as usize;
    format!("{}{}", NAMES[number % NAMES.len()], number / NAMES.len())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use folkmoot_wire::RegionId;

    use super::*;

    #[test]
    fn everybody_is_somebody_else() {
        let group = GroupId::new(RegionId(3), Slot(9), [1; 11]);
        let people = 50_000;
        let users: HashSet<UserId> = (0..people).map(|n| user(group, n)).collect();
        let nicks: HashSet<String> = (0..people).map(nick).collect();
        assert_eq!((users.len(), nicks.len()), (50_000, 50_000));
        let slots: HashSet<Slot> = users.iter().map(|user| user.slot()).collect();
        assert!(slots.len() > 20_000, "{} slots", slots.len());
    }
}
