//! `hotcell doctor`: what this host can enforce.

use std::io::{self, IsTerminal, Write};

use clap::Args;
use hotcell_isolate::{Host, HostControl};
use hotcell_types::{Enforcement, Exit};

use crate::app::App;
use crate::failure::Failure;
use crate::print::{self, Table};

/// Tell which controls this host can enforce, and how to get the others.
///
/// Exits with 0 when every control can be had in full, else with 1. With --json, prints an array of controls, each
/// with its name, `enforcement` (state `full`, `partial` or `absent`) and, where something is missing, `remedy`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments, app: &App) -> Result<Exit, Failure> {
    let host = Host::look().map_err(|source| Failure::system("looking at this host", source))?;
    let controls = host.report();
    match (app.json, io::stdout().is_terminal()) {
        (true, _) => print::json(&controls)?,
        (false, true) => writeln!(print::out(), "{}\n{}", table(&controls), summary(&controls))?,
        (false, false) => lines(&controls, &mut print::out())?,
    }
    let whole = controls.iter().all(|control| control.enforcement == Enforcement::Full);
    Ok(if whole { Exit::Yes } else { Exit::No })
}

fn table(controls: &[HostControl]) -> Table {
    let mut table = print::table(&["control", "state", "what is missing, and how to get it"]);
    for control in controls {
        let (state, why) = state(&control.enforcement);
        let remedy = control.remedy.as_deref().map(|remedy| format!("\n→ {remedy}")).unwrap_or_default();
        table.add_row([control.wall.label(), state, &format!("{why}{remedy}")]);
    }
    table
}

fn lines(controls: &[HostControl], to: &mut dyn Write) -> io::Result<()> {
    for control in controls {
        let (state, why) = state(&control.enforcement);
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        writeln!(to, "{:<18} {state}{why}", control.wall)?;
        if let Some(remedy) = &control.remedy {
            writeln!(to, "{:<18} -> {remedy}", "")?;
        }
    }
    writeln!(to, "{}", summary(controls))
}

fn state(enforcement: &Enforcement) -> (&'static str, &str) {
    match enforcement {
        Enforcement::Full => ("full", ""),
        Enforcement::Partial { missing } => ("partial", missing),
        Enforcement::Absent { why } => ("absent", why),
    }
}

fn summary(controls: &[HostControl]) -> String {
    let count = |state_wanted| controls.iter().filter(|control| state(&control.enforcement).0 == state_wanted).count();
    let (full, partial, absent) = (count("full"), count("partial"), count("absent"));
    match (partial, absent) {
        (0, 0) => format!("this host can enforce all {full} controls in full"),
        _ => format!(
            "this host can enforce {full} of {} controls in full, {partial} in part, {absent} not at all",
            controls.len()
        ),
    }
}
