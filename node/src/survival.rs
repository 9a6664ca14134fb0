//! Survival goals by their names.

use folkmoot_wire::proto::SurvivalGoal;

/// What a name may be.
pub const EXPECTED: &str = "`topology`, `node` or `region`";

const NAMES: [(SurvivalGoal, &str); 3] = [
    (SurvivalGoal::Topology, "topology"),
    (SurvivalGoal::Node, "node"),
    (SurvivalGoal::Region, "region"),
];

/// The goal of this name.
#[must_use]
pub fn named(name: &str) -> Option<SurvivalGoal> {
    let found = NAMES.iter().find(|(_, known)| *known == name);
    found.map(|(goal, _)| *goal)
}

/// A goal's name.
#[must_use]
pub fn name_of(goal: SurvivalGoal) -> &'static str {
    let found = NAMES.iter().find(|(known, _)| *known == goal);
    found.map_or("topology", |(_, name)| name)
}
