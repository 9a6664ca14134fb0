//! What a seed means.

use std::time::Duration;

use super::draw::Draw;
use super::faults::{self, Planned};
use super::net::REGIONS;

/// How a cluster is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Nodes of each region.
    pub nodes: [usize; 3],
    /// Voters of each shard of the first region; one elsewhere.
    pub voters: u32,
    /// Every node follows every group in full. Otherwise those its clients
    /// look at.
    pub follow_all: bool,
    /// A replica's log is cut so short that one that was away gets a snapshot.
    pub short_logs: bool,
}

/// Every fourth seed has one of them.
const SHAPES: [Shape; 4] = [
    Shape {
        nodes: [1, 1, 1],
        voters: 1,
        follow_all: true,
        short_logs: false,
    },
    Shape {
        nodes: [1, 1, 1],
        voters: 1,
        follow_all: false,
        short_logs: true,
    },
    Shape {
        nodes: [3, 1, 1],
        voters: 3,
        follow_all: false,
        short_logs: true,
    },
    Shape {
        nodes: [1, 2, 1],
        voters: 1,
        follow_all: true,
        short_logs: false,
    },
];

/// A group that is to be made.
#[derive(Debug, Clone)]
pub struct GroupPlan {
    /// Its home.
    pub home: usize,
    /// The person who makes it.
    pub owner: usize,
    /// Whether anyone may join.
    pub open: bool,
    /// Whether members see only what comes after they joined.
    pub history_from_join: bool,
    /// Who is in it from the beginning, the owner aside.
    pub members: Vec<usize>,
}

/// Everything that a seed decides before the first event. What is drawn
/// meanwhile comes from the seed too.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub shape: Shape,
    /// People in each region.
    pub people: usize,
    /// Things that each of them does.
    pub steps: usize,
    pub groups: Vec<GroupPlan>,
    pub faults: Vec<Planned>,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let shape = SHAPES[(seed % SHAPES.len() as u64) as usize];
        let people = 3;
        let machines = shape.nodes.iter().sum();
        Self {
            seed,
            shape,
            people,
            steps: 24,
            groups: groups(seed, people),
            faults: faults::plan(&mut Draw::of(seed, "faults"), machines),
        }
    }

    /// How many people there are.
    #[must_use]
    pub fn everybody(&self) -> usize {
        self.people * REGIONS.len()
    }

    /// How long the history takes, at the very most, before something hangs.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_secs(600)
    }
}

/// Two groups in each region, one open to all and one closed. People of other
/// regions own them, too.
fn groups(seed: u64, people: usize) -> Vec<GroupPlan> {
    let mut draw = Draw::of(seed, "groups");
    let everybody = people * REGIONS.len();
    let mut groups = Vec::new();
    for home in 0..REGIONS.len() {
        for open in [true, false] {
            let owner = draw.below(everybody);
            let others = if open { 4 } else { 2 };
            let mut members = Vec::new();
            while members.len() < others {
                let person = draw.below(everybody);
                if person != owner && !members.contains(&person) {
                    members.push(person);
                }
            }
            groups.push(GroupPlan {
                home,
                owner,
                open,
                history_from_join: draw.one_in(3),
                members,
            });
        }
    }
    groups
}
