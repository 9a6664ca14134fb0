//! The report as text.

use std::fmt;

use super::report::{Report, Times};

const BAR: usize = 40;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "chaos, seed {}: {} nodes in 3 regions, delays times {}, {} and {}, {:.0} s of faults, {:.0} s in all\n",
            self.seed,
            self.nodes,
            self.wan,
            self.versions[0],
            self.versions[1],
            self.seconds,
            self.wall_seconds
        )?;
        self.table(f)?;
        self.bars(f)?;
        self.seen(f)?;
        self.verdict(f)
    }
}

fn times(times: &Times) -> String {
    let one = |time: Option<u64>| time.map_or("-".to_owned(), |ms| ms.to_string());
    let Times { p50, p90, max } = times;
    format!("{:>7}{:>7}{:>7}", one(*p50), one(*p90), one(*max))
}

impl Report {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Milliseconds to the next commit of what was said afterwards (\"groups\": in every group, by\n\
             anybody; \"all\": of every publisher in every group), and until every node was ready and saw\n\
             all others (\"whole\"): p50, p90 and longest.\n"
        )?;
        writeln!(
            f,
            "{:<16}{:>5}{:>23}{:>23}{:>23}{:>23}{:>23}",
            "fault",
            "times",
            "groups, from start",
            "all, from start",
            "groups, from end",
            "all, from end",
            "whole, from end"
        )?;
        for kind in &self.faults {
            writeln!(
                f,
                "{:<16}{:>5}  {}  {}  {}  {}  {}",
                kind.kind,
                kind.count,
                times(&kind.spans.groups_from_injection),
                times(&kind.spans.all_from_injection),
                times(&kind.spans.groups_from_healing),
                times(&kind.spans.all_from_healing),
                times(&kind.whole)
            )?;
        }
        writeln!(f)
    }

    fn bars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Faults by the time to the next commit; bars: all, from end.\n"
        )?;
        writeln!(
            f,
            "{:>12}{:>20}{:>17}{:>18}{:>15}",
            "", "groups, from start", "all, from start", "groups, from end", "all, from end"
        )?;
        let most = self
            .histogram
            .iter()
            .map(|step| step.spans.all_from_healing)
            .max();
        for step in &self.histogram {
            let bound = step
                .up_to_ms
                .map_or("longer".to_owned(), |ms| format!("<= {ms} ms"));
            let len = (step.spans.all_from_healing * BAR).div_ceil(most.unwrap_or(1).max(1));
            let line = format!(
                "{bound:>12}{:>20}{:>17}{:>18}{:>15} {}",
                step.spans.groups_from_injection,
                step.spans.all_from_injection,
                step.spans.groups_from_healing,
                step.spans.all_from_healing,
                "#".repeat(len)
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f)
    }

    fn seen(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = &self.messages;
        let refused: usize = messages.refused.values().sum();
        let unknown: usize = messages.unknown.values().sum();
        writeln!(
            f,
            "messages {}, acknowledged {}, refused {refused}, unknown {unknown}, never settled {}",
            messages.sent, messages.acknowledged, messages.open
        )?;
        for (why, count) in messages.refused.iter().chain(&messages.unknown) {
            writeln!(f, "  {count} times: {why}")?;
        }
        let replay = &self.replay;
        writeln!(
            f,
            "replayed {} logs in {} acts: {} lines, {} entries, by {} clients over QUIC and {} over WebSocket",
            replay.logs,
            replay.acts,
            replay.lines,
            replay.entries,
            replay.clients[0],
            replay.clients[1]
        )?;
        writeln!(
            f,
            "{} listeners read {} entries",
            self.listeners, self.entries_read
        )
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: usize = self.faults.iter().map(|kind| kind.count).sum();
        writeln!(f, "faults {faults}, violations {}", self.violations.len())?;
        for violation in &self.violations {
            writeln!(f, "  {violation}")?;
        }
        if let Some(evidence) = &self.evidence {
            writeln!(f, "logs: {evidence}")?;
        }
        if !self.ok {
            writeln!(f, "again: {}", self.again)?;
        }
        Ok(())
    }
}
