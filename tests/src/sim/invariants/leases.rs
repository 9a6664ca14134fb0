//! A region that has heard nothing from any other for longer than a lease shows
//! nobody what is at home elsewhere (D11).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use folkmoot_client::GroupId;
use folkmoot_transport::sim::{Delivered, Delivery};
use folkmoot_wire::proto::ServerFrame;
use folkmoot_wire::proto::server_frame::Body;
use parking_lot::Mutex;
use prost::Message;
use tokio::time::Instant;

use crate::sim::faults::{Fault, Planned};
use crate::sim::findings::Findings;
use crate::sim::machine::SHORT_LEASE;
use crate::sim::net::region_of;
use crate::sim::plan::Plan;
use crate::sim::sometimes::{Sometimes, State};

/// What is under way when a lease ends, and what a clock that is slower by the
/// bound adds to one that outlives a restart.
const SLACK: Duration = Duration::from_secs(2);

/// Looks on at the network.
pub struct Leases {
    findings: Findings,
    sometimes: Sometimes,
    /// Leases are short, and no clock makes one longer.
    looks: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// When a region's nodes heard from one of another region.
    heard: BTreeMap<usize, Instant>,
    /// Where groups are at home that stay there.
    homes: BTreeMap<GroupId, usize>,
}

impl Leases {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new(plan: &Plan, findings: Findings, sometimes: Sometimes) -> Self {
        Self {
            findings,
            sometimes,
            looks: plan.shape.short_leases && outlive_no_restart(&plan.faults),
            seen: Mutex::default(),
        }
    }

    /// A group that stays in its region was made.
    pub fn stays(&self, group: GroupId, region: usize) {
        self.seen.lock().homes.insert(group, region);
    }

    /// A node heard something from another.
    pub fn between_nodes(&self, delivery: &Delivery<'_>) {
        let (from, to) = (region_of(delivery.from.ip()), region_of(delivery.to.ip()));
        if from != to {
            self.seen.lock().heard.insert(to, delivery.at);
        }
    }

    /// A client heard something from its edge.
    pub fn to_client(&self, delivery: &Delivery<'_>) {
        if !self.looks || delivery.what != Delivered::Frame {
            return;
        }
        let edge = region_of(delivery.from.ip());
        let Some((silence, elsewhere)) = self.silence(edge, delivery.at) else {
            return;
        };
        if silence <= SHORT_LEASE + SLACK {
            return;
        }
        self.sometimes.saw(State::LeaseOver);
        let Some(group) = served(delivery.bytes) else {
            return;
        };
        self.findings.check(!elsewhere(&group), || {
            format!(
                "{} serves {group}, and its region has heard nothing for {} ms",
                delivery.from.ip(),
                silence.as_millis()
            )
        });
    }

    /// For how long a region has heard nothing, and what is at home elsewhere.
    fn silence(
        &self,
        region: usize,
        now: Instant,
    ) -> Option<(Duration, impl Fn(&GroupId) -> bool)> {
        let heard = *self.seen.lock().heard.get(&region)?;
        let elsewhere = move |group: &GroupId| {
            let seen = self.seen.lock();
            seen.homes.get(group).is_some_and(|home| *home != region)
        };
        Some((now.saturating_duration_since(heard), elsewhere))
    }
}

/// Whether no node starts again by another clock than it had: a lease may be
/// longer then by what the clock was set back.
fn outlive_no_restart(faults: &[Planned]) -> bool {
    let stepped = faults.iter().filter_map(|planned| match planned.fault {
        Fault::Step { machine, by_ms } if by_ms.unsigned_abs() > 1_000 => Some(machine),
        _ => None,
    });
    let mut restarted = BTreeSet::new();
    for planned in faults {
        match planned.fault {
            Fault::Crash { machine, .. }
            | Fault::Disk { machine, .. }
            | Fault::Lie { machine, .. } => {
                restarted.insert(machine);
            }
            // Whatever stands in it.
            Fault::RegionLost { .. } => return stepped.count() == 0,
            _ => {}
        }
    }
    !stepped
        .into_iter()
        .any(|machine| restarted.contains(&machine))
}

/// The group that a client is shown something of.
fn served(frame: &[u8]) -> Option<GroupId> {
    let group = match ServerFrame::decode(frame).ok()?.body? {
        Body::Deliver(deliver) => deliver.group,
        Body::Activated(activated) if activated.error.is_none() => activated.group,
        _ => return None,
    };
    GroupId::from_slice(&group).ok()
}
