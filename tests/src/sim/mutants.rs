//! Whether the simulator notices when something that keeps the product safe is
//! gone: one safeguard at a time is taken out, and some history has to show it.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use folkmoot_crdt::mutants::{Mutant, take_out};
use parking_lot::Mutex;

use super::findings::Finding;
use super::plan::Plan;
use super::run::run;

/// Seeds within which a mutant is to be caught.
pub const WITHIN: u64 = 500;

/// What became of a mutant.
pub struct Tried {
    pub mutant: Mutant,
    /// The seed of the first history that showed it, and what.
    pub caught: Option<(u64, Finding)>,
}

/// Takes out one safeguard after the other.
///
/// # Errors
/// When a runtime cannot be made.
pub fn all(names: &[String], show: impl Fn(&Tried)) -> anyhow::Result<Vec<Tried>> {
    let asked = |mutant: &&Mutant| {
        let name = format!("{mutant:?}");
        names.is_empty() || names.contains(&name)
    };
    let mut tried = Vec::new();
    for mutant in Mutant::ALL.iter().filter(asked) {
        take_out(Some(*mutant));
        let caught = hunt();
        take_out(None);
        let one = Tried {
            mutant: *mutant,
            caught: caught?,
        };
        show(&one);
        tried.push(one);
    }
    Ok(tried)
}

/// The first seed, or nearly, with a finding.
fn hunt() -> anyhow::Result<Option<(u64, Finding)>> {
    let (next, found) = (AtomicU64::new(0), AtomicBool::new(false));
    let caught: Mutex<Option<(u64, Finding)>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let hunt = || -> anyhow::Result<()> {
        while !found.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= WITHIN {
                break;
            }
            let history = run(&Plan::of(seed))?;
            if let Some(finding) = history.findings.into_iter().next() {
                found.store(true, Ordering::Relaxed);
                let mut caught = caught.lock();
                if caught.as_ref().is_none_or(|(other, _)| seed < *other) {
                    *caught = Some((seed, finding));
                }
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let hunters: Vec<_> = (0..threads).map(|_| scope.spawn(hunt)).collect();
        let mut ended = hunters.into_iter().map(|hunter| hunter.join());
        ended.try_for_each(|end| end.unwrap_or_else(|_| anyhow::bail!("a hunter panicked")))
    })?;
    Ok(caught.into_inner())
}

/// One line of the table.
#[must_use]
pub fn line(tried: &Tried) -> String {
    let all = Mutant::ALL.iter().map(|mutant| mutant.text().len());
    let width = all.max().unwrap_or_default() + 2;
    let mut line = format!("{:<width$}", tried.mutant.text());
    let _ = match &tried.caught {
        Some((seed, finding)) => {
            let what: String = finding.what.chars().take(100).collect();
            write!(line, "{:<12} seed {seed:>4}  {what}", finding.invariant)
        }
        None => write!(line, "NOT CAUGHT within {WITHIN} seeds"),
    };
    line
}
