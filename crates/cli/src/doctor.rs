//! `hotcell doctor`: what this host can enforce, and how to get the rest.

use std::env;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use hotcell_isolate::{Facts, Fix, HostControl, Report};
use hotcell_types::{Enforcement, Exit};

use crate::app::App;
use crate::failure::Failure;
use crate::print::{self, Table};

/// Tell which controls this host can enforce, and how to get the others.
///
/// It tries what can be tried without harm: namespaces, mounts, filters and control groups are made in processes that
/// end at once. Exits with 0 when every control can be had in full, else with 1. With --json, prints an array of
/// controls, each with its name, `enforcement` (state `full`, `partial` or `absent`) and, where something is missing,
/// `cause`, `remedy`, `commands` and whether --fix can do it (`fixable`). Controls that stand only where a profile asks
/// for them come last (`on_demand`), and do not count.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// As root, do what is safe of it, after asking: kernel settings that let user namespaces be made, and the AppArmor
    /// profile of hotcell. Says what it did.
    #[arg(long)]
    fix: bool,
    /// Do not ask, for scripts.
    #[arg(long, requires = "fix")]
    yes: bool,
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    if arguments.fix {
        fix(arguments.yes)?;
    }
    let report = Report::of(&Facts::of_this_host(ci()));
    match app.json {
        true => print::json(&report.controls.iter().chain(&report.on_demand).collect::<Vec<_>>())?,
        false => tell(&report, io::stdout().is_terminal(), &mut print::out())?,
    }
    let whole = report.controls.iter().all(|control| control.enforcement == Enforcement::Full);
    Ok(if whole { Exit::Yes } else { Exit::No })
}

/// The service whose job this is, as it says in the environment.
fn ci() -> Option<String> {
    const SERVICES: &[(&str, &str)] = &[
        ("GITHUB_ACTIONS", "GitHub Actions"),
        ("GITLAB_CI", "GitLab CI"),
        ("TF_BUILD", "Azure Pipelines"),
        ("BUILDKITE", "Buildkite"),
        ("CIRCLECI", "CircleCI"),
        ("JENKINS_URL", "Jenkins"),
        ("CI", "continuous integration"),
    ];
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty() && value != "false");
    SERVICES.iter().find(|(variable, _)| set(variable)).map(|(_, name)| (*name).to_owned())
}

/// Does what can be done, until nothing new is left: what one thing hid, the next look sees.
fn fix(yes: bool) -> Result<(), Failure> {
    let mut seen: Vec<Fix> = Vec::new();
    let mut told = print::err();
    loop {
        let facts = Facts::of_this_host(ci());
        let fixes = Report::of(&facts).causes.into_iter().filter_map(|cause| cause.fix);
        let Some(fix) = fixes.into_iter().find(|fix| !seen.contains(fix)) else {
            if seen.is_empty() {
                writeln!(told, "there is nothing that --fix could do")?;
            }
            return Ok(());
        };
        if facts.rights.user != 0 {
            return Err(Failure::usage(
                format!("only root can {}", fix.what()),
                "run it as root: sudo hotcell doctor --fix",
            ));
        }
        if yes || agreed(&fix, &mut told)? {
            let done =
                fix.apply(Path::new("/")).map_err(|source| Failure::system(format!("to {}", fix.what()), source))?;
            for line in done {
                writeln!(told, "{line}")?;
            }
        }
        seen.push(fix);
    }
}

fn agreed(fix: &Fix, told: &mut dyn Write) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("--fix asks, and there is nobody at a terminal", "agree beforehand with --yes"));
    }
    write!(told, "{}?", fix.what())?;
    told.flush()?;
    write!(told, " [y/N] ")?;
    told.flush()?;
    let mut answer = String::new();
    let typed = io::stdin().lock().read_line(&mut answer);
    if typed.map_err(|source| Failure::system("reading the answer", source))? == 0 {
        // Whoever closes the input says nothing, which is no yes; what is told next begins a line.
        writeln!(told)?;
    }
    Ok(is_yes(answer.trim()))
}

/// Whether an answer agrees.
pub(crate) fn is_yes(answer: &str) -> bool {
    matches!(answer, "y" | "Y" | "yes" | "Yes" | "是")
}

/// The report for people: the host, the controls, the reasons once each, and the sum as the last line.
fn tell(report: &Report, is_terminal: bool, to: &mut dyn Write) -> io::Result<()> {
    // In columns, each with its own words.
    writeln!(to, "{}\n", print::plain_line(&report.host).replace("; ", "  "))?;
    match is_terminal {
        true => writeln!(to, "{}", table(&report.controls))?,
        false => lines(&report.controls, to)?,
    }
    if !report.on_demand.is_empty() {
        writeln!(to, "\nwhere a profile asks for them:")?;
        lines(&report.on_demand, to)?;
        for control in &report.on_demand {
            if let Some(remedy) = &control.remedy {
                writeln!(to, "  -> {}", print::plain_line(remedy))?;
            }
        }
    }
    for cause in &report.causes {
        let controls = report.controls.iter().filter(|control| control.cause == Some(cause.id));
        let names: Vec<_> = controls.map(|control| control.wall.label()).collect();
        writeln!(to, "\ncause {}: {}", print::theirs(cause.id), print::plain_line(&cause.what))?;
        writeln!(to, "  missing for it: {}", names.join(", "))?;
        writeln!(to, "  -> {}", print::plain_line(&cause.remedy))?;
        for command in &cause.commands {
            writeln!(to, "     {}", print::theirs(command))?;
        }
        if cause.fix.is_some() {
            writeln!(to, "     (`sudo hotcell doctor --fix` does it, after asking)")?;
        }
    }
    if !report.notes.is_empty() {
        writeln!(to)?;
    }
    for note in &report.notes {
        writeln!(to, "note: {}", print::plain_line(note))?;
    }
    writeln!(to, "\n{}", summary(&report.controls))
}

fn table(controls: &[HostControl]) -> Table {
    let mut table = print::table(&["control", "state", "what is missing"]);
    for control in controls {
        let (state, why) = state(&control.enforcement);
        // The reason has its own words below.
        let why = control.cause.filter(|_| state == "absent").unwrap_or(why);
        table.add_row([control.wall.label(), state, &print::plain_line(why)]);
    }
    table
}

fn lines(controls: &[HostControl], to: &mut dyn Write) -> io::Result<()> {
    for control in controls {
        let (state, why) = state(&control.enforcement);
        let why = control.cause.filter(|_| state == "absent").unwrap_or(why);
        let why = if why.is_empty() { String::new() } else { format!(": {}", print::plain_line(why)) };
        writeln!(to, "{:<18} {state}{why}", control.wall)?;
    }
    Ok(())
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
