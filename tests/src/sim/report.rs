//! What many histories came to.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::run::Summary;

/// For people: the counts, and the line that says whether all held.
#[must_use]
pub fn table(summary: &Summary) -> String {
    let mut text = String::new();
    let mut part = |title: &str, counts: &BTreeMap<&'static str, u64>| {
        let _ = writeln!(text, "{title}");
        for (name, count) in counts {
            let _ = writeln!(text, "  {count:>9}  {name}");
        }
    };
    part("faults", &summary.counts.faults);
    part("sometimes", &summary.counts.states);
    for name in summary.never() {
        let _ = writeln!(text, "never occurred: {name}");
    }
    let _ = writeln!(
        text,
        "operations {}, acknowledged {}",
        summary.acts, summary.acked
    );
    let (seeds, violations) = (summary.seeds, summary.violations);
    let _ = writeln!(text, "seeds {seeds}, violations {violations}");
    text
}

/// For programs.
#[must_use]
pub fn json(summary: &Summary) -> serde_json::Value {
    serde_json::json!({
        "seeds": summary.seeds,
        "violations": summary.violations,
        "operations": summary.acts,
        "acknowledged": summary.acked,
        "faults": summary.counts.faults,
        "sometimes": summary.counts.states,
        "never": summary.never(),
    })
}
