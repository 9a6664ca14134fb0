//! All runs together, for people and programs.

#[cfg(test)]
pub(super) mod tests;

use serde::Serialize;

use super::cells::{Cell, Figure, Measured, Shape};
use crate::load::payload::PAYLOAD;
use crate::machine::{Machine, Usage};
use crate::peer::Peer;
use crate::stats::Spread;

/// From here on a core counts as saturated, in percent.
const SATURATED: f64 = 90.0;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) runs: usize,
    pub(super) seconds: f64,
    pub(super) payload_bytes: usize,
    pub(super) publishers: usize,
    pub(super) rows: Vec<Row>,
    pub(super) ratios: Vec<Ratio>,
}

/// One peer with a number of replicas.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) peer: &'static str,
    pub(super) version: String,
    pub(super) replicas: usize,
    pub(super) durability: String,
    pub(super) cells: Vec<Column>,
}

/// One measurement of it.
#[derive(Debug, Serialize)]
pub(super) struct Column {
    #[serde(flatten)]
    pub(super) cell: Cell,
    pub(super) figures: Vec<Value>,
    /// Percent of the servers' core that they used.
    pub(super) server_cpu: Option<Spread>,
    /// Percent of the generator's core that it used.
    pub(super) generator_cpu: Option<Spread>,
    /// Percent of a core that was used on these two by others.
    pub(super) other_cpu: Option<Spread>,
    pub(super) limit: Option<Limit>,
    #[serde(skip)]
    runs: Vec<Measured>,
}

/// One figure over all runs.
#[derive(Debug, Serialize)]
pub(super) struct Value {
    pub(super) figure: Figure,
    #[serde(flatten)]
    pub(super) spread: Spread,
}

/// Whose core was full, by the medians.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Limit {
    Server,
    /// The figure says what the generator can do, not what the servers can.
    Generator,
    Both,
    /// Nobody's: what is measured waits, for the disk or for the window.
    Waiting,
}

impl Limit {
    fn of(server: &Spread, generator: &Spread) -> Self {
        match (server.median >= SATURATED, generator.median >= SATURATED) {
            (true, true) => Self::Both,
            (true, false) => Self::Server,
            (false, true) => Self::Generator,
            (false, false) => Self::Waiting,
        }
    }
}

/// Folkmoot beside another with as many replicas.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Ratio {
    pub(super) to: &'static str,
    pub(super) replicas: usize,
    #[serde(flatten)]
    pub(super) cell: Cell,
    pub(super) figure: Figure,
    /// Folkmoot's median to the other's.
    pub(super) ratio: f64,
    /// What is wanted, at least for rates and at most for delays; `None`:
    /// nothing in particular.
    pub(super) wanted: Option<f64>,
    pub(super) met: Option<bool>,
}

impl Row {
    pub(super) fn new(peer: &dyn Peer, replicas: usize, version: &str, cells: &[Cell]) -> Self {
        let column = |cell: &Cell| Column {
            cell: *cell,
            figures: Vec::new(),
            server_cpu: None,
            generator_cpu: None,
            other_cpu: None,
            limit: None,
            runs: Vec::new(),
        };
        Self {
            peer: peer.name(),
            version: version.to_owned(),
            replicas,
            durability: peer.durability(replicas),
            cells: cells.iter().map(column).collect(),
        }
    }

    /// `jetstream x3`.
    pub(super) fn label(&self) -> String {
        format!("{} x{}", self.peer, self.replicas)
    }

    /// Takes one run's outcomes, one of each cell.
    pub(super) fn take(&mut self, run: Vec<Measured>) {
        for (column, measured) in self.cells.iter_mut().zip(run) {
            column.runs.push(measured);
        }
    }
}

impl Column {
    fn sum_up(&mut self) {
        let usage = |part: fn(&Usage) -> f64| {
            let runs: Vec<f64> = self.runs.iter().map(|run| part(&run.usage)).collect();
            Spread::of(&runs)
        };
        self.server_cpu = usage(|usage| usage.server);
        self.generator_cpu = usage(|usage| usage.generator);
        self.other_cpu = usage(|usage| usage.others);
        self.limit = (self.server_cpu.as_ref())
            .zip(self.generator_cpu.as_ref())
            .map(|(server, generator)| Limit::of(server, generator));
        let kinds = self.runs.first().map(|run| run.figures.clone());
        for (figure, _) in kinds.unwrap_or_default() {
            let runs: Vec<f64> = self
                .runs
                .iter()
                .filter_map(|run| run.figure(figure))
                .collect();
            let spread = Spread::of(&runs);
            self.figures
                .extend(spread.map(|spread| Value { figure, spread }));
        }
    }

    /// One figure.
    pub(super) fn spread(&self, figure: Figure) -> Option<&Spread> {
        let value = self.figures.iter().find(|value| value.figure == figure)?;
        Some(&value.spread)
    }
}

impl Measured {
    fn figure(&self, figure: Figure) -> Option<f64> {
        let found = self.figures.iter().find(|(kind, _)| *kind == figure)?;
        Some(found.1)
    }
}

impl Report {
    pub(super) fn new(machine: Machine, runs: usize, shape: &Shape, mut rows: Vec<Row>) -> Self {
        for column in rows.iter_mut().flat_map(|row| &mut row.cells) {
            column.sum_up();
        }
        Self {
            machine,
            runs,
            seconds: shape.time.as_secs_f64(),
            payload_bytes: PAYLOAD,
            publishers: super::PUBLISHERS,
            ratios: ratios(&rows),
            rows,
        }
    }
}

impl Report {
    /// All measurements of one kind.
    pub(super) fn columns(
        &self,
        wanted: impl Fn(&Cell) -> bool,
    ) -> impl Iterator<Item = (&Row, &Column)> {
        let all =
            (self.rows.iter()).flat_map(|row| row.cells.iter().map(move |column| (row, column)));
        all.filter(move |(_, column)| wanted(&column.cell))
    }
}

fn ratios(rows: &[Row]) -> Vec<Ratio> {
    let mut all = Vec::new();
    for ours in rows.iter().filter(|row| row.peer == "folkmoot") {
        let beside = |row: &&Row| row.peer != ours.peer && row.replicas == ours.replicas;
        for theirs in rows.iter().filter(beside) {
            for (our, their) in ours.cells.iter().zip(&theirs.cells) {
                let figures = our.figures.iter().zip(&their.figures);
                all.extend(figures.filter_map(|(a, b)| ratio(theirs, our.cell, a, b)));
            }
        }
    }
    all
}

fn ratio(theirs: &Row, cell: Cell, our: &Value, their: &Value) -> Option<Ratio> {
    if our.figure == Figure::LateP99 || their.spread.median <= 0.0 {
        return None;
    }
    let ratio = our.spread.median / their.spread.median;
    let wanted = wanted(theirs, our.figure);
    let met = wanted.map(|wanted| match our.figure {
        Figure::PerSecond => ratio >= wanted,
        _ => ratio < wanted,
    });
    Some(Ratio {
        to: theirs.peer,
        replicas: theirs.replicas,
        cell,
        figure: our.figure,
        ratio,
        wanted,
        met,
    })
}

/// What Folkmoot set out to reach.
fn wanted(theirs: &Row, figure: Figure) -> Option<f64> {
    match (theirs.peer, theirs.replicas, figure) {
        ("jetstream", 3, Figure::PerSecond) => Some(3.0),
        ("jetstream", 3, Figure::CommitP99) | ("redis", 1, Figure::PerSecond) => Some(1.0),
        _ => None,
    }
}
