//! Progress bars: as wide as the terminal has room for, in the reader's language and signs.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{look, print};

/// A bar on standard error, where that is a terminal which can show one. `of` stands before it; `done` is how the
/// amount is told.
pub(crate) fn bar(total: u64, of: &str, done: &str) -> Option<ProgressBar> {
    let look = look::stderr();
    if !look.moves {
        return None;
    }
    let say = |text: &str| print::shown(text, look, look::language());
    let form = format!("{} {{wide_bar}} {{percent}}%  {done}  {{elapsed}} ({} {{eta}})", say(of), say("still"));
    let style = ProgressStyle::with_template(&form).unwrap_or_else(|_| ProgressStyle::default_bar());
    let style = if look.unicode { style } else { style.progress_chars("#>-") };
    Some(ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style))
}

/// Amounts that are bytes.
pub(crate) const BYTES: &str = "{binary_bytes}/{binary_total_bytes}";

/// Amounts that are numbers of something.
pub(crate) const COUNT: &str = "{pos}/{len}";
