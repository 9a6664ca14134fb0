//! How far it is, in the terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A display on standard error that goes when dropped. Without a terminal the
/// faults are told line by line.
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
}

impl Progress {
    /// Shows a run of this length. `quiet`: nothing but the bar.
    #[must_use]
    pub fn show(time: Duration, quiet: bool) -> Self {
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(time.as_secs()), target);
        let style = ProgressStyle::with_template("  {bar:24} {pos}/{len} s  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, quiet }
    }

    /// So much of it is over.
    pub fn at(&self, elapsed: Duration) {
        self.bar.set_position(elapsed.as_secs());
    }

    /// What is going on.
    pub fn says(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        self.bar.tick();
    }

    /// A line that stays.
    pub fn line(&self, line: &str) {
        match (self.quiet, self.bar.is_hidden()) {
            (true, _) => {}
            (false, true) => eprintln!("{line}"),
            (false, false) => self.bar.println(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
