//! Progress bars: on stderr, and only where somebody looks at a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Draws nothing when stderr is no terminal.
pub(crate) fn bar(task: &'static str, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} eta {eta}");
    ProgressBar::new(steps)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(task)
}
