//! What can go wrong between a grant and a contained process.

use std::io;
use std::path::PathBuf;

use hotcell_sys::Errno;
use hotcell_types::{Exit, Explain, Observation, Wall};

/// Why a sandbox could not be built, run or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsolateError {
    /// The allow-list names something that is no system call.
    #[error("`{name}` is not the name of a system call")]
    UnknownCall {
        /// The name.
        name: String,
    },
    /// A path that is to be shown in the sandbox cannot be used.
    #[error("cannot use `{}` as {role}", path.display())]
    Source {
        /// What it was to be: `an input`, `the code`, `the model`.
        role: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A path holds a NUL byte or an argument list is too long.
    #[error("{what} cannot be handed to the kernel: {why}")]
    Unrepresentable {
        /// Which.
        what: String,
        /// Why.
        why: &'static str,
    },
    /// The host lacks what a wall is made of.
    #[error("the host cannot enforce `{wall}`: {why}")]
    HostLacks {
        /// The wall.
        wall: Wall,
        /// Why.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// The preflight saw a wall that does not stand.
    #[error("the preflight saw {} that does not stand: {}", if observations.len() == 1 { "a wall" } else { "walls" }, list(observations))]
    WallsDown {
        /// What it saw.
        observations: Vec<Observation>,
    },
    /// The launcher could not carry out a step.
    #[error("building the sandbox failed at: {step} ({errno})")]
    Step {
        /// What it was about to do.
        step: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// The launcher said something that this build does not know, or ended without a word.
    #[error("the launcher {what}")]
    Launcher {
        /// What it did.
        what: &'static str,
    },
    /// Something is to be shown that no right of the grant covers.
    #[error("the grant holds no right over {over}")]
    NotGranted {
        /// Over what.
        over: String,
    },
    /// A device that a right names cannot be handed on.
    #[error("the device `{node}` cannot be granted: {why}")]
    Device {
        /// Its node.
        node: String,
        /// Why.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Scratch cannot be had as the profile demands it.
    #[error("scratch cannot be had here: {why}")]
    Scratch {
        /// Why.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// The process table is full, or the share of it that this user or group may have.
    #[error("no process can be started for {what}")]
    ProcessTable {
        /// What needs one.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A system call of the host's side failed.
    #[error("{what} failed")]
    Host {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl IsolateError {
    /// What came of starting a process: the kernel says `EAGAIN` where there is no room for one more.
    pub(crate) fn not_started(what: &'static str, failed: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| match source.raw_os_error() == Some(Errno::EAGAIN.0) {
            true => Self::ProcessTable { what, source },
            false => Self::Host { what: failed, source },
        }
    }
}

fn list(observations: &[Observation]) -> String {
    let one = |o: &Observation| format!("`{}` ({} gave {}, expected {})", o.wall, o.tried, o.seen, o.expected);
    observations.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl Explain for IsolateError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownCall { .. } => "ISO-001",
            Self::Source { .. } => "ISO-002",
            Self::Unrepresentable { .. } => "ISO-003",
            Self::HostLacks { .. } => "ISO-010",
            Self::WallsDown { .. } => "ISO-011",
            Self::Step { .. } => "ISO-012",
            Self::Launcher { .. } => "ISO-013",
            Self::Host { .. } => "ISO-014",
            Self::Scratch { .. } => "ISO-015",
            Self::ProcessTable { .. } => "ISO-020",
            Self::NotGranted { .. } => "ISO-040",
            Self::Device { .. } => "ISO-041",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::UnknownCall { .. } => "correct the name in the profile's `system_calls`".into(),
            Self::Source { .. } => "check that the path exists and that you may read it".into(),
            Self::Unrepresentable { .. } => "use a shorter command line and paths without NUL bytes".into(),
            Self::HostLacks { wall, remedy, .. } => {
                format!("{remedy}; or give the wall up by name: --best-effort {wall}")
            }
            Self::WallsDown { observations } => {
                let flags: Vec<_> = observations.iter().map(|o| format!("--best-effort {}", o.wall)).collect();
                format!("run `hotcell doctor` to see what the host lacks; or give up by name: {}", flags.join(" "))
            }
            Self::Step { .. } => "run `hotcell doctor` to see what the host lacks".into(),
            Self::Scratch { remedy, .. } => remedy.clone(),
            Self::NotGranted { .. } => {
                "report it with this code: what a task is shown and what it was granted differ".into()
            }
            Self::Device { remedy, .. } => (*remedy).into(),
            Self::Launcher { .. } => "run it again; if it stays so, report it with this code".into(),
            Self::ProcessTable { .. } => "end processes that are not needed, or allow more: to this user (ulimit -u), to the \
                                          control group that Hotcell runs in (pids.max), or to the host (kernel.pid_max)"
                .into(),
            Self::Host { .. } => {
                "look at the cause; free descriptors, processes, memory or disk where one is short".into()
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::HostLacks { .. } | Self::WallsDown { .. } | Self::Scratch { .. } => Exit::HostLacks,
            Self::UnknownCall { .. } | Self::Source { .. } | Self::Unrepresentable { .. } => Exit::Usage,
            Self::NotGranted { .. } | Self::Device { .. } => Exit::Refused,
            Self::Step { errno, .. } if matches!(*errno, Errno::EPERM | Errno::ENOSYS | Errno::EACCES) => {
                Exit::HostLacks
            }
            Self::Step { .. } | Self::Launcher { .. } | Self::Host { .. } | Self::ProcessTable { .. } => Exit::Failed,
        }
    }
}
