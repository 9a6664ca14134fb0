//! Where a group should be at home: where most of those sit who speak in it.

use std::collections::BTreeMap;

use folkmoot_wire::{RegionId, UserId};

/// Fewer senders say nothing about where a group's people are.
const SENDERS_MIN: usize = 4;

/// Who spoke lately, and where each of them did last.
#[derive(Debug, Default)]
pub struct Senders(BTreeMap<UserId, RegionId>);

impl Senders {
    /// Somebody spoke from a region. The latest comes first: what one said
    /// before that, from elsewhere, does not count.
    pub fn spoke(&mut self, user: UserId, region: RegionId) {
        self.0.entry(user).or_insert(region);
    }

    /// The region of more than half of them, unless that is the home.
    #[must_use]
    pub fn better_home(&self, home: RegionId) -> Option<RegionId> {
        if self.0.len() < SENDERS_MIN {
            return None;
        }
        let mut counts: BTreeMap<RegionId, usize> = BTreeMap::new();
        for region in self.0.values() {
            *counts.entry(*region).or_default() += 1;
        }
        let (region, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (region != home && count * 2 > self.0.len()).then_some(region)
    }
}

#[cfg(test)]
mod tests;
