//! What is told of a history in which something was wrong: what, the least
//! plan in which it still is, the trace, and the command that runs it again.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use super::plan::{Cut, Plan};
use super::run::{History, run};

/// Histories that shrinking one plan may take.
const TRIES: usize = 40;

/// The report.
#[must_use]
pub fn report(history: &History) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{history}");
    for finding in &history.findings {
        let _ = writeln!(text, "    ! {finding}");
    }
    let cut = shrink(history);
    let plan = Plan::cut_down(history.seed, &cut);
    let _ = writeln!(text, "  it takes no more than this:\n{plan}");
    let smallest = run(&plan).ok();
    let shown = smallest.as_ref().unwrap_or(history);
    if let Some(finding) = shown.findings.first() {
        let _ = writeln!(text, "    ! {finding}");
    }
    match write_trace(shown) {
        Ok(path) => {
            let _ = writeln!(text, "  trace: {}", path.display());
        }
        Err(error) => {
            let _ = writeln!(text, "  the trace could not be written: {error}");
        }
    }
    let _ = writeln!(text, "  again: {}", again(history.seed, &history.cut));
    let _ = writeln!(text, "  again, shrunk: {}", again(history.seed, &cut));
    text
}

/// The command that runs a plan again.
#[must_use]
pub fn again(seed: u64, cut: &Cut) -> String {
    let mut command = format!("make sim SEEDS=1 FROM={seed}");
    let mut more = Vec::new();
    if let Some(faults) = &cut.faults {
        let places: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let places = match places.is_empty() {
            true => "-".into(),
            false => places.join(","),
        };
        more.push(format!("--faults {places}"));
    }
    if let Some(steps) = cut.steps {
        more.push(format!("--steps {steps}"));
    }
    if !more.is_empty() {
        let _ = write!(command, " SIM='{}'", more.join(" "));
    }
    command
}

/// The least of the plan in which something is still wrong, if anything is
/// then: first without faults, one after the other, then with fewer steps.
/// What differs from run to run is not shrunk.
fn shrink(history: &History) -> Cut {
    let mut tries = 0;
    let mut fails = |cut: &Cut| {
        tries += 1;
        let plan = Plan::cut_down(history.seed, cut);
        tries <= TRIES && run(&plan).is_ok_and(|history| !history.findings.is_empty())
    };
    let mut least = history.cut.clone();
    if !fails(&least) {
        return least;
    }
    let all = Plan::of(history.seed).faults.len();
    let mut kept = least.faults.clone().unwrap_or_else(|| (0..all).collect());
    for fault in kept.clone() {
        let fewer: Vec<usize> = kept.iter().copied().filter(|at| *at != fault).collect();
        let cut = Cut {
            faults: Some(fewer.clone()),
            ..least.clone()
        };
        if fails(&cut) {
            (least, kept) = (cut, fewer);
        }
    }
    let mut steps = Plan::cut_down(history.seed, &least).steps;
    let mut less = steps / 2;
    while less > 0 {
        let fewer = steps.saturating_sub(less);
        let cut = Cut {
            steps: Some(fewer),
            ..least.clone()
        };
        if fewer > 0 && fails(&cut) {
            (steps, least) = (fewer, cut);
        } else {
            less /= 2;
        }
    }
    least
}

fn write_trace(history: &History) -> std::io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("folkmoot-sim-{}.trace", history.seed));
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    for event in &history.events {
        writeln!(file, "{event}")?;
    }
    file.flush()?;
    Ok(path)
}
