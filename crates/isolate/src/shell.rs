//! The part of a sandbox that is the same for all tasks, built before a task is known.
//!
//! INVARIANT (empty-shell): a shell holds no input, key, network, workload or tenant, and no process of anybody
//! else's; what waits in it is the launcher. It becomes a sandbox only by [`Sandbox::build`](crate::Sandbox::build),
//! which takes a grant, and is used once.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::Child;

use hotcell_launcher::message::Message;
use hotcell_policy::SystemView;

use crate::cgroup::Group;
use crate::control::Control;
use crate::error::IsolateError;
use crate::ids::OuterId;
use crate::plan::Plan;
use crate::sandbox::{Live, Omitted, step_error};

/// A shell: namespaces and a root file system with what everybody sees, waiting to be claimed.
///
/// Dropping it ends it.
#[derive(Debug)]
pub struct Shell {
    /// Taken by whoever claims it.
    control: Option<Control>,
    launcher: Child,
    plan: Plan,
    view: SystemView,
    omitted: Omitted,
    outer: Option<OuterId>,
}

impl Shell {
    /// Starts a shell with the system's usual view; it builds itself while the caller goes on.
    ///
    /// `seed` is random, for choosing ids.
    ///
    /// # Errors
    /// When the launcher cannot be started, or no user id be taken.
    ///
    /// # Requires
    /// User namespaces; what the host lacks is told when the shell is claimed.
    pub fn start(seed: [u8; 8]) -> Result<Self, IsolateError> {
        Self::with(&SystemView::Host, &Omitted::default(), Path::new("/"), seed)
    }

    /// The same with this view, and without these walls; `state` is left in sight where the mount namespace is
    /// one of them.
    pub(crate) fn with(
        view: &SystemView,
        omitted: &Omitted,
        state: &Path,
        seed: [u8; 8],
    ) -> Result<Self, IsolateError> {
        let is_root = crate::host::is_root_of_the_host();
        let wrap = |source| IsolateError::Host { what: "taking a user id for the sandbox", source };
        let outer = if is_root { Some(OuterId::take(seed).map_err(wrap)?) } else { None };
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let ids = outer.as_ref().map_or(own, |outer| (outer.id(), outer.id()));
        let plan = Plan::shell(view, omitted, is_root, ids, state)?;
        let (control, launcher) = Control::start(&plan.bytes)?;
        Ok(Self { control: Some(control), launcher, plan, view: view.clone(), omitted: omitted.clone(), outer })
    }

    /// Whether it is what a task with this view needs.
    pub(crate) fn fits(&self, view: &SystemView, omitted: &Omitted) -> bool {
        self.view == *view && self.omitted == *omitted
    }

    /// The user id outside; none where it is the caller's own.
    pub(crate) fn outer(&self) -> Option<u32> {
        self.outer.as_ref().map(OuterId::id)
    }

    /// The steps that it takes by itself.
    pub(crate) fn steps(&self) -> u64 {
        self.plan.count()
    }

    /// Hands it the rest of its plan, and what comes along with it.
    ///
    /// Into a control group of version 2 the host puts its first process, before it goes on: from inside, where that is
    /// nobody's id, neither the group nor the one above it may be written to.
    pub(crate) fn claim(
        mut self,
        plan: &Plan,
        along: &[BorrowedFd<'_>],
        group: Option<&Group>,
    ) -> Result<Claimed, IsolateError> {
        let control = self.control.take().ok_or(IsolateError::Launcher { what: "was claimed twice" })?;
        let live = match group.filter(|group| group.v2_folder().is_some()) {
            Some(group) => {
                let live = self.birth(control)?;
                let wrap = |source| IsolateError::Host { what: "putting the sandbox into its control group", source };
                group.take_in(live.pid).map_err(wrap)?;
                let handed = live.control.hand(&plan.bytes, along);
                handed.map_err(|error| self.last_word(&live).unwrap_or(error))?;
                live
            }
            None => {
                let handed = control.hand(&plan.bytes, along);
                let live = self.birth(control)?;
                handed.map_err(|error| self.last_word(&live).unwrap_or(error))?;
                live
            }
        };
        Ok(Claimed { live, plan: std::mem::take(&mut self.plan), outer: self.outer.take() })
    }

    /// Why a shell that takes no plan any more has ended: it says so before it does.
    fn last_word(&self, live: &Live) -> Option<IsolateError> {
        match live.control.receive().ok()?.message {
            Message::Failed { step, errno } => Some(step_error(self.plan.step_name(step), errno)),
            _ => None,
        }
    }

    /// Waits until the launcher has given birth to the first process.
    fn birth(&mut self, control: Control) -> Result<Live, IsolateError> {
        let received = control.receive();
        self.launcher.wait().map_err(|source| IsolateError::Host { what: "waiting for the launcher", source })?;
        let received = received?;
        match (received.message, received.fd) {
            (Message::Born { pid }, Some(pidfd)) => Ok(Live { control, pidfd, pid: i32::try_from(pid).unwrap_or(0) }),
            (Message::Failed { step, errno }, _) => Err(step_error(self.plan.step_name(step), errno)),
            _ => Err(IsolateError::Launcher { what: "spoke out of turn" }),
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            // What lives is killed by its own drop.
            let _ = self.birth(control);
        }
    }
}

/// A shell that is about to become a sandbox.
pub(crate) struct Claimed {
    pub(crate) live: Live,
    pub(crate) plan: Plan,
    pub(crate) outer: Option<OuterId>,
}
