//! The locks that the workload's process puts on itself.

use hotcell_sys::harden::Hardening;
use hotcell_sys::{Errno, Fd, Result, file, landlock, process, seccomp};

use crate::plan::Step;
use crate::probe::{namespace_number, only_loopback};

/// The Landlock ruleset at hand.
pub(crate) struct Lock {
    ruleset: Option<Fd>,
    /// Whether this process was seen to be alone on its network. Not seen is not alone.
    alone: bool,
}

impl Lock {
    pub(crate) fn new() -> Self {
        Self { ruleset: None, alone: false }
    }

    /// Turns one lock.
    pub(crate) fn turn(&mut self, step: Step<'_>) -> Result<()> {
        match step {
            Step::DropCapabilities {} => process::drop_capabilities(),
            Step::NoNewPrivileges {} => process::no_new_privileges(),
            Step::Harden { hardening } => {
                // What the kernel lacks is seen by the probe that reads it back, and judged by the host.
                let _ = Hardening::from_number(hardening).ok_or(Errno::EINVAL)?.set();
                Ok(())
            }
            Step::LookAround { host } => {
                // INVARIANT (alone-or-closed): the network is opened by what is seen here, never by what was
                // asked for. What cannot be seen leaves it closed.
                self.alone = is_alone(host);
                Ok(())
            }
            Step::Landlock { fs, net, net_in_company, scoped, abi } => {
                let net = if self.alone { net } else { net_in_company };
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
            Step::LandlockAllowPort { port, rights } => {
                // In company no port is granted.
                if !self.alone || rights == 0 {
                    return Ok(());
                }
                landlock::allow_port(self.ruleset.ok_or(Errno::EINVAL)?, rights, port)
            }
            Step::LandlockEnforce {} => {
                let ruleset = self.ruleset.take().ok_or(Errno::EINVAL)?;
                let result = landlock::restrict(ruleset);
                file::close(ruleset);
                result
            }
            Step::Seccomp { program, in_company } => seccomp::load(self.fitting(program, in_company)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Puts the filter in force that fits what was seen; gives the descriptor at which the kernel tells.
    pub(crate) fn filter_told(&self, program: &[u8], in_company: &[u8]) -> Result<Fd> {
        seccomp::load_listening(self.fitting(program, in_company))
    }

    fn fitting<'a>(&self, program: &'a [u8], in_company: &'a [u8]) -> &'a [u8] {
        if self.alone || in_company.is_empty() { program } else { in_company }
    }
}

/// Whether this is another network namespace than the host's, and holds nothing but the loopback interface.
fn is_alone(host: u64) -> bool {
    let own = namespace_number(c"/proc/self/ns/net").ok().and_then(|number| u64::try_from(number).ok());
    own.is_some_and(|own| own != 0 && host != 0 && own != host) && only_loopback().unwrap_or(false)
}
