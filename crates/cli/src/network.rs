//! Gateway and broker of a sandbox's way to the network: this very program under other names, one of each for a sandbox.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use hotcell_egress::{BROKER_NAME, GATEWAY_NAME, SERVICE_ARGUMENT, Uninspected, broker, gateway};
use hotcell_isolate::serve::{Confinement, begin, confine};
use hotcell_types::Exit;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Gateway,
    Broker,
}

/// Whether this process was started as one of them.
pub(crate) fn part(name: Option<&OsStr>) -> Option<Part> {
    match name.and_then(|name| Path::new(name).file_name()).and_then(OsStr::to_str) {
        Some(GATEWAY_NAME) => Some(Part::Gateway),
        Some(BROKER_NAME) => Some(Part::Broker),
        _ => None,
    }
}

/// Serves until the sandbox or the host is gone. Whoever started it knows how it went; there is nobody else to tell.
pub(crate) fn main(part: Part, mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    if arguments.next().is_none_or(|argument| argument != SERVICE_ARGUMENT) {
        return Exit::Usage.status().into();
    }
    match serve(part) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => Exit::Failed.status().into(),
    }
}

fn serve(part: Part) -> io::Result<()> {
    let control = begin(io::stdin().as_fd())?;
    match part {
        Part::Gateway => {
            let locks = Confinement { calls: gateway::CALLS, inet: false, read: &[] };
            gateway::serve(control, || confine(&locks), Box::new(Uninspected))
        }
        Part::Broker => {
            confine(&Confinement { calls: broker::CALLS, inet: true, read: broker::READS })?;
            broker::serve(control)
        }
    }
}
