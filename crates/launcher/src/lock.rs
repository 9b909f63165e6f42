//! The locks that the workload's process puts on itself.

use hotcell_sys::{Errno, Fd, Result, file, landlock, process, seccomp};

use crate::plan::Step;

/// The Landlock ruleset at hand.
pub(crate) struct Lock {
    ruleset: Option<Fd>,
}

impl Lock {
    pub(crate) fn new() -> Self {
        Self { ruleset: None }
    }

    /// Turns one lock.
    pub(crate) fn turn(&mut self, step: Step<'_>) -> Result<()> {
        match step {
            Step::DropCapabilities {} => process::drop_capabilities(),
            Step::NoNewPrivileges {} => process::no_new_privileges(),
            Step::Landlock { fs, net, scoped, abi } => {
                let handled = landlock::Handled { fs, net, scoped };
                self.ruleset = Some(landlock::create(&handled, abi as u32)?);
                Ok(())
            }
            Step::LandlockAllow { path, rights } => {
                let ruleset = self.ruleset.ok_or(Errno::EINVAL)?;
                let parent = file::open_at(Fd::CWD, path, file::O_PATH | file::O_CLOEXEC, 0)?;
                let result = landlock::allow_beneath(ruleset, rights, parent);
                file::close(parent);
                result
            }
            Step::LandlockAllowShown { path, folder, file: plain } => {
                let ruleset = self.ruleset.ok_or(Errno::EINVAL)?;
                let flags = file::O_PATH | file::O_NOFOLLOW | file::O_CLOEXEC;
                let parent = match file::open_at(Fd::CWD, path, flags, 0) {
                    Err(Errno::ENOENT) => return Ok(()),
                    other => other?,
                };
                let result = match file::kind(parent) {
                    Ok(file::Kind::Folder) => landlock::allow_beneath(ruleset, folder, parent),
                    Ok(file::Kind::File) => landlock::allow_beneath(ruleset, plain, parent),
                    // A link at the root: what it leads to is shown, and allowed, by itself.
                    Ok(file::Kind::Other) => Ok(()),
                    Err(error) => Err(error),
                };
                file::close(parent);
                result
            }
            Step::LandlockEnforce {} => {
                let ruleset = self.ruleset.take().ok_or(Errno::EINVAL)?;
                let result = landlock::restrict(ruleset);
                file::close(ruleset);
                result
            }
            Step::Seccomp { program } => seccomp::load(program),
            _ => Err(Errno::EINVAL),
        }
    }
}
