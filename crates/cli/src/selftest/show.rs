//! What is told of a selftest.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use indicatif::ProgressBar;

use super::Outcome;
use crate::app::App;
use crate::bar;
use crate::failure::Failure;
use crate::print;

/// Shows how far it is, on a terminal.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn new(is_quiet: bool, total: usize) -> Self {
        Self(if is_quiet { None } else { bar::bar(total as u64, "attacking", bar::COUNT) })
    }

    pub(super) fn count(&self, done: usize) {
        if let Some(bar) = &self.0 {
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
    let mut out = print::out();
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
            writeln!(out, "{mark:<11}  {attack:<34}  {class:<17}  expected {expected}  seen {seen}  {wall}")?;
        }
    }
    write!(out, "{}", summary(outcomes))?;
    Ok(())
}

fn mark(outcome: &Outcome) -> (&'static str, &str) {
    match (outcome.held, &outcome.skipped) {
        (_, Some(why)) => ("skipped", why),
        (Some(true), None) => ("held off", outcome.wall),
        (_, None) => ("NOT HELD", outcome.wall),
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
            "NOT HELD  {}  expected {}  seen {}  {}\n",
            outcome.attack, outcome.expected, outcome.seen, outcome.wall
        ));
    }
    let count = |held: Option<bool>| outcomes.iter().filter(|outcome| outcome.held == held).count();
    text.push_str(&format!(
        "{} attacks: {} held, {} not held, {} skipped for {} reasons\n",
        outcomes.len(),
        count(Some(true)),
        count(Some(false)),
        count(None),
        reasons.len()
    ));
    text
}
