//! The built-in runner: this very program under another name, inside a sandbox.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use hotcell_models::{RunnerArgs, runner_main};
use hotcell_sys::harden;
use hotcell_types::{Exit, Explain};

use crate::failure::causes;

/// Whether this process was started as the runner.
pub(crate) fn is_runner(name: Option<&OsStr>) -> bool {
    name.and_then(|name| Path::new(name).file_name()).is_some_and(|name| name == "hotcell-runner")
}

/// Scores as told; progress and errors go to standard error, which the parent reads.
pub(crate) fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match RunnerArgs::from_args(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return tell(&error),
    };
    // Before a byte of the model or the table is read: what they could make of this process must not have it.
    if arguments.without_clocks && !has_lost_cycle_counter() {
        let _ = writeln!(io::stderr().lock(), "the cycle counter cannot be taken away [ISO-010]");
        return Exit::HostLacks.status().into();
    }
    match runner_main(&arguments, &mut io::stderr().lock()) {
        Ok(_) => Exit::Yes.status().into(),
        Err(error) => tell(&error),
    }
}

/// Takes the cycle counter away from this process, and with it every clock that needs no system call; the filter of a
/// sandbox without clocks refuses those that do, and giving it back.
fn has_lost_cycle_counter() -> bool {
    harden::without_cycle_counter().is_ok() && harden::has_cycle_counter() == Ok(false)
}

/// One line: the message with its causes and the code; then the remedy.
fn tell(error: &dyn Explain) -> ExitCode {
    let message = causes(error).iter().fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    // The status says the same where standard error is gone.
    let _ = writeln!(io::stderr().lock(), "{message} [{}]\n  help: {}", error.code(), error.remedy());
    error.exit().status().into()
}
