//! The `hotcell` command: parse, do, tell. What it does stands in the crates below it.

mod app;
mod audit;
mod bar;
mod completions;
mod date;
mod defect;
mod demo;
mod doctor;
mod explain;
mod failure;
mod feed;
mod fingerprint;
mod help;
mod hostile;
mod image;
mod image_settings;
mod init;
mod keygen;
mod look;
mod memory;
mod model;
mod network;
mod new_file;
mod open;
mod policy;
mod pool;
mod print;
mod receipt;
mod receipt_file;
mod receipt_page;
mod receipt_text;
mod receipt_words;
mod redact;
mod report;
mod rights;
mod run;
mod runner;
mod scan;
mod scratch;
mod seal;
mod selftest;
mod source;
mod tasks;
mod temporary;
mod terminal;
mod watch;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hotcell_isolate::Shell;
use hotcell_sys::signal;
use hotcell_types::Exit;

use crate::app::{App, SystemClock, state_folder};
use crate::failure::Failure;

/// Run models and code you do not trust on data you must not leak.
///
/// Every command exits with 0 for yes, 1 for no and 2 for a wrong command line; 120 when an output is held for
/// approval, 121 refused by policy or inspection, 122 the host lacks a control, 123 a signature, tag or key does not
/// fit, 124 a limit was reached, 125 Hotcell failed. `hotcell explain CODE` tells of any error.
#[derive(Debug, Parser)]
#[command(name = "hotcell", version, arg_required_else_help = true, max_term_width = 120)]
struct Arguments<C: Subcommand> {
    /// Folder for keys, audit log and receipts. Default: $XDG_STATE_HOME/hotcell, else $HOME/.local/state/hotcell.
    #[arg(long, global = true, value_name = "DIR", help_heading = COMMON, display_order = 100)]
    state: Option<PathBuf>,
    /// Answer in JSON on standard output; errors too, as an object `error`.
    #[arg(long, global = true, help_heading = COMMON, display_order = 101)]
    json: bool,
    #[command(subcommand)]
    command: C,
}

/// The one command of a line that begins with `run`: its reader need not know what the others take.
#[derive(Debug, Subcommand)]
enum OnlyRun {
    Run(run::Arguments),
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of them for each process, and it is moved once")]
enum Command {
    Demo(demo::Arguments),
    Run(run::Arguments),
    Init(init::Arguments),
    Ps(tasks::Ps),
    Show(tasks::Show),
    Logs(tasks::Logs),
    Cancel(tasks::Cancel),
    Pool(pool::Arguments),
    Doctor(doctor::Arguments),
    Selftest(selftest::Arguments),
    Image(image::Arguments),
    Keygen(keygen::Arguments),
    Seal(seal::Arguments),
    Open(open::Arguments),
    Policy(policy::Arguments),
    Model(model::Arguments),
    Scan(scan::Arguments),
    Redact(redact::Arguments),
    Fingerprint(fingerprint::Arguments),
    Audit(audit::Arguments),
    Receipt(receipt::Arguments),
    Explain(explain::Arguments),
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    defect::tell_instead_of_panicking();
    // Whoever started us may ignore the ends of children, and then nobody could await them.
    let _ = signal::default(signal::SIGCHLD);
    let mut words = std::env::args_os();
    if runner::is_runner(words.next().as_deref()) {
        return runner::main(words);
    }
    if scratch::is_server(std::env::args_os().next().as_deref()) {
        return scratch::main(words);
    }
    if let Some(part) = network::part(std::env::args_os().next().as_deref()) {
        return network::main(part, words);
    }
    if hostile::is_hostile(std::env::args_os().next().as_deref()) {
        return hostile::main(words.next());
    }
    if selftest::is_attacker(std::env::args_os().next().as_deref()) {
        return hotcell_selftest::inside::main(words);
    }
    let shell = run::start_shell();
    memory::fetch();
    let arguments = read_command_line();
    let json = arguments.json;
    defect::tell_as_json(json);
    match run(arguments, shell) {
        Ok(status) => status.into(),
        Err(failure) => {
            failure.tell(json);
            failure.status().into()
        }
    }
}

/// The command line, or the end with what is wrong with it.
fn read_command_line() -> Arguments<Command> {
    if std::env::args_os().nth(1).is_none_or(|word| word != "run") {
        return help::parse();
    }
    let Arguments { state, json, command: OnlyRun::Run(arguments) } = help::parse();
    Arguments { state, json, command: Command::Run(arguments) }
}

/// Does what was asked. `run` alone passes on a status that is not ours.
fn run(arguments: Arguments<Command>, shell: Option<Shell>) -> Result<u8, Failure> {
    let state = match state_folder(arguments.state) {
        Ok(state) => state,
        Err(_) if !arguments.command.uses_state() => PathBuf::new(),
        Err(failure) => return Err(failure),
    };
    let app = App { json: arguments.json, state, clock: SystemClock };
    let exit = match arguments.command {
        Command::Run(arguments) => return run::run(arguments, &app, shell),
        Command::Demo(arguments) => demo::run(arguments, &app),
        Command::Init(arguments) => init::run(arguments, &app),
        Command::Ps(arguments) => tasks::ps(&arguments, &app),
        Command::Show(arguments) => tasks::show(&arguments, &app),
        Command::Logs(arguments) => tasks::logs(&arguments, &app),
        Command::Cancel(arguments) => tasks::cancel(&arguments, &app),
        Command::Pool(arguments) => pool::run(&arguments, &app),
        Command::Doctor(arguments) => doctor::run(&arguments, &app),
        Command::Selftest(arguments) => selftest::run(&arguments, &app),
        Command::Image(arguments) => image::run(&arguments, &app),
        Command::Keygen(arguments) => keygen::run(&arguments, &app),
        Command::Seal(arguments) => seal::run(arguments, &app),
        Command::Open(arguments) => open::run(&arguments, &app),
        Command::Policy(arguments) => policy::run(&arguments, &app),
        Command::Model(arguments) => model::run(arguments, &app),
        Command::Scan(arguments) => scan::run(&arguments, &app),
        Command::Redact(arguments) => redact::run(&arguments, &app),
        Command::Fingerprint(arguments) => fingerprint::run(&arguments, &app),
        Command::Audit(arguments) => audit::run(&arguments, &app),
        Command::Receipt(arguments) => receipt::run(&arguments, &app),
        Command::Explain(arguments) => explain::run(&arguments, &app),
        Command::Completions(arguments) => completions::run(&arguments),
    };
    exit.map(Exit::status)
}

/// The version, as `--version` and receipts tell it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where help shows the options that every command has.
const COMMON: &str = "Common options";

impl Command {
    /// Whether it reads or writes the state folder; the others work without one.
    fn uses_state(&self) -> bool {
        match self {
            Self::Audit(_)
            | Self::Image(_)
            | Self::Run(_)
            | Self::Init(_)
            | Self::Ps(_)
            | Self::Show(_)
            | Self::Logs(_)
            | Self::Cancel(_)
            | Self::Pool(_)
            | Self::Redact(redact::Arguments { reverse: true, .. })
            | Self::Selftest(_) => true,
            Self::Model(arguments) => arguments.uses_state(),
            Self::Demo(_)
            | Self::Doctor(_)
            | Self::Keygen(_)
            | Self::Seal(_)
            | Self::Open(_)
            | Self::Policy(_)
            | Self::Scan(_)
            | Self::Redact(redact::Arguments { reverse: false, .. })
            | Self::Fingerprint(_)
            | Self::Receipt(_)
            | Self::Explain(_)
            | Self::Completions(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn help_is_the_reference_so_every_command_and_option_has_a_text() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "`{}` has no text", command.get_name());
            for argument in command.get_arguments() {
                let has_text = argument.get_help().is_some_and(|help| !help.to_string().is_empty());
                assert!(has_text, "`{}` of `{}` has no text", argument.get_id(), command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        let command = Arguments::<Command>::command();
        command.clone().debug_assert();
        check(&command);
    }

    #[test]
    fn the_reader_of_run_alone_reads_and_tells_what_the_reader_of_all_does() {
        let lines: &[&[&str]] = &[
            &["run", "--", "/bin/true"],
            &["run", "--json", "--state", "/s", "--limit", "wall=1s", "--", "a", "--b"],
            &["run", "--help"],
            &["run", "-h"],
            &["run"],
            &["run", "--inputt", "a=b"],
            &["run", "--input", "a"],
            &["run", "--stdin", "--tty", "--", "x"],
            &["run", "x"],
            &["run", "--version"],
            &["run", "--best-effort", "moat", "--", "x"],
        ];
        for line in lines {
            let line = ["hotcell"].iter().chain(*line);
            let all = Arguments::<Command>::try_parse_from(line.clone()).map_err(|error| error.to_string());
            let only = Arguments::<OnlyRun>::try_parse_from(line).map_err(|error| error.to_string());
            let all = all.map(|read| match read.command {
                Command::Run(run) => format!("{:?} {} {run:?}", read.state, read.json),
                other => format!("{other:?}"),
            });
            let only =
                only.map(|Arguments { state, json, command: OnlyRun::Run(run) }| format!("{state:?} {json} {run:?}"));
            assert_eq!(only, all);
        }
    }
}
