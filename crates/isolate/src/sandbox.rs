//! Building a sandbox up to the moment before its workload starts.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use hotcell_launcher::message::Message;
use hotcell_policy::{Demand, GrantUse, LimitKey};
use hotcell_types::{Enforcement, Observation, TaskId, Wall};

use crate::cgroup::{Group, GroupLimits, group_name};
use crate::control::{Control, Received};
use crate::error::IsolateError;
use crate::host::Host;
use crate::ids::OuterId;
use crate::plan::Plan;
use crate::run::Running;
use crate::streams::{self, Streams};

/// What is to be contained.
#[derive(Debug)]
pub struct Spec {
    /// The task.
    pub task: TaskId,
    /// What runs.
    pub program: Program,
    /// Environment on top of the small default one.
    pub environment: Vec<(OsString, OsString)>,
    /// Folder shown at `/code`, which is then the working directory.
    pub code: Option<PathBuf>,
    /// What is shown under `/input`.
    pub inputs: Vec<Input>,
    /// What is shown under `/model`.
    pub model: Option<ModelMount>,
    /// Standard input; nothing when absent. A pipe or file of ours, never a terminal.
    pub stdin: Option<OwnedFd>,
    /// Whether the standard streams are a terminal of the sandbox's own, in place of pipes.
    pub terminal: bool,
    /// Hotcell's own folder; the preflight looks that it cannot be seen.
    pub state: PathBuf,
    /// Random bytes, for choosing ids.
    pub seed: [u8; 8],
    /// Walls to leave out, to prove that a test can fail. Only the test kit can fill it.
    #[doc(hidden)]
    pub omitted: Omitted,
}

impl Spec {
    pub(crate) fn omits(&self, wall: Wall) -> bool {
        self.omitted.0.contains(&wall)
    }
}

/// Walls that are left out on purpose.
#[derive(Debug, Default)]
pub struct Omitted(Vec<Wall>);

#[cfg(feature = "danger")]
impl Omitted {
    /// Leaves out these walls: for tests that prove what a wall is good for, and for nothing else.
    pub fn dangerous_without(walls: &[Wall]) -> Self {
        // The marker by which a test sees that a release binary lacks this function.
        std::hint::black_box("HOTCELL-DANGEROUS-WITHOUT-WALLS");
        Self(walls.to_vec())
    }
}

/// One input.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name under `/input`.
    pub name: String,
    /// The file or folder outside.
    pub path: PathBuf,
}

/// What runs inside.
#[derive(Debug, Clone)]
pub enum Program {
    /// A program and its arguments, searched along the path inside.
    Command(Vec<OsString>),
    /// The built-in runner: this very program under another name.
    Runner {
        /// Its arguments.
        arguments: Vec<OsString>,
    },
}

/// How a model gets inside.
#[derive(Debug, Clone)]
pub enum ModelMount {
    /// A plain file or folder of the host.
    Plain {
        /// It.
        path: PathBuf,
    },
    /// A file that is filled while the sandbox is built, in a file system of the sandbox's own.
    Opened {
        /// Its name under `/model`.
        name: String,
        /// Its size in bytes.
        bytes: u64,
    },
}

/// Where sandboxes begin.
#[derive(Debug)]
pub struct Sandbox;

/// A sandbox whose file system stands; it waits for the host's word.
#[derive(Debug)]
pub struct Building {
    parts: Parts,
    model_sink: Option<File>,
    streams: Streams,
    trials: crate::preflight::Preflight,
    plan_names: PlanNames,
}

/// A sandbox whose walls have been seen to stand.
#[derive(Debug)]
pub struct Prepared {
    parts: Parts,
    streams: Streams,
    observations: Vec<Observation>,
    plan_names: PlanNames,
}

/// The living part of a sandbox. Dropping it kills the sandbox.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) control: Control,
    pub(crate) pidfd: OwnedFd,
    /// Id of the first process, outside.
    pub(crate) pid: i32,
}

/// What must be undone at the end, in the order in which it is dropped: groups can be removed only once
/// everything in them is dead.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) live: Live,
    pub(crate) group: Option<Group>,
    pub(crate) outputs: OwnedFd,
    pub(crate) scratch: OwnedFd,
    pub(crate) outer: Option<OuterId>,
    pub(crate) host: Host,
    pub(crate) limits: hotcell_policy::Limits,
    pub(crate) memory_watched: bool,
}

/// Names of the plan's steps, for errors.
#[derive(Debug)]
pub(crate) struct PlanNames(Plan);

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plan({} bytes)", self.bytes.len())
    }
}

impl PlanNames {
    pub(crate) fn error(&self, message: Message) -> IsolateError {
        match message {
            Message::Failed { step, errno } => step_error(self.0.step_name(step), errno),
            _ => IsolateError::Launcher { what: "spoke out of turn" },
        }
    }
}

fn step_error(step: String, errno: i64) -> IsolateError {
    let errno = hotcell_sys::Errno(i32::try_from(errno).unwrap_or(0));
    if step.starts_with("Namespaces") || step.starts_with("IdMount") && errno == hotcell_sys::Errno::EPERM {
        return IsolateError::HostLacks {
            wall: Wall::UserNamespace,
            why: format!("the kernel answered {errno} to making namespaces"),
            remedy: crate::host::NAMESPACE_REMEDY.into(),
        };
    }
    IsolateError::Step { step, errno }
}

impl Sandbox {
    /// Builds the sandbox up to the host's word.
    ///
    /// # Errors
    /// [`IsolateError`]; nothing of the sandbox is left then.
    ///
    /// # Requires
    /// User namespaces; as root also mounts with mapped ids for inputs that not everyone may read.
    pub fn build(grant: &GrantUse, spec: Spec) -> Result<Building, IsolateError> {
        let host = Host::look().map_err(|source| IsolateError::Host { what: "looking at the host", source })?;
        refuse_missing(grant, &host)?;
        let limits = grant.profile().limits().clone();
        let outer = take_id(&host, &spec)?;
        let outer_ids = outer.as_ref().map_or(host.ids, |outer| (outer.id(), outer.id()));
        let group = make_group(grant, &spec, &host)?;
        let v2 = open_v2(group.as_ref())?;
        let joined = group.as_ref().map(Group::tasks_files).unwrap_or_default();
        let plan = Plan::make(grant, &spec, &host, outer_ids, v2.is_some(), &joined)?;

        let theirs;
        let pipes;
        match spec.terminal {
            true => (pipes, theirs) = (None, streams::nothing()?),
            false => {
                let (ours, ends) = streams::pipes(spec.stdin)?;
                (pipes, theirs) = (Some(ours), ends);
            }
        }
        let control = Control::start(&plan.bytes, theirs.each_ref().map(AsFd::as_fd), v2.as_ref().map(AsFd::as_fd))?;
        drop(theirs);
        let names = PlanNames(plan);
        let mut born = None;
        let mut outputs = None;
        let mut scratch = None;
        let mut model_sink = None;
        let mut terminal = Vec::new();
        loop {
            let Received { message, fd, .. } = control.receive()?;
            match (message, fd) {
                (Message::Born { pid }, Some(fd)) => {
                    let pid = i32::try_from(pid).unwrap_or(0);
                    born = Some((pid, fd));
                }
                (Message::Handed { step }, Some(fd)) if Some(step) == names.0.output_step => outputs = Some(fd),
                (Message::Handed { step }, Some(fd)) if Some(step) == names.0.scratch_step => scratch = Some(fd),
                (Message::Handed { step }, Some(fd)) if Some(step) == names.0.model_step => {
                    model_sink = Some(File::from(fd))
                }
                (Message::Handed { step }, Some(fd)) if Some(step) == names.0.terminal_step => terminal.push(fd),
                (Message::Waiting, _) => break,
                (message, _) => return Err(names.error(message)),
            }
        }
        let mut terminal = terminal.into_iter();
        let streams = match (pipes, terminal.next(), terminal.next()) {
            (Some(pipes), None, _) => Some(pipes),
            (None, Some(controller), Some(follower)) => Some(Streams::Terminal { controller, follower }),
            _ => None,
        };
        let (Some((pid, pidfd)), Some(outputs), Some(scratch), Some(streams)) = (born, outputs, scratch, streams)
        else {
            return Err(IsolateError::Launcher { what: "left out a descriptor" });
        };
        let memory_watched = !host.cgroups.has_memory();
        let live = Live { control, pidfd, pid };
        let parts = Parts { live, group, outputs, scratch, outer, host, limits, memory_watched };
        let trials = names.0.preflight.clone();
        Ok(Building { parts, model_sink, streams, trials, plan_names: names })
    }
}

impl Building {
    /// The file to write the opened model to, once. It must be closed before [`lock`](Self::lock).
    pub fn model_sink(&mut self) -> Option<File> {
        self.model_sink.take()
    }

    /// The control groups, which stay when this process is killed.
    pub fn group_folders(&self) -> &[PathBuf] {
        self.parts.group.as_ref().map_or(&[], Group::folders)
    }

    /// Locks the sandbox and looks, from inside, whether every wall stands.
    ///
    /// # Errors
    /// [`IsolateError::WallsDown`] when one that the grant requires does not.
    pub fn lock(self, grant: &GrantUse) -> Result<Prepared, IsolateError> {
        self.lock_while(grant, || {})
    }

    /// The same; `meanwhile` runs on the host while the sandbox looks at itself.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_while(mut self, grant: &GrantUse, meanwhile: impl FnOnce()) -> Result<Prepared, IsolateError> {
        drop(self.model_sink.take());
        self.parts.live.control.go()?;
        meanwhile();
        let received = self.parts.live.control.receive()?;
        let Message::Observed { .. } = received.message else { return Err(self.plan_names.error(received.message)) };
        let mut observations = self.trials.judge(&received.answers, &self.parts.host);
        observations.extend(self.parts.observe_groups());
        observations.push(Observation {
            wall: Wall::WallLimit,
            tried: "the host's timer".into(),
            expected: "running".into(),
            seen: "running".into(),
            holds: true,
            enforcement: Enforcement::Full,
        });
        let required = grant.required_walls();
        let down: Vec<_> = observations.iter().filter(|o| !o.holds && required.contains(&o.wall)).cloned().collect();
        if !down.is_empty() {
            return Err(IsolateError::WallsDown { observations: down });
        }
        let Self { parts, streams, plan_names, .. } = self;
        Ok(Prepared { parts, streams, observations, plan_names })
    }
}

impl Prepared {
    /// What the preflight saw.
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// The controlling end of the workload's terminal, where it asked for one: what is written there is typed.
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        match &self.streams {
            Streams::Terminal { controller, .. } => Some(controller.as_fd()),
            Streams::Pipes { .. } => None,
        }
    }

    /// Starts the workload.
    ///
    /// # Errors
    /// When the sandbox is gone in the meantime.
    pub fn start(self) -> Result<Running, IsolateError> {
        self.parts.live.control.go()?;
        Ok(Running::new(self.parts, self.streams, self.plan_names))
    }
}

impl Parts {
    /// Sees from outside what cannot be seen from inside: the groups of the sandbox and their limits.
    fn observe_groups(&self) -> Vec<Observation> {
        let mut observations = Vec::new();
        let mut add = |wall: Wall, tried: &str, expected: u64, seen: Option<u64>| {
            let member = self.group.as_ref().is_some_and(|group| group.holds(self.live.pid));
            let holds = member && seen == Some(expected);
            observations.push(Observation {
                wall,
                tried: format!("{tried}, read outside"),
                expected: expected.to_string(),
                seen: match seen {
                    _ if !member => "the sandbox is not in the group".into(),
                    Some(seen) => seen.to_string(),
                    None => "nothing".into(),
                },
                holds,
                enforcement: if holds {
                    Enforcement::Full
                } else {
                    Enforcement::Absent { why: "the group does not hold it".into() }
                },
            });
        };
        if let Some(group) = &self.group {
            if self.host.cgroups.has_memory() {
                let limit = self.limits.memory().bytes().next_multiple_of(4096);
                add(Wall::MemoryLimit, "memory limit of the control group", limit, group.memory_limit());
            }
            if self.host.cgroups.has_pids() {
                add(Wall::PidsLimit, "process limit of the control group", self.limits.pids() + 1, group.pids_limit());
            }
        }
        observations
    }
}

/// Refuses before anything is made when a wall that the grant requires cannot be had in full.
fn refuse_missing(grant: &GrantUse, host: &Host) -> Result<(), IsolateError> {
    let required = grant.required_walls();
    let lack = |wall, why: String, remedy: &str| Err(IsolateError::HostLacks { wall, why, remedy: remedy.to_owned() });
    if required.contains(&Wall::Landlock) {
        match host.landlock() {
            Enforcement::Full => {}
            Enforcement::Partial { missing: why } | Enforcement::Absent { why } => {
                return lack(Wall::Landlock, why, "use Linux 6.12 or newer with Landlock in the kernel's `lsm=` list");
            }
        }
    }
    for (key, wall) in
        [(LimitKey::Memory, Wall::MemoryLimit), (LimitKey::Pids, Wall::PidsLimit), (LimitKey::Cpu, Wall::CpuLimit)]
    {
        let demanded = grant.profile().limits().of(key).enforcement() == Demand::Full;
        if let (true, true, Enforcement::Partial { missing }) = (demanded, required.contains(&wall), host.limit(wall)) {
            return lack(wall, missing, "run as root, or in a session whose control groups are delegated to you");
        }
    }
    Ok(())
}

fn take_id(host: &Host, spec: &Spec) -> Result<Option<OuterId>, IsolateError> {
    if !host.is_root {
        return Ok(None);
    }
    let folder = spec.state.join("ids");
    let wrap = |source| IsolateError::Host { what: "taking a user id for the sandbox", source };
    std::fs::create_dir_all(&folder).map_err(wrap)?;
    let [a, b, c, d, ..] = spec.seed;
    OuterId::take(&folder, u32::from_le_bytes([a, b, c, d])).map(Some).map_err(wrap)
}

fn make_group(grant: &GrantUse, spec: &Spec, host: &Host) -> Result<Option<Group>, IsolateError> {
    let limits = grant.profile().limits();
    if !host.cgroups.has_memory() && !host.cgroups.has_pids() {
        return Ok(None);
    }
    let cpu = limits.cpu_millis();
    let wanted = GroupLimits {
        memory_bytes: limits.memory().bytes(),
        pids: limits.pids() + 1,
        // More than the host has needs no quota.
        cpu_millis: (cpu < host.processors * 1000).then_some(cpu),
    };
    let group = host.cgroups.make(&group_name(spec.task), &wanted);
    group.map(Some).map_err(|source| IsolateError::Host { what: "making a control group", source })
}

fn open_v2(group: Option<&Group>) -> Result<Option<OwnedFd>, IsolateError> {
    let Some(folder) = group.and_then(Group::v2_folder) else { return Ok(None) };
    let file = File::open(folder).map_err(|source| IsolateError::Host { what: "opening the control group", source })?;
    Ok(Some(file.into()))
}
