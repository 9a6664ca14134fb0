//! How far the replay is, in the terminal.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use tokio::task::AbortHandle;
use tokio::time::interval;

use super::crowd::Crowd;
use super::regions;
use super::replay::Replay;

const EVERY: Duration = Duration::from_millis(200);

/// A display that goes when dropped. Without a terminal there is none.
pub(super) struct Progress {
    task: Option<AbortHandle>,
    bars: MultiProgress,
}

impl Progress {
    /// Shows the progress of a replay.
    pub(super) fn show(replay: &Arc<Replay>, crowd: Option<&Arc<Crowd>>) -> Self {
        let bars = MultiProgress::new();
        if !std::io::stderr().is_terminal() {
            return Self { task: None, bars };
        }
        let (_, total) = replay.progress();
        let whole = bars.add(ProgressBar::new(total).with_style(style(
            "  replay {wide_bar} {pos}/{len} entries, {rate}, {eta} left",
        )));
        let regions: Vec<ProgressBar> = (0..replay.cluster.regions)
            .map(|region| {
                let line = style("  {prefix:>6}  {pos} entries seen, {rate}");
                let bar = bars.add(ProgressBar::new(u64::MAX).with_style(line));
                bar.with_prefix(regions::NAMES[region])
            })
            .collect();
        let crowd = crowd.map(|crowd| {
            let line = style("  members {wide_bar} {pos}/{len}, {rate}, {eta} left");
            let bar = ProgressBar::new(crowd.members.into()).with_style(line);
            (bars.add(bar), Arc::clone(crowd))
        });
        let replay = Arc::clone(replay);
        let task = tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            loop {
                ticks.tick().await;
                whole.set_position(replay.progress().0);
                for (bar, seen) in regions.iter().zip(&replay.delivered) {
                    bar.set_position(seen.load(Ordering::Relaxed));
                }
                if let Some((bar, crowd)) = &crowd {
                    bar.set_position(crowd.come());
                }
            }
        });
        Self {
            task: Some(task.abort_handle()),
            bars,
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            // A display that cannot be written to shows nothing.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        })
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
            // What cannot be cleared stays on the screen.
            let _ = self.bars.clear();
        }
    }
}
