//! How far it is, in the terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A display on standard error that goes when dropped. Without a terminal it
/// shows nothing.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn show(steps: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("  {bar:24} {pos}/{len}  {elapsed}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    pub(crate) fn says(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.tick();
    }

    /// So many steps are done.
    pub(crate) fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// The next measurement begins. Nothing is drawn while it lasts: the
    /// display would take from the generator's core.
    pub(crate) fn step(&self, what: &str) {
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
