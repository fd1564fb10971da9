//! Progress bars: on stderr, and only where somebody looks at a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Draws nothing when stderr is no terminal.
pub(crate) fn bar(task: &'static str, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} eta {eta}");
    ProgressBar::new(steps)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(task)
}

/// A bar over events that are folded before a question can be answered; it goes when this does.
pub(crate) struct Folding(ProgressBar);

impl Folding {
    pub(crate) fn begin() -> Self {
        Self(bar("folding events", 0))
    }

    /// Hears how far it is.
    pub(crate) fn told(&self) -> impl Fn(i64, i64) + Sync {
        let bar = self.0.clone();
        move |at, head| {
            bar.set_length(head.unsigned_abs());
            bar.set_position(at.unsigned_abs());
        }
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
