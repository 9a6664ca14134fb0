//! What a seed means.

use std::fmt;
use std::time::Duration;

use folkmoot_node::edge::outbound::Limits;
use folkmoot_node::edge::{EdgeOptions, WindowOptions};
use folkmoot_wire::proto::SurvivalGoal;

use super::draw::Draw;
use super::faults::{Fault, Planned};
use super::net::REGIONS;
use super::schedule;

/// What may wait for a client where queues are short.
const SHORT_QUEUE: Limits = Limits {
    frames: 8,
    bytes: 16 * 1024,
};

/// How a cluster is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Nodes of each region.
    pub nodes: [usize; 3],
    /// Voters of each shard of a region.
    pub voters: [u32; 3],
    /// Every node follows every group in full. Otherwise those its clients
    /// look at.
    pub follow_all: bool,
    /// A replica's log is cut so short that one that was away gets a snapshot.
    pub short_logs: bool,
    /// What a node knows of who may see a group is good for so short a time that
    /// it ends in a cut.
    pub short_leases: bool,
    /// So little may wait to be written to a client that a busy group is too
    /// much.
    pub short_queues: bool,
    /// New entries of a group are gathered for so many milliseconds.
    pub window_ms: u64,
    /// The regions' shards are to survive the loss of a region.
    pub across: bool,
    /// The last node of this region joins while the history runs.
    pub joins: Option<usize>,
}

/// Each seed has one of them, in turn.
const SHAPES: [Shape; 8] = [
    shape([1, 1, 1], [1, 1, 1]).follow_all().window(0),
    shape([3, 1, 1], [3, 1, 1]).short_logs().short_queues(),
    shape([1, 2, 1], [1, 1, 1]).follow_all().short_leases(),
    shape([3, 3, 1], [3, 3, 1]).window(300),
    shape([1, 1, 1], [1, 1, 1]).short_logs().short_queues(),
    shape([1, 3, 2], [1, 3, 1])
        .short_logs()
        .short_leases()
        .short_queues()
        .window(300),
    shape([4, 1, 1], [3, 1, 1]).joined(0).window(0),
    shape([1, 4, 1], [1, 3, 1]).short_logs().joined(1),
];

const fn shape(nodes: [usize; 3], voters: [u32; 3]) -> Shape {
    Shape {
        nodes,
        voters,
        follow_all: false,
        short_logs: false,
        short_leases: false,
        short_queues: false,
        window_ms: 50,
        across: false,
        joins: None,
    }
}

impl Shape {
    const fn follow_all(mut self) -> Self {
        self.follow_all = true;
        self
    }

    const fn short_logs(mut self) -> Self {
        self.short_logs = true;
        self
    }

    const fn short_leases(mut self) -> Self {
        self.short_leases = true;
        self
    }

    const fn short_queues(mut self) -> Self {
        self.short_queues = true;
        self
    }

    const fn window(mut self, ms: u64) -> Self {
        self.window_ms = ms;
        self
    }

    const fn joined(mut self, region: usize) -> Self {
        self.joins = Some(region);
        self
    }

    /// What its nodes' edges are told.
    #[must_use]
    pub fn edge(&self) -> EdgeOptions {
        EdgeOptions {
            window: WindowOptions {
                time: Duration::from_millis(self.window_ms),
                ..WindowOptions::default()
            },
            queue: match self.short_queues {
                true => SHORT_QUEUE,
                false => Limits::default(),
            },
            ..EdgeOptions::default()
        }
    }

    /// What the shards of its regions are to survive.
    #[must_use]
    pub fn goal(&self) -> SurvivalGoal {
        match self.across {
            true => SurvivalGoal::Region,
            false => SurvivalGoal::Node,
        }
    }

    /// The machine that joins while the history runs.
    #[must_use]
    pub fn late(&self) -> Option<usize> {
        let region = self.joins?;
        Some(self.nodes.iter().take(region + 1).sum::<usize>() - 1)
    }
}

/// Groups that are made: two in each region.
pub const GROUPS: usize = 2 * REGIONS.len();
/// Things that each of the people does, unless a plan says otherwise.
const STEPS: usize = 44;

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
    /// Whether so many may join that joins make no entries.
    pub large: bool,
    /// Who is in it from the beginning, the owner aside.
    pub members: Vec<usize>,
}

/// Everything that a seed decides before the first event. What is drawn
/// meanwhile comes from the seed too.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// What was left of it.
    pub cut: Cut,
    pub shape: Shape,
    /// People in each region.
    pub people: usize,
    /// Things that each of them does.
    pub steps: usize,
    pub groups: Vec<GroupPlan>,
    pub faults: Vec<Planned>,
}

/// What is left of a seed's plan while it is shrunk; nothing said: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cut {
    /// Places of the faults that are kept.
    pub faults: Option<Vec<usize>>,
    /// Steps of each person.
    pub steps: Option<usize>,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let shape = Shape {
            across: Draw::of(seed, "survival goal").one_in(4),
            ..SHAPES[(seed % SHAPES.len() as u64) as usize]
        };
        let people = 3;
        Self {
            seed,
            cut: Cut::default(),
            shape,
            people,
            steps: STEPS,
            groups: groups(seed, people),
            faults: schedule::draw(seed, &shape),
        }
    }

    /// The same with those faults alone that stand at these places of
    /// [`Plan::of`]'s list, and with so many steps.
    #[must_use]
    pub fn cut_down(seed: u64, cut: &Cut) -> Self {
        let mut plan = Self::of(seed);
        if let Some(kept) = &cut.faults {
            let all = std::mem::take(&mut plan.faults);
            let kept = kept.iter().filter_map(|at| all.get(*at).copied());
            plan.faults = kept.collect();
        }
        plan.steps = cut.steps.unwrap_or(plan.steps);
        plan.cut = cut.clone();
        plan
    }

    /// How many people there are.
    #[must_use]
    pub fn everybody(&self) -> usize {
        self.people * REGIONS.len()
    }

    /// Whether a group is moved to another region.
    #[must_use]
    pub fn moves(&self, number: usize) -> bool {
        let moves = |planned: &Planned| matches!(planned.fault, Fault::Rehome { group, .. } if group == number);
        self.faults.iter().any(moves)
    }

    /// How long the history takes, at the very most, before something hangs.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_secs(600)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    {:?}, {} steps", self.shape, self.steps)?;
        for fault in &self.faults {
            write!(f, "\n    {fault}")?;
        }
        Ok(())
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
                large: draw.one_in(2),
                members,
            });
        }
    }
    groups
}
