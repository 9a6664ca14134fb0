//! How far it is, in the terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A display on standard error that goes when dropped. Without a terminal it
/// shows nothing.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn show(steps: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("  {bar:24} {pos}/{len}  {elapsed}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    pub(super) fn says(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.tick();
    }

    /// The next measurement begins. Nothing is drawn while it lasts: the
    /// display would take from the generator's core.
    pub(super) fn step(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.inc(1);
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
