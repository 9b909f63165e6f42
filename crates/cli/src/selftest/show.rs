//! What is told of a selftest.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use super::Outcome;
use crate::app::App;
use crate::failure::Failure;
use crate::print;

/// Shows how far it is, on a terminal.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn new(is_quiet: bool) -> Self {
        Self((!is_quiet && io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("attacking {bar:40} {pos}/{len}  {elapsed}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }))
    }

    pub(super) fn count(&mut self, done: usize, all: usize) {
        if let Some(bar) = &self.0 {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

pub(super) fn show(outcomes: &[Outcome], app: &App) -> Result<(), Failure> {
    if app.json {
        return Ok(print::json(&outcomes)?);
    }
    let mut out = io::stdout().lock();
    if io::stdout().is_terminal() {
        let mut table = print::table(&["attack", "class", "expected", "seen", "wall", ""]);
        for outcome in outcomes {
            let (mark, wall) = mark(outcome);
            table.add_row([outcome.attack, outcome.class, &outcome.expected, &outcome.seen, wall, mark]);
        }
        writeln!(out, "{table}")?;
    } else {
        for outcome in outcomes {
            let Outcome { attack, class, expected, seen, .. } = outcome;
            let (mark, wall) = mark(outcome);
            writeln!(out, "{mark:<11} {attack:<34} {class:<17} expected {expected}; seen {seen}; {wall}")?;
        }
    }
    write!(out, "{}", summary(outcomes))?;
    Ok(())
}

fn mark(outcome: &Outcome) -> (&'static str, &str) {
    match (outcome.held, &outcome.skipped) {
        (_, Some(why)) => ("skipped", why),
        (Some(true), None) => ("held", outcome.wall),
        (_, None) => ("GOT THROUGH", outcome.wall),
    }
}

/// Reasons of skips, what got through, and the figures.
fn summary(outcomes: &[Outcome]) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for why in outcomes.iter().filter_map(|outcome| outcome.skipped.as_deref()) {
        *reasons.entry(why).or_default() += 1;
    }
    let mut text = String::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.held == Some(false)) {
        text.push_str(&format!(
            "GOT THROUGH: {}: expected {}, seen {} (wall: {})\n",
            outcome.attack, outcome.expected, outcome.seen, outcome.wall
        ));
    }
    let count = |held: Option<bool>| outcomes.iter().filter(|outcome| outcome.held == held).count();
    text.push_str(&format!(
        "{} attacks: {} held, {} got through, {} skipped for {} reasons\n",
        outcomes.len(),
        count(Some(true)),
        count(Some(false)),
        count(None),
        reasons.len()
    ));
    text
}
