//! The part of a sandbox that is the same for all tasks, built before a task is known.
//!
//! INVARIANT (empty-shell): a shell holds no input, key, network, workload or tenant, and no process of anybody
//! else's; what waits in it is the launcher. It becomes a sandbox only by [`Sandbox::build`](crate::Sandbox::build),
//! which takes a grant, and is used once.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use hotcell_launcher::message::Message;
use hotcell_policy::SystemView;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cgroup::Group;
use crate::control::{Control, Launcher};
use crate::error::IsolateError;
use crate::ids::OuterId;
use crate::plan::{End, Plan};
use crate::sandbox::{Live, Omitted, step_error};

/// A shell: namespaces and a root file system with what everybody sees, waiting to be claimed.
///
/// Dropping it ends it.
#[derive(Debug)]
pub struct Shell {
    /// Taken by whoever claims it.
    pub(crate) stage: Option<Stage>,
    pub(crate) plan: Plan,
    view: SystemView,
    omitted: Omitted,
    pub(crate) outer: Option<OuterId>,
    sight: Sight,
    end: End,
}

/// Whether a shell that waits still sees the host's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It does, to mount some of them. A claim ends that.
    Open,
    /// It has left them behind: what it will show comes along with the claim, or is made by it.
    Closed,
}

/// How far a shell has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The launcher is about to give birth to the first process.
    Unborn {
        /// The host's end of the control socket.
        control: Control,
        /// The launcher.
        launcher: Launcher,
    },
    /// The first process exists, and builds or waits.
    Born(Live),
}

impl Shell {
    /// Starts a shell with the system's usual view; it builds itself while the caller goes on. It ends with this thread.
    ///
    /// `seed` is random, for choosing ids.
    ///
    /// # Errors
    /// When the launcher cannot be started, or no user id be taken.
    ///
    /// # Requires
    /// User namespaces; what the host lacks is told when the shell is claimed.
    pub fn start(seed: [u8; 8]) -> Result<Self, IsolateError> {
        Self::with(&SystemView::Host, &Omitted::default(), Path::new("/"), seed, Sight::Open, End::WithParent)
    }

    /// The same, with the host's files left behind: sooner ready once it is claimed. It fits tasks that show none of
    /// them; as root also those that do, because their mounts come along; none with a terminal.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_closed(seed: [u8; 8]) -> Result<Self, IsolateError> {
        Self::with(&SystemView::Host, &Omitted::default(), Path::new("/"), seed, Sight::Closed, End::WithParent)
    }

    /// The same for a pool: it may be claimed by another thread, or handed to another process, and ends with whoever
    /// holds it then. Returns when its first process exists.
    ///
    /// # Errors
    /// As [`start`](Self::start), and what hindered the launcher.
    pub fn start_for_a_pool(seed: [u8; 8]) -> Result<Self, IsolateError> {
        let (view, omitted) = (SystemView::Host, Omitted::default());
        let mut shell = Self::with(&view, &omitted, Path::new("/"), seed, Sight::Open, End::WithSocket)?;
        shell.await_birth()?;
        Ok(shell)
    }

    /// The same with this view, and without these walls; `state` is left in sight where the mount namespace is
    /// one of them.
    pub(crate) fn with(
        view: &SystemView,
        omitted: &Omitted,
        state: &Path,
        seed: [u8; 8],
        sight: Sight,
        end: End,
    ) -> Result<Self, IsolateError> {
        // It is executed while its plan is made.
        let (control, mut launcher) = Control::begin_elsewhere()?;
        let is_root = crate::host::is_root_of_the_host();
        let wrap = |source| IsolateError::Host { what: "taking a user id for the sandbox", source };
        let outer = if is_root { Some(OuterId::take(seed).map_err(wrap)?) } else { None };
        let plan = Plan::shell(view, omitted, is_root, ids(outer.as_ref()), state, sight, end)?;
        launcher.take_plan(&control, &plan.bytes)?;
        let (stage, view, omitted) = (Some(Stage::Unborn { control, launcher }), view.clone(), omitted.clone());
        Ok(Self { stage, plan, view, omitted, outer, sight, end })
    }

    /// One that another process of this build started, for the system's usual view.
    pub(crate) fn taken_over(live: Live, plan: Plan, outer: Option<OuterId>) -> Self {
        let (stage, view, omitted) = (Some(Stage::Born(live)), SystemView::Host, Omitted::default());
        Self { stage, plan, view, omitted, outer, sight: Sight::Open, end: End::WithSocket }
    }

    /// Whether it waited in a pool.
    pub(crate) fn is_of_a_pool(&self) -> bool {
        self.end == End::WithSocket
    }

    /// Whether it is what a task with this view needs.
    pub(crate) fn fits(&self, view: &SystemView, omitted: &Omitted, sight: Sight) -> bool {
        self.view == *view && self.omitted == *omitted && (self.sight == Sight::Open || sight == Sight::Closed)
    }

    /// Whether it still sees the host's files.
    pub(crate) fn sight(&self) -> Sight {
        self.sight
    }

    /// Whether it waits, or still builds itself: it says nothing until it is claimed, unless it ends.
    pub fn is_alive(&self) -> bool {
        match &self.stage {
            Some(Stage::Born(live)) => {
                let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
                poll(&mut [PollFd::new(&live.control, PollFlags::IN)], Some(&at_once)) == Ok(0)
            }
            Some(Stage::Unborn { .. }) => true,
            None => false,
        }
    }

    /// Becomes readable when it ends; none before its birth.
    pub fn end(&self) -> Option<BorrowedFd<'_>> {
        match &self.stage {
            Some(Stage::Born(live)) => Some(live.control.as_fd()),
            _ => None,
        }
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
        match (&self.stage, group.filter(|group| group.v2_folder().is_some())) {
            // It is handed the plan before the launcher says that it is born: less waiting.
            (Some(Stage::Unborn { control, .. }), None) => {
                let handed = control.hand(&plan.bytes, along);
                self.await_birth()?;
                handed.map_err(|error| self.last_word().unwrap_or(error))?;
            }
            (_, group) => {
                let live = self.await_birth()?;
                let wrap = |source| IsolateError::Host { what: "putting the sandbox into its control group", source };
                group.map_or(Ok(()), |group| group.take_in(live.pid)).map_err(wrap)?;
                let handed = live.control.hand(&plan.bytes, along);
                handed.map_err(|error| self.last_word().unwrap_or(error))?;
            }
        }
        match self.stage.take() {
            Some(Stage::Born(live)) => {
                Ok(Claimed { live, plan: std::mem::take(&mut self.plan), outer: self.outer.take() })
            }
            _ => Err(IsolateError::Launcher { what: "was claimed twice" }),
        }
    }

    /// Why a shell that takes no plan any more has ended: it says so before it does.
    fn last_word(&self) -> Option<IsolateError> {
        let Some(Stage::Born(live)) = &self.stage else { return None };
        match live.control.receive().ok()?.message {
            Message::Failed { step, errno } => Some(step_error(self.plan.step_name(step), errno)),
            _ => None,
        }
    }

    /// Waits until the launcher has given birth to the first process.
    fn await_birth(&mut self) -> Result<&Live, IsolateError> {
        if let Some(Stage::Unborn { .. }) = &self.stage
            && let Some(Stage::Unborn { control, launcher }) = self.stage.take()
        {
            self.stage = Some(Stage::Born(self.birth(control, launcher)?));
        }
        match &self.stage {
            Some(Stage::Born(live)) => Ok(live),
            _ => Err(IsolateError::Launcher { what: "was claimed twice" }),
        }
    }

    fn birth(&self, control: Control, mut launcher: Launcher) -> Result<Live, IsolateError> {
        let received = control.receive();
        launcher.wait()?;
        let received = received?;
        match (received.message, received.fd) {
            (Message::Born { pid }, Some(pidfd)) => {
                Ok(Live { control, pidfd, pid: i32::try_from(pid).unwrap_or(0), handed_over: false })
            }
            (Message::Failed { step, errno }, _) => Err(step_error(self.plan.step_name(step), errno)),
            _ => Err(IsolateError::Launcher { what: "spoke out of turn" }),
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // What lives is killed by its own drop.
        let _ = self.await_birth();
    }
}

/// User and group outside: those of an id that was taken, or our own.
pub(crate) fn ids(outer: Option<&OuterId>) -> (u32, u32) {
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    outer.map_or(own, |outer| (outer.id(), outer.id()))
}

/// A shell that is about to become a sandbox.
pub(crate) struct Claimed {
    pub(crate) live: Live,
    pub(crate) plan: Plan,
    pub(crate) outer: Option<OuterId>,
}
