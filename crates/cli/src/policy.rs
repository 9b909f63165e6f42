//! `hotcell policy`: whether policy files are sound, and what a profile comes to.

mod bundle;
mod diff;
mod folder;
mod history;
mod import;
mod learn;
mod question;
mod write;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hotcell_policy::{Effective, MAX_FILE_BYTES, Origin, Overlay, Profile, RuleInfo, check_policy};
use hotcell_types::Exit;
use serde_json::json;

use crate::app::App;
use crate::failure::{self, Failure};
use crate::print::{self, plain, plain_line, theirs};

/// Check policy files and profiles, and show what is in force.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check policy files (Cedar) and profile files (*.toml).
    ///
    /// Exits with 1 when a file has a fault; each fault is told with its line.
    Check {
        /// Files to check. Those that end in `.toml` are profiles, all others policies.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Put the cases of policy folders to them.
    ///
    /// Exits with 1 when a case does not come out as it says.
    Test(folder::Policies),
    /// Put a policy into force, for every start from now on and for every task that runs.
    ///
    /// It is parsed, held against the schema and put its own cases to. One that fails is refused, and what was in force
    /// stays. A running task that it does not allow is ended.
    Install(folder::Install),
    /// Sign a policy folder: the bundle that `hotcell policy install` takes with --trust.
    ///
    /// It is parsed, held against the schema and put its own cases to first.
    Bundle(bundle::Bundle),
    /// Show which questions two policies answer differently: of the tasks in the audit log, and of a generated set.
    ///
    /// Exits with 0 when there is none, and with 1 when there is one.
    Diff(diff::Diff),
    /// Write the narrowest rules that permit what the tasks in the audit log did.
    ///
    /// Nothing comes into force: read the folder, then put it into force with `hotcell policy install`.
    Learn(learn::Learn),
    /// Make a policy folder of a JSON file of rules by role.
    ///
    /// An unknown permission is an error with its place.
    Import(import::Import),
    /// Show every effective value of a profile, and who set it; of a task, also its rights with the walls that enforce them.
    Explain {
        /// Task file whose rights to show (docs/formats/task-file.md): policy is asked, nothing is run.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["profile", "limits"])]
        task: Option<PathBuf>,
        /// A question to policy, as JSON or a file with JSON (docs/formats/policy.md): which rules decide it, on which
        /// attributes they rest, and what would have to be otherwise.
        #[arg(long, value_name = "JSON|FILE", conflicts_with_all = ["task", "profile", "limits"])]
        ask: Option<String>,
        /// Ask this policy folder or bundle. Default: the policy in force.
        #[arg(long, value_name = "POLICY", requires = "ask")]
        policy: Option<PathBuf>,
        /// Public key of whoever signed a bundle, or its file.
        #[arg(long, value_name = "KEY", requires = "policy")]
        trust: Vec<String>,
        /// A built-in profile (strict, third-party, infer, train, baseline-5.10), or a profile file: a path with `/`, or one that ends in
        /// `.toml`.
        #[arg(long, value_name = "NAME|FILE", default_value = "strict")]
        profile: String,
        /// Set a limit as `hotcell run` would: memory=512MiB, wall=60s, pids=64, cpu=1.5, scratch=256MiB. Default:
        /// none.
        #[arg(long = "limit", value_name = "KEY=VALUE")]
        limits: Vec<String>,
    },
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Check { files } => check(files, app),
        Command::Test(arguments) => folder::test(arguments, app),
        Command::Install(arguments) => folder::install(arguments, app),
        Command::Bundle(arguments) => bundle::run(arguments, app),
        Command::Diff(arguments) => diff::run(arguments, app),
        Command::Learn(arguments) => learn::run(arguments, app),
        Command::Import(arguments) => import::run(arguments, app),
        Command::Explain { ask: Some(ask), policy, trust, .. } => question::run(ask, policy.as_deref(), trust, app),
        Command::Explain { task: Some(task), .. } => explain_task(task, app),
        Command::Explain { profile, limits, .. } => explain(profile, limits, app),
    }
}

/// What became of one file.
struct Checked<'a> {
    file: &'a Path,
    /// The profile's name, or the rules of a policy.
    content: Content,
    faults: Vec<Failure>,
}

enum Content {
    Profile(String),
    Rules(Vec<RuleInfo>),
    Nothing,
}

fn check(files: &[PathBuf], app: &App) -> Result<Exit, Failure> {
    let checked: Vec<_> = files.iter().map(|file| check_file(file)).collect::<Result<_, _>>()?;
    match app.json {
        true => print::json(&checked.iter().map(as_json).collect::<Vec<_>>())?,
        false => checked.iter().try_for_each(tell)?,
    }
    let sound = checked.iter().all(|checked| checked.faults.is_empty());
    Ok(if sound { Exit::Yes } else { Exit::No })
}

fn check_file(file: &Path) -> Result<Checked<'_>, Failure> {
    let (text, name) = (read(file)?, file.display().to_string());
    let nothing = |faults| Checked { file, content: Content::Nothing, faults };
    if file.extension().is_some_and(|extension| extension == "toml") {
        return Ok(match Profile::from_file(&text, &name) {
            Ok(profile) => Checked { file, content: Content::Profile(profile.name().to_owned()), faults: Vec::new() },
            Err(error) => nothing(vec![error.into()]),
        });
    }
    Ok(match check_policy(&name, &text) {
        Ok(rules) => Checked { file, content: Content::Rules(rules), faults: Vec::new() },
        Err(errors) => nothing(errors.into_iter().map(Failure::from).collect()),
    })
}

fn as_json(checked: &Checked<'_>) -> serde_json::Value {
    let faults: Vec<_> = checked.faults.iter().filter_map(Failure::error).map(failure::error_json).collect();
    let file = checked.file.display().to_string();
    match &checked.content {
        Content::Profile(name) => json!({ "file": file, "profile": name, "errors": faults }),
        Content::Rules(rules) => json!({ "file": file, "rules": rules, "errors": faults }),
        Content::Nothing => json!({ "file": file, "errors": faults }),
    }
}

fn tell(checked: &Checked<'_>) -> Result<(), Failure> {
    let mut to = print::out();
    let file = theirs(checked.file.display());
    match &checked.content {
        Content::Profile(name) => writeln!(to, "{file}: profile {} is sound", theirs(name))?,
        Content::Rules(rules) => {
            writeln!(to, "{file}: {} rules, all sound", rules.len())?;
            for rule in rules {
                writeln!(to, "  {}: {}", theirs(&rule.id), theirs(&rule.reason))?;
            }
        }
        Content::Nothing => writeln!(to, "{file}: {} faults", checked.faults.len())?,
    }
    for fault in &checked.faults {
        fault.tell(false);
    }
    Ok(())
}

/// What a task would be: the same as `hotcell run --task FILE --dry-run` says.
fn explain_task(path: &Path, app: &App) -> Result<Exit, Failure> {
    let folder = path.parent().unwrap_or(path);
    let mut spec = hotcell_task::parse_task_file(&read(path)?, &path.to_string_lossy(), folder)?;
    if let Some(image) = &mut spec.image {
        image.settings = crate::image_settings::read()?;
    }
    let policy = hotcell_task::policy_in_force(&app.state)?;
    let context = hotcell_task::Context {
        state: &app.state,
        version: crate::VERSION,
        clock: &app.clock,
        principal: crate::run::principal(),
        engine: &policy.engine,
        shell: None,
        cancel: None,
        onwards: [None, None],
        observer: &mut hotcell_task::Silent,
    };
    let dry = hotcell_task::dry_run(spec, &context)?;
    crate::report::dry(&dry, app.json)?;
    Ok(Exit::Yes)
}

fn explain(name: &str, limits: &[String], app: &App) -> Result<Exit, Failure> {
    let profile = limits.iter().try_fold(profile(name)?, |profile, limit| {
        let mut overlay = Overlay::default();
        overlay.set_limit(limit)?;
        Ok::<_, Failure>(profile.narrow(&overlay, &Origin::Flag(format!("--limit {limit}")))?)
    })?;
    let rows = profile.effective();
    match (app.json, io::stdout().is_terminal()) {
        (true, _) => print::json(&json!({ "profile": profile.name(), "settings": rows }))?,
        (false, true) => {
            let mut table = print::table(&["setting", "value", "set by", "you may go to"]);
            for row in &rows {
                table.add_row([&plain(&row.key), &theirs(&row.value), &plain(&row.origin), &plain(&bound(row))]);
            }
            writeln!(print::out(), "profile {}\n{table}", theirs(profile.name()))?;
        }
        (false, false) => {
            let mut to = print::out();
            writeln!(to, "profile {}", theirs(profile.name()))?;
            for row in &rows {
                let bound = if row.bound.is_some() { format!("; {}", bound(row)) } else { String::new() };
                writeln!(
                    to,
                    "{:<30} {}  ({}{})",
                    row.key,
                    plain_line(&row.value),
                    plain_line(&row.origin),
                    plain_line(&bound)
                )?;
            }
        }
    }
    Ok(Exit::Yes)
}

/// How far the local user may go, and who says so where it is another one than who set the value.
fn bound(row: &Effective) -> String {
    match (&row.bound, &row.bound_origin) {
        (Some(bound), Some(origin)) if *origin != row.origin => format!("{bound}, by {origin}"),
        (Some(bound), _) => bound.clone(),
        (None, _) => String::new(),
    }
}

/// A built-in profile, or the one in a file.
fn profile(name: &str) -> Result<Profile, Failure> {
    Ok(match name.contains('/') || name.ends_with(".toml") {
        true => Profile::from_file(&read(Path::new(name))?, name)?,
        false => Profile::builtin(name)?,
    })
}

/// The text of a file; of one that is too long, enough for the engine to say so.
fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_string(&mut text))
        .map_err(|source| Failure::file("read", path, source))?;
    Ok(text)
}
