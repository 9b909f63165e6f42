//! The preflight: which probes a sandbox answers before its workload starts, and what the answers mean.

use std::collections::BTreeMap;
use std::ffi::CString;

use hotcell_launcher::plan::Probe;
use hotcell_policy::{Access, GrantUse, Object};
use hotcell_sys::harden::Hardening;
use hotcell_sys::{Errno, limit};
use hotcell_types::{Enforcement, Observation, Wall};

use crate::error::IsolateError;
use crate::host::Host;
use crate::plan::{
    Along, CANARY, HOST_NAME, c_os, c_text, every_hardening, hardenings, is_hardened, is_without_clocks,
};
use crate::sandbox::{ModelMount, Spec};

/// One thing to try.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    wall: Wall,
    pub(crate) kind: Probe,
    pub(crate) text: CString,
    pub(crate) number: u64,
    expected: Expected,
}

/// What has to come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expected {
    Fails(Errno),
    Is(i64),
    IsNot(i64),
    AtMost(i64),
    /// A way of speculation is shut by force, or the processor does not have it.
    Shut,
    /// Whatever it is.
    Anything,
}

impl Expected {
    fn holds(&self, value: i64) -> bool {
        match self {
            Self::Fails(errno) => value == -i64::from(errno.0),
            Self::Is(number) => value == *number,
            // An error is no proof of anything.
            Self::IsNot(number) => value > 0 && value != *number,
            Self::AtMost(number) => (0..=*number).contains(&value),
            Self::Shut => value == 0 || value > 0 && value & (SPEC_DISABLE | SPEC_FORCE_DISABLE) != 0,
            Self::Anything => true,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Fails(errno) => errno.name().to_owned(),
            Self::Is(number) => number.to_string(),
            Self::IsNot(number) => format!("not {number}"),
            Self::AtMost(number) => format!("at most {number}"),
            Self::Shut => "shut by force, or not there".to_owned(),
            Self::Anything => "what the kernel has".to_owned(),
        }
    }
}

/// All trials of one sandbox, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preflight {
    trials: Vec<Trial>,
    /// How many of them are made before the filter, which refuses to read back what cannot be changed any more.
    before: usize,
}

/// `PR_SPEC_…` bits of an answer.
const SPEC_DISABLE: i64 = 4;
const SPEC_FORCE_DISABLE: i64 = 8;

/// `TIOCSTI` with high bits set: a filter that compares 64 bits lets it through, the kernel looks at 32.
const TIOCSTI_WITH_HIGH_BITS: u64 = 0xffff_ffff_0000_5412;

impl Preflight {
    pub(crate) fn of(grant: &GrantUse, spec: &Spec, host: &Host, along: &Along<'_>) -> Result<Self, IsolateError> {
        use Expected::{AtMost, Fails, Is, IsNot};
        let (profile, rights) = (grant.profile(), grant.rights());
        let image_folder = along.mounts.image_folder();
        let loopback = rights.over(&Object::Localhost).has(Access::Connect);
        let write_xor_execute = !rights.over(&Object::Memory).has(Access::Execute);
        let mut preflight = Self::default();
        for (wall, hardening) in hardenings(profile, write_xor_execute) {
            preflight.read_back(wall, hardening);
        }
        preflight.before = preflight.trials.len();
        let mut add = |wall: Wall, kind: Probe, text: CString, number: u64, expected: Expected| {
            preflight.trials.push(Trial { wall, kind, text, number, expected });
        };
        let none = CString::default();
        for (wall, name) in [
            (Wall::UserNamespace, "user"),
            (Wall::PidNamespace, "pid"),
            (Wall::MountNamespace, "mnt"),
            (Wall::NetworkNamespace, "net"),
            (Wall::IpcNamespace, "ipc"),
            (Wall::UtsNamespace, "uts"),
            (Wall::CgroupNamespace, "cgroup"),
        ] {
            let path = format!("/proc/self/ns/{name}");
            add(wall, Probe::Namespace, c_text(&path)?, 0, IsNot(own_namespace(&path)));
        }
        let own_pid = u64::from(std::process::id());
        add(Wall::UserNamespace, Probe::User, none.clone(), 0, Is(hotcell_launcher::plan::INNER_ID.into()));
        add(Wall::PidNamespace, Probe::Pid, none.clone(), 0, Is(2));
        add(Wall::PidNamespace, Probe::Signal, none.clone(), own_pid, Fails(Errno::ESRCH));
        add(Wall::MountNamespace, Probe::Exists, c_os(spec.state.as_os_str())?, 0, Fails(Errno::ENOENT));
        add(Wall::MountNamespace, Probe::Exists, c"/sys/kernel".into(), 0, Fails(Errno::ENOENT));
        add(Wall::NetworkNamespace, Probe::Interfaces, none.clone(), 0, Is(1));
        if loopback || spec.network.is_some() {
            add(Wall::NetworkNamespace, Probe::Connect, none.clone(), 0, Fails(Errno::ENETUNREACH));
        } else {
            add(Wall::Seccomp, Probe::Socket, none.clone(), 2, Fails(Errno::EPERM));
        }
        add(Wall::UtsNamespace, Probe::HostName, HOST_NAME.into(), 0, Is(1));
        add(Wall::ReadOnly, Probe::MakeDir, c"/.made".into(), 0, Fails(Errno::EROFS));
        for input in &spec.inputs {
            add(Wall::ReadOnly, Probe::Touch, c_text(&format!("/input/{}", input.name))?, 0, Fails(Errno::EROFS));
        }
        if let Some(folder) = image_folder {
            add(Wall::ReadOnly, Probe::Touch, c_text(&format!("/{folder}"))?, 0, Fails(Errno::EROFS));
        }
        if spec.code.is_some() {
            add(Wall::ReadOnly, Probe::Touch, c"/code".into(), 0, Fails(Errno::EROFS));
        }
        if matches!(spec.model, Some(ModelMount::Opened { .. })) {
            add(Wall::ReadOnly, Probe::Touch, c"/model".into(), 0, Fails(Errno::EROFS));
        }
        // Where both may be executed there is nothing to see of it.
        let mut written =
            ["/output", "/scratch"].into_iter().filter(|path| !rights.over_path(path).has(Access::Execute));
        if let (Some(first), Some(last)) = (written.clone().next(), written.next_back()) {
            add(Wall::NoExec, Probe::MapExecutable, c_text(&format!("{last}/.mapped"))?, 0, Fails(Errno::EPERM));
            add(Wall::NoExec, Probe::ExecuteFile, c_text(&format!("{first}/.executed"))?, 0, Fails(Errno::EACCES));
        }
        for device in along.devices.iter().filter(|device| device.is_read_only()) {
            add(Wall::Landlock, Probe::OpenToWrite, c_text(device.node())?, 0, Fails(Errno::EACCES));
        }
        if write_xor_execute {
            add(Wall::Seccomp, Probe::MapWritableCode, none.clone(), 0, Fails(Errno::EPERM));
        }
        if is_without_clocks(profile, spec) {
            add(Wall::NoClocks, Probe::Clock, none.clone(), 0, Fails(Errno::EPERM));
            add(Wall::NoClocks, Probe::CycleCounter, none.clone(), 0, Fails(Errno::EPERM));
        }
        if is_hardened(profile) {
            add(Wall::MountNamespace, Probe::Exists, c"/sys/class/powercap".into(), 0, Fails(Errno::ENOENT));
        }
        for set in [c"CapInh:", c"CapPrm:", c"CapEff:", c"CapBnd:", c"CapAmb:"] {
            add(Wall::Capabilities, Probe::Status, set.into(), 0, Is(0));
        }
        add(Wall::NoNewPrivs, Probe::Status, c"NoNewPrivs:".into(), 0, Is(1));
        add(Wall::Landlock, Probe::Open, CANARY.into(), 0, Fails(Errno::EACCES));
        if !spec.omits(Wall::Seccomp) {
            // Where they succeed they stay in force, and the workload would be another process than without them.
            add(Wall::Seccomp, Probe::NewUserNamespace, none.clone(), 0, Fails(Errno::EPERM));
            add(Wall::Seccomp, Probe::Trace, none.clone(), 0, Fails(Errno::EPERM));
        }
        add(Wall::Seccomp, Probe::Ioctl, none.clone(), TIOCSTI_WITH_HIGH_BITS, Fails(Errno::EPERM));
        if cfg!(target_arch = "x86_64") {
            add(Wall::Seccomp, Probe::X32, none.clone(), 0, Fails(Errno::EPERM));
        }
        add(Wall::Seccomp, Probe::Keyring, none.clone(), 0, Fails(Errno::EPERM));
        add(Wall::Descriptors, Probe::Descriptors, none.clone(), 0, Is(3));
        add(Wall::Environment, Probe::Environment, none.clone(), 0, Is(0));
        add(Wall::CoreDumps, Probe::Limit, none.clone(), limit::CORE.into(), Is(0));
        let limits = profile.limits();
        let most = |value: u64| AtMost(i64::try_from(value).unwrap_or(i64::MAX));
        add(Wall::PidsLimit, Probe::Limit, none.clone(), limit::NPROC.into(), most(limits.pids() + 1));
        if !host.cgroups.has_memory() {
            add(Wall::MemoryLimit, Probe::Limit, none.clone(), limit::DATA.into(), most(limits.memory().bytes()));
        }
        let scratch = limits.scratch().bytes().next_multiple_of(4096);
        let output = limits.output().bytes().next_multiple_of(4096);
        add(Wall::StorageLimit, Probe::FileSystemSize, c"/scratch".into(), 0, most(scratch));
        add(Wall::StorageLimit, Probe::FileSystemSize, c"/output".into(), 0, most(output));
        Ok(preflight)
    }

    /// A look at everything that a profile can ask of the kernel beside its walls, and at nothing else.
    pub(crate) fn of_hardenings() -> Self {
        let mut preflight = Self::default();
        for (wall, hardening) in every_hardening() {
            preflight.read_back(wall, hardening);
        }
        preflight.before = preflight.trials.len();
        preflight
    }

    /// Each wall that was looked at, and what was seen of it where it does not stand.
    pub(crate) fn standing(&self, answers: &[i64]) -> BTreeMap<Wall, Result<(), String>> {
        let mut walls = BTreeMap::new();
        for (number, trial) in self.trials.iter().enumerate() {
            let answer = answers.get(number).copied();
            if answer.is_some_and(|value| trial.expected.holds(value)) {
                walls.entry(trial.wall).or_insert(Ok(()));
            } else {
                let seen = answer.map_or_else(|| "no answer".to_owned(), |value| show_answer(&trial.expected, value));
                walls.insert(
                    trial.wall,
                    Err(format!("{}: expected {}, seen {seen}", trial.show(), trial.expected.show())),
                );
            }
        }
        walls
    }

    /// What the kernel says of a hardening, before the filter.
    fn read_back(&mut self, wall: Wall, hardening: Hardening) {
        let expected = match hardening {
            Hardening::WriteXorExecute => Expected::Is(1),
            Hardening::StoreBypass | Hardening::IndirectBranch => Expected::Shut,
            Hardening::CacheFlush => Expected::Anything,
            Hardening::Core if crate::cores::has_siblings() => Expected::Is(1),
            // No processor shares a core with another.
            Hardening::Core => Expected::Anything,
            Hardening::Pages => Expected::Is(0),
        };
        let number = hardening as u64;
        self.trials.push(Trial { wall, kind: Probe::Hardening, text: CString::default(), number, expected });
    }

    pub(crate) fn before_the_filter(&self) -> &[Trial] {
        self.trials.get(..self.before).unwrap_or_default()
    }

    pub(crate) fn after_the_filter(&self) -> &[Trial] {
        self.trials.get(self.before..).unwrap_or_default()
    }

    /// What the answers mean. A missing answer is a wall that does not stand. `pid` is the first process, outside.
    pub(crate) fn judge(&self, answers: &[i64], host: &Host, pid: i32) -> Vec<Observation> {
        let mut observations: Vec<_> = self
            .trials
            .iter()
            .enumerate()
            .map(|(number, trial)| {
                let mut answer = answers.get(number).copied();
                let mut tried = trial.show();
                if trial.kind == Probe::Interfaces && answer == Some(-i64::from(Errno::ENOENT.0)) {
                    // Older kernels (5.10) show no network below a `/proc` of processes only.
                    answer = interfaces_of(pid);
                    tried.push_str(", read outside");
                }
                let holds = answer.is_some_and(|value| trial.expected.holds(value));
                Observation {
                    wall: trial.wall,
                    tried,
                    expected: trial.expected.show(),
                    seen: answer.map_or_else(|| "no answer".to_owned(), |value| show_answer(&trial.expected, value)),
                    holds,
                    enforcement: match trial.wall {
                        Wall::Landlock if !holds && host.landlock_abi == 0 => host.landlock(),
                        _ if !holds => Enforcement::Absent { why: "the preflight saw it down".into() },
                        _ if trial.is_unmet_wish(answer) => Enforcement::Partial {
                            missing: "the kernel does not flush the data cache for one process (l1d_flush=on)".into(),
                        },
                        Wall::Landlock => host.landlock(),
                        wall => host.limit(wall),
                    },
                }
            })
            .collect();
        observations.sort_by_key(|observation| observation.wall);
        observations
    }
}

impl Trial {
    /// Whether something that is taken where it is offered was not: neither on, nor needless.
    fn is_unmet_wish(&self, answer: Option<i64>) -> bool {
        const NOT_AFFECTED: i64 = 0;
        const ON: i64 = 3;
        self.kind == Probe::Hardening
            && Hardening::from_number(self.number) == Some(Hardening::CacheFlush)
            && !matches!(answer, Some(NOT_AFFECTED | ON))
    }

    fn show(&self) -> String {
        let text = self.text.to_string_lossy();
        match self.kind {
            Probe::Pid => "getpid()".into(),
            Probe::User => "getuid()".into(),
            Probe::Signal => format!("kill(the host's {}, 0)", self.number),
            Probe::Namespace => format!("readlink({text})"),
            Probe::Exists => format!("access({text})"),
            Probe::MakeDir => format!("mkdir({text})"),
            Probe::Touch => format!("utimensat({text})"),
            Probe::Open => format!("open({text})"),
            Probe::MapExecutable => format!("mmap({text}, PROT_EXEC)"),
            Probe::ExecuteFile => format!("execve({text})"),
            Probe::Status => format!("/proc/self/status {}", text.trim_end_matches(':')),
            Probe::NewUserNamespace => "unshare(CLONE_NEWUSER)".into(),
            Probe::X32 => "getpid by its x32 number".into(),
            Probe::Trace => "ptrace(PTRACE_TRACEME)".into(),
            Probe::Ioctl => "ioctl(TIOCSTI with high bits)".into(),
            Probe::Socket => "socket(AF_INET)".into(),
            Probe::Connect => "connect(192.0.2.1)".into(),
            Probe::Interfaces => "count of network interfaces".into(),
            Probe::Descriptors => "count of open descriptors".into(),
            Probe::Keyring => "keyctl(KEYCTL_GET_KEYRING_ID)".into(),
            Probe::Limit => format!("getrlimit({})", limit_name(self.number)),
            Probe::HostName => "uname()".into(),
            Probe::FileSystemSize => format!("statfs({text})"),
            Probe::Environment => "bytes of environment".into(),
            Probe::Hardening => match Hardening::from_number(self.number) {
                Some(Hardening::WriteXorExecute) => "prctl(PR_GET_MDWE)".into(),
                Some(Hardening::StoreBypass) => "speculative store bypass".into(),
                Some(Hardening::IndirectBranch) => "speculation over indirect branches".into(),
                Some(Hardening::CacheFlush) => "flush of the data cache".into(),
                Some(Hardening::Core) if self.expected == Expected::Anything => {
                    "cookie of a core with one thread".into()
                }
                Some(Hardening::Core) => "cookie of core scheduling".into(),
                Some(Hardening::Pages) => "merging of pages".into(),
                None => "a hardening".into(),
            },
            Probe::OpenToWrite => format!("open({text}) for writing"),
            Probe::MapWritableCode => "mmap(PROT_WRITE | PROT_EXEC)".into(),
            Probe::Clock => "clock_gettime()".into(),
            Probe::CycleCounter => "prctl(PR_SET_TSC, PR_TSC_ENABLE)".into(),
        }
    }
}

fn limit_name(number: u64) -> &'static str {
    match u32::try_from(number) {
        Ok(limit::CORE) => "RLIMIT_CORE",
        Ok(limit::NPROC) => "RLIMIT_NPROC",
        Ok(limit::DATA) => "RLIMIT_DATA",
        _ => "a resource",
    }
}

fn show_answer(expected: &Expected, value: i64) -> String {
    match i32::try_from(-value) {
        Ok(number) if (1..4096).contains(&number) => Errno(number).name().to_owned(),
        _ if matches!(expected, Expected::Fails(_)) && value >= 0 => "it succeeded".into(),
        _ => value.to_string(),
    }
}

/// The number of network interfaces that a process sees, from the host's `/proc`.
fn interfaces_of(pid: i32) -> Option<i64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?;
    i64::try_from(text.lines().filter(|line| line.contains(':')).count()).ok()
}

/// The number of a namespace of this process; 0 where the kernel has none of that kind.
pub(crate) fn own_namespace(path: &str) -> i64 {
    let link = std::fs::read_link(path).unwrap_or_default();
    let text = link.to_string_lossy();
    text.split(['[', ']']).nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}
