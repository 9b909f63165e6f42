//! Building a sandbox up to the moment before its workload starts.

use std::ffi::OsString;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use hotcell_launcher::message::Message;
use hotcell_policy::{Demand, GrantUse, LimitKey, Rights, SystemView};
use hotcell_types::{Enforcement, Observation, TaskId, Wall};

use crate::cgroup::{Group, GroupLimits, group_name};
use crate::control::{Control, Received};
use crate::cores::{Cores, NoCores};
use crate::error::IsolateError;
use crate::host::Host;
use crate::ids::OuterId;
use crate::mounts::Mounts;
use crate::plan::{Along, Claim, End, Plan};
use crate::refusals::Listener;
use crate::run::Running;
use crate::scratch::{ScratchKind, Server};
use crate::shell::{Claimed, Shell, Sight};
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
    /// What is shown in place of the host's `/usr` and its like.
    pub image: Option<Image>,
    /// What is shown under `/input`.
    pub inputs: Vec<Input>,
    /// What is shown under `/model`.
    pub model: Option<ModelMount>,
    /// Its way to the network; none when absent.
    pub network: Option<Network>,
    /// Standard input; nothing when absent. A pipe or file of ours, never a terminal.
    pub stdin: Option<OwnedFd>,
    /// Whether the standard streams are a terminal of the sandbox's own, in place of pipes.
    pub terminal: bool,
    /// Whether calls that the filter refuses are told, and refused all the same: for a run from which is to be learned.
    pub told: bool,
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
        self.omitted.holds(wall)
    }

    /// What its shell has to see when it is claimed: as an ordinary user, what is to be shown; for a terminal, the
    /// host's device of terminals.
    fn sight(&self, host: &Host) -> Sight {
        let shows = !self.inputs.is_empty()
            || self.code.is_some()
            || self.image.is_some()
            || matches!(self.model, Some(ModelMount::Plain { .. }))
            || matches!(self.program, Program::Runner { .. });
        if self.terminal || (shows && !host.is_root) { Sight::Open } else { Sight::Closed }
    }

    /// What is seen of the host's system: nothing where an image takes its place.
    pub(crate) fn view(&self, rights: &Rights) -> SystemView {
        if self.image.is_some() { SystemView::None } else { rights.system_view() }
    }
}

/// Walls that are left out on purpose.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Omitted(Vec<Wall>);

impl Omitted {
    pub(crate) fn holds(&self, wall: Wall) -> bool {
        self.0.contains(&wall)
    }
}

#[cfg(feature = "danger")]
impl Omitted {
    /// Leaves out these walls: for tests that prove what a wall is good for, and for nothing else.
    pub fn dangerous_without(walls: &[Wall]) -> Self {
        // The marker by which a test sees that a release binary lacks this function.
        std::hint::black_box("HOTCELL-DANGEROUS-WITHOUT-WALLS");
        Self(walls.to_vec())
    }
}

/// An image that was unpacked: the sandbox's system.
#[derive(Debug, Clone)]
pub struct Image {
    /// The folder with its files.
    pub root: PathBuf,
    /// Where the workload starts, absolute and inside, unless there is code.
    pub working_dir: Option<String>,
}

/// A way to the network: what is served inside of it, by whoever is handed the sockets.
///
/// No address outside can be reached from inside, with it or without. A network of made-up addresses is added to the
/// loopback interface, and sockets are opened there which are served from outside.
#[derive(Debug, Clone)]
pub struct Network {
    /// An address of that network: the resolver's.
    pub resolver: Ipv4Addr,
    /// Its mask.
    pub mask: Ipv4Addr,
    /// The sockets to open, in order.
    pub sockets: Vec<NetworkSocket>,
    /// Certificates that programs inside are to trust, as text: in a file of its own, and in place of the system's.
    pub certificates: Vec<u8>,
}

/// One socket of that network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkSocket {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// Whether it takes datagrams; else connections.
    pub datagrams: bool,
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

/// A sandbox that is being built.
#[derive(Debug)]
pub struct Building {
    parts: Parts,
    is_scratch_served: bool,
    outputs: Option<OwnedFd>,
    scratch: Option<OwnedFd>,
    /// The sockets of its network, as they come.
    sockets: Vec<OwnedFd>,
    /// Whether it waits for the host's word, because there is a model to be filled.
    is_waiting: bool,
    model_sink: Option<File>,
    /// The streams, where they are pipes.
    pipes: Option<Streams>,
    /// Both ends of the terminal, as they come.
    terminal: Vec<OwnedFd>,
    refusals: Option<Listener>,
    claim: Claim,
    is_of_a_pool: bool,
}

/// A sandbox whose walls have been seen to stand.
#[derive(Debug)]
pub struct Prepared {
    parts: Parts,
    writable: Writable,
    streams: Streams,
    refusals: Option<Listener>,
    observations: Vec<Observation>,
    sockets: Vec<OwnedFd>,
}

/// What the workload can write to, by descriptor.
#[derive(Debug)]
pub(crate) struct Writable {
    pub(crate) outputs: OwnedFd,
    /// Scratch in memory; an encrypted one is its server's.
    pub(crate) scratch: Option<OwnedFd>,
}

/// The living part of a sandbox. Dropping it kills the sandbox.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) control: Control,
    pub(crate) pidfd: OwnedFd,
    /// Id of the first process, outside.
    pub(crate) pid: i32,
    /// Whether it is another process's now, and no longer ours to kill.
    pub(crate) handed_over: bool,
}

/// What must be undone at the end, in the order in which it is dropped: groups can be removed only once
/// everything in them is dead.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) live: Live,
    pub(crate) scratch: Scratch,
    pub(crate) group: Option<Group>,
    pub(crate) outer: Option<OuterId>,
    pub(crate) host: Host,
    pub(crate) limits: hotcell_policy::Limits,
    pub(crate) memory_watched: bool,
    /// Whether inputs were copied into memory.
    pub(crate) copied: bool,
    /// Cores that are its own until the end.
    pub(crate) cores: Option<Cores>,
    pub(crate) names: StepNames,
}

/// Where scratch lives, and its server where it has one.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) kind: ScratchKind,
    pub(crate) server: Option<Server>,
}

/// Names of all steps, for errors: the shell's plan and the claim's.
#[derive(Debug)]
pub(crate) struct StepNames {
    shell: Plan,
    claim: Plan,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plan({} bytes)", self.bytes.len())
    }
}

impl StepNames {
    pub(crate) fn error(&self, message: Message) -> IsolateError {
        match message {
            Message::Failed { step, errno } => {
                let name = self.shell.step_name(step);
                step_error(name.or_else(|| self.claim.step_name(step - self.shell.count())), errno)
            }
            _ => IsolateError::Launcher { what: "spoke out of turn" },
        }
    }
}

pub(crate) fn step_error(step: Option<String>, errno: i64) -> IsolateError {
    let errno = hotcell_sys::Errno(i32::try_from(errno).unwrap_or(0));
    let step = step.unwrap_or_else(|| "an unknown step".to_owned());
    if errno == hotcell_sys::Errno::EAGAIN && (step.starts_with("Namespaces") || step.starts_with("Workload")) {
        let source = std::io::Error::from_raw_os_error(errno.0);
        return IsolateError::ProcessTable { what: "the sandbox", source };
    }
    if step.starts_with("Fuse") {
        return IsolateError::Scratch {
            why: format!("mounting the encrypted volume failed ({errno})"),
            remedy: crate::scratch::FUSE_REMEDY.into(),
        };
    }
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
    /// Builds the sandbox: of this shell, or of one of its own where there is none that fits.
    ///
    /// It comes back while the sandbox still builds itself; with a model to be opened, when it waits for it.
    ///
    /// # Errors
    /// [`IsolateError`]; nothing of the sandbox is left then.
    ///
    /// # Requires
    /// User namespaces. Where mounts cannot map ids, inputs of root that not everyone may read are copied into memory.
    pub fn build(grant: &GrantUse, mut spec: Spec, shell: Option<Shell>) -> Result<Building, IsolateError> {
        let host = Host::look().map_err(|source| IsolateError::Host { what: "looking at the host", source })?;
        refuse_missing(grant, &host)?;
        let devices = crate::devices::look(grant.rights(), &host)?;
        let cores = take_cores(grant, &spec, &host)?;
        let view = spec.view(grant.rights());
        let sight = if devices.is_empty() { spec.sight(&host) } else { Sight::Open };
        let shell = match shell.filter(|shell| shell.fits(&view, &spec.omitted, sight) && shell.is_alive()) {
            Some(shell) => shell,
            None => Shell::with(&view, &spec.omitted, &spec.state, spec.seed, sight, End::WithParent)?,
        };
        let is_of_a_pool = shell.is_of_a_pool();
        let limits = grant.profile().limits().clone();
        let outer = shell.outer().unwrap_or(host.ids.0);
        let mounts = Mounts::open(&spec, grant.rights(), &host, outer)?;
        let group = make_group(grant, &spec, &host)?;
        let wrap = |source| IsolateError::Host { what: "opening the control group", source };
        let joined = group.as_ref().map(Group::tasks_files).unwrap_or_default();
        let joined: Vec<File> =
            joined.iter().map(|path| File::options().write(true).open(path)).collect::<Result<_, _>>().map_err(wrap)?;

        let (pipes, theirs) = match spec.terminal {
            true => (None, streams::nothing()?),
            false => {
                let (ours, theirs) = streams::pipes(spec.stdin.take())?;
                (Some(ours), theirs)
            }
        };
        let kind = crate::scratch::choose(grant.profile(), &host)?;
        // It comes up while the sandbox is built.
        let server = match kind {
            ScratchKind::Memory => None,
            ScratchKind::Encrypted => Some(Server::start(&host, &spec.state, limits.scratch(), group.as_ref())?),
        };
        // In the order of their places: the streams, the mounts, the groups.
        let mut along: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
        along.extend(mounts.trees());
        let first_group = along.len() as u64 + 1;
        along.extend(joined.iter().map(AsFd::as_fd));
        let places = Along {
            mounts: &mounts,
            joined: first_group..first_group + joined.len() as u64,
            scratch: kind,
            devices: &devices,
            cores: cores.as_ref(),
            sight: shell.sight(),
        };
        let mut claim = Plan::claim(grant, &spec, &host, &places, shell.steps())?;
        let Claimed { live, plan, outer } = shell.claim(&claim.plan, &along, group.as_ref())?;
        let memory_watched = !host.cgroups.has_memory();
        let names = StepNames { shell: plan, claim: std::mem::take(&mut claim.plan) };
        let copied = mounts.copies_place().is_some();
        let scratch = Scratch { kind, server };
        let parts = Parts { live, scratch, group, outer, host, limits, memory_watched, copied, cores, names };
        let is_waiting = claim.model_step.is_some();
        let mut building = Building {
            parts,
            is_scratch_served: false,
            outputs: None,
            scratch: None,
            sockets: Vec::new(),
            is_waiting,
            model_sink: None,
            pipes,
            terminal: Vec::new(),
            refusals: None,
            claim,
            is_of_a_pool,
        };
        // The sandbox can do nothing in its scratch before the server has it.
        while kind == ScratchKind::Encrypted && !building.is_scratch_served {
            building.hear()?;
        }
        while is_waiting && !matches!(building.hear()?.message, Message::Waiting) {}
        Ok(building)
    }
}

impl Building {
    /// The file to write the opened model to, once. It must be closed before [`lock`](Self::lock).
    pub fn model_sink(&mut self) -> Option<File> {
        self.model_sink.take()
    }

    /// Whether its shell waited in a pool.
    pub fn is_of_a_pool(&self) -> bool {
        self.is_of_a_pool
    }

    /// Where scratch lives.
    pub fn scratch(&self) -> ScratchKind {
        self.parts.scratch.kind
    }

    /// The control groups, which stay when this process is killed.
    pub fn group_folders(&self) -> Vec<PathBuf> {
        self.parts.group.as_ref().map(Group::all_folders).unwrap_or_default()
    }

    /// Locks the sandbox and looks, from inside, whether every wall stands.
    ///
    /// # Errors
    /// [`IsolateError::WallsDown`] when one that the grant requires does not.
    pub fn lock(self, grant: &GrantUse) -> Result<Prepared, IsolateError> {
        self.lock_while(grant, || {}).map(|(prepared, ())| prepared)
    }

    /// The same; `meanwhile` runs on the host while the sandbox looks at itself.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_while<T>(
        mut self,
        grant: &GrantUse,
        meanwhile: impl FnOnce() -> T,
    ) -> Result<(Prepared, T), IsolateError> {
        drop(self.model_sink.take());
        if self.is_waiting {
            self.parts.live.control.go()?;
        }
        let made = meanwhile();
        // It joins its groups before it hands over the output folder: they are looked at while it looks at itself.
        let mut groups = None;
        let answers = loop {
            let received = self.hear()?;
            match received.message {
                Message::Observed { .. } => break received.answers,
                _ if self.outputs.is_some() && groups.is_none() => groups = Some(self.parts.observe_groups()),
                _ => {}
            }
        };
        let mut terminal = std::mem::take(&mut self.terminal).into_iter();
        let streams = match (self.pipes.take(), terminal.next(), terminal.next()) {
            (Some(pipes), None, _) => Some(pipes),
            (None, Some(controller), Some(follower)) => Some(Streams::Terminal { controller, follower }),
            _ => None,
        };
        let scratch = self.scratch.take();
        let (Some(outputs), Some(streams)) = (self.outputs.take(), streams) else {
            return Err(IsolateError::Launcher { what: "left out a descriptor" });
        };
        let mut observations = self.claim.preflight.judge(&answers, &self.parts.host, self.parts.live.pid);
        observations.extend(groups.unwrap_or_else(|| self.parts.observe_groups()));
        observations.extend(self.parts.observe_processors());
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
        let writable = Writable { outputs, scratch };
        let sockets = std::mem::take(&mut self.sockets);
        if sockets.len() as u64 != self.claim.socket_steps.end - self.claim.socket_steps.start {
            return Err(IsolateError::Launcher { what: "left out a socket" });
        }
        Ok((Prepared { parts: self.parts, writable, streams, refusals: self.refusals, observations, sockets }, made))
    }

    /// The next message of the sandbox that builds itself; descriptors that come along are kept.
    fn hear(&mut self) -> Result<Received, IsolateError> {
        let mut received = self.parts.live.control.receive()?;
        match received.message {
            Message::Handed { step } if step == self.claim.output_step => self.outputs = received.fd.take(),
            Message::Handed { step } if Some(step) == self.claim.scratch_step => self.scratch = received.fd.take(),
            Message::Handed { step } if Some(step) == self.claim.terminal_step => {
                self.terminal.extend(received.fd.take())
            }
            Message::Handed { step } if Some(step) == self.claim.told_step => {
                let listener = received.fd.take().map(Listener::start).transpose();
                self.refusals =
                    listener.map_err(|source| IsolateError::Host { what: "listening for refused calls", source })?;
            }
            Message::Handed { step } if Some(step) == self.claim.fuse_step => {
                if let (Some(server), Some(device)) = (&mut self.parts.scratch.server, received.fd.take()) {
                    server.hand(device)?;
                    server.await_ready()?;
                    self.is_scratch_served = true;
                }
            }
            // They come in the order of their steps.
            Message::Handed { step } if self.claim.socket_steps.contains(&step) => {
                self.sockets.extend(received.fd.take())
            }
            Message::Handed { step } if Some(step) == self.claim.model_step => {
                self.model_sink = received.fd.take().map(File::from);
            }
            Message::Waiting | Message::Observed { .. } => {}
            message => return Err(self.parts.names.error(message)),
        }
        Ok(received)
    }
}

impl Prepared {
    /// What the preflight saw.
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// The sockets of its network, in the order in which they were asked for. Nobody else holds them.
    pub fn take_sockets(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.sockets)
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
        if let Some(refusals) = &self.refusals {
            refusals.begin();
        }
        self.parts.live.control.go()?;
        Ok(Running::new(self.parts, self.writable, self.streams, self.refusals))
    }
}

/// Cores of its own, where the profile asks for them.
fn take_cores(grant: &GrantUse, spec: &Spec, host: &Host) -> Result<Option<Cores>, IsolateError> {
    let profile = grant.profile();
    if !profile.own_cores() || spec.omits(Wall::OwnCores) {
        return Ok(None);
    }
    match Cores::take(profile.limits().cpu_millis(), host, &spec.state) {
        Ok(cores) => Ok(Some(cores)),
        Err(_) if grant.best_effort().contains(&Wall::OwnCores) => Ok(None),
        Err(NoCores::Taken { wanted, free, all }) => Err(IsolateError::HostLacks {
            wall: Wall::OwnCores,
            why: format!("cores for {wanted} processors are asked for, and of {all} cores {free} are free"),
            remedy: "wait until another task has ended, or ask for fewer: --limit cpu=1".into(),
        }),
        Err(NoCores::Failed(source)) => Err(IsolateError::Host { what: "taking cores", source }),
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
                let remedy = "use Linux 6.12 or newer with Landlock in the kernel's `lsm=` list (`hotcell doctor` says how); \
                              or --profile baseline-5.10, which does without Landlock and says so";
                return lack(Wall::Landlock, why, remedy);
            }
        }
    }
    if required.contains(&Wall::UserNamespace) && !host.is_root && crate::host::is_user_0_of_the_host() {
        let why = "this is user 0 of the host without the right to administer it: no other id outside can be had, and \
                   the workload would be user 0 there";
        let remedy = "run it as an ordinary user, or as root that may administer (CAP_SYS_ADMIN); `hotcell doctor` says \
                      what this host can enforce";
        return lack(Wall::UserNamespace, why.to_owned(), remedy);
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

fn make_group(grant: &GrantUse, spec: &Spec, host: &Host) -> Result<Option<Group>, IsolateError> {
    let limits = grant.profile().limits();
    if !host.cgroups.has_memory() && !host.cgroups.has_pids() && !host.cgroups.has_cpu() {
        return Ok(None);
    }
    let cpu = limits.cpu_millis();
    let wanted = GroupLimits {
        memory_bytes: limits.memory().bytes(),
        pids: pids_of_group(limits.pids()),
        // More than the host has needs no quota.
        cpu_millis: (cpu < host.processors * 1000 && !spec.omits(Wall::CpuLimit)).then_some(cpu),
    };
    let group = host.cgroups.make(&group_name(spec.task), &wanted);
    group.map(Some).map_err(|source| IsolateError::Host { what: "making a control group", source })
}

/// The first process of the sandbox is a member of the group too.
pub(crate) fn pids_of_group(pids: u64) -> u64 {
    pids + 1
}
