//! Trying what walls are made of, in processes of the launcher that end before they would become a program.

use std::collections::BTreeMap;

use hotcell_launcher::message::Message;
use hotcell_launcher::plan::Step;
use hotcell_sys::{Errno, landlock as kernel_landlock, mount, process};
use hotcell_types::Wall;

use super::Rights;
use crate::cgroup::{Cgroups, GroupLimits};
use crate::control::Control;
use crate::filter::{Filter, FilterRules};
use crate::ids;
use crate::landlock::Handled;
use crate::plan::{Plan, every_hardening};
use crate::preflight::Preflight;

/// What came of trying, on one host, as one user.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    /// The kernel's answer to putting up each wall that is tried by itself.
    pub walls: BTreeMap<Wall, Result<(), Errno>>,
    /// Landlock's interface version, or the kernel's answer.
    pub landlock: Option<Result<u32, Errno>>,
    /// Whether a fresh process file system can be mounted.
    pub process_files: Option<Result<(), Errno>>,
    /// Where control groups can be made, as far as access rights say.
    pub cgroups: Cgroups,
    /// The answer to making one there and limiting it.
    pub group: Option<Result<(), Errno>>,
    /// Walls that stand only where a profile asks for them: each as a preflight would see it that did.
    pub on_demand: BTreeMap<Wall, Result<(), String>>,
    /// Whether mounts can map ids and take attributes as a whole (Linux 5.12).
    pub mount_attributes: bool,
}

impl Tried {
    /// Tries on this host.
    pub(crate) fn here(rights: Rights) -> Self {
        let cgroups = Cgroups::of_this_process();
        let has_group = cgroups.has_memory() || cgroups.has_pids();
        Self {
            walls: WALLS.iter().map(|wall| (*wall, try_wall(*wall, rights))).collect(),
            landlock: Some(kernel_landlock::abi()),
            process_files: Some(attempt(rights, NAMESPACES | process::CLONE_NEWPID, &|plan| {
                root(plan);
                plan.push(Step::Proc { path: c"proc" });
            })),
            group: has_group.then(|| try_group(&cgroups)),
            cgroups,
            on_demand: try_on_demand(rights),
            mount_attributes: super::has_mount_attributes(),
        }
    }
}

/// The walls that are tried one by one.
const WALLS: &[Wall] = &[
    Wall::UserNamespace,
    Wall::PidNamespace,
    Wall::MountNamespace,
    Wall::NetworkNamespace,
    Wall::IpcNamespace,
    Wall::UtsNamespace,
    Wall::CgroupNamespace,
    Wall::ReadOnly,
    Wall::NoExec,
    Wall::Capabilities,
    Wall::NoNewPrivs,
    Wall::Landlock,
    Wall::Seccomp,
    Wall::Keyring,
];

const NAMESPACES: u64 = process::CLONE_NEWUSER | process::CLONE_NEWNS;

fn try_wall(wall: Wall, rights: Rights) -> Result<(), Errno> {
    let user = process::CLONE_NEWUSER;
    // Two processes, which end together.
    let locking = user | process::CLONE_NEWPID;
    let with = |flags: u64, steps: &dyn Fn(&mut Plan)| attempt(rights, flags, steps);
    match wall {
        Wall::UserNamespace => with(user, &|_| ()),
        Wall::PidNamespace => with(user | process::CLONE_NEWPID, &|_| ()),
        Wall::MountNamespace => with(NAMESPACES, &|plan| {
            root(plan);
            plan.push(Step::Pivot {});
        }),
        Wall::NetworkNamespace => with(user | process::CLONE_NEWNET, &|_| ()),
        Wall::IpcNamespace => with(user | process::CLONE_NEWIPC, &|_| ()),
        Wall::UtsNamespace => with(user | process::CLONE_NEWUTS, &|plan| plan.push(Step::HostName { name: b"trial" })),
        Wall::CgroupNamespace => with(locking, &|plan| locked(plan, &|plan| plan.push(Step::CgroupNamespace {}))),
        Wall::ReadOnly => with(NAMESPACES, &|plan| bind(plan, mount::ATTR_RDONLY | mount::ATTR_NOSUID)),
        Wall::NoExec => with(NAMESPACES, &|plan| bind(plan, mount::ATTR_NOEXEC | mount::ATTR_NODEV)),
        Wall::Keyring => with(user, &|plan| plan.push(Step::Keyring {})),
        Wall::Capabilities => with(locking, &|plan| locked(plan, &|plan| plan.push(Step::DropCapabilities {}))),
        Wall::NoNewPrivs => with(locking, &|plan| locked(plan, &|plan| plan.push(Step::NoNewPrivileges {}))),
        Wall::Seccomp => with(locking, &|plan| {
            locked(plan, &|plan| {
                plan.push(Step::NoNewPrivileges {});
                let rules = FilterRules {
                    allowed: AFTER_THE_FILTER,
                    inet: false,
                    write_xor_execute: false,
                    unmerged: false,
                    tsc: false,
                    told: false,
                };
                // The names are ours, and a filter that is empty is refused by the kernel.
                let filter = Filter::compile(&rules).map(|filter| filter.bytes().to_vec()).unwrap_or_default();
                plan.push(Step::Seccomp { program: &filter, in_company: &[] });
            });
        }),
        Wall::Landlock => with(locking, &|plan| {
            locked(plan, &|plan| {
                let abi = kernel_landlock::abi().unwrap_or(1);
                let handled = Handled::of_abi(abi.min(crate::landlock::WHOLE_ABI));
                plan.push(Step::NoNewPrivileges {});
                let (net, scoped) = (handled.net, handled.scoped);
                plan.push(Step::Landlock { fs: handled.fs, net, net_in_company: net, scoped, abi: abi.into() });
                plan.push(Step::LandlockEnforce {});
            });
        }),
        _ => Ok(()),
    }
}

/// What the trial still has to call after the filter is on: to report, to hear, to end.
const AFTER_THE_FILTER: &[&str] = &["sendmsg", "recvmsg", "exit_group", "close", "ppoll", "poll"];

fn root(plan: &mut Plan) {
    plan.push(Step::Root { size: c"64k", inodes: c"16" });
    plan.push(Step::Dir { path: c"proc", mode: 0o755 });
}

fn bind(plan: &mut Plan, attributes: u64) {
    root(plan);
    plan.push(Step::Dir { path: c"usr", mode: 0o755 });
    plan.push(Step::Bind { source: c"/usr", path: c"usr", attributes, device: 0, inode: 0 });
    plan.push(Step::Restrict { path: c"usr", attributes });
}

fn locked(plan: &mut Plan, steps: &dyn Fn(&mut Plan)) {
    plan.push(Step::Workload {});
    steps(plan);
    plan.push(Step::Report {});
}

/// Asks the kernel for every hardening in one process, and looks at what came of it.
fn try_on_demand(rights: Rights) -> BTreeMap<Wall, Result<(), String>> {
    let preflight = Preflight::of_hardenings();
    let flags = process::CLONE_NEWUSER | process::CLONE_NEWPID;
    let answers = observe(rights, flags, &|plan| {
        locked(plan, &|plan| {
            for (_, hardening) in every_hardening() {
                plan.push(Step::Harden { hardening: hardening as u64 });
            }
            for probe in preflight.before_the_filter() {
                plan.push(Step::Probe { kind: probe.kind as u64, text: &probe.text, number: probe.number });
            }
        });
    });
    preflight.standing(&answers.unwrap_or_default())
}

/// Starts the launcher with these steps; the error number of the step that failed.
fn attempt(rights: Rights, flags: u64, steps: &dyn Fn(&mut Plan)) -> Result<(), Errno> {
    observe(rights, flags, steps).map(drop)
}

/// The same; gives what the probes among the steps have seen.
fn observe(rights: Rights, flags: u64, steps: &dyn Fn(&mut Plan)) -> Result<Vec<i64>, Errno> {
    let is_root = rights.is_root_of_the_host();
    let (user, group) = match is_root {
        // The first one behind those that sandboxes take.
        true => (ids::FIRST + ids::COUNT, ids::FIRST + ids::COUNT),
        false => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
    };
    let mut plan = Plan::new();
    plan.push(Step::Ids { user: user.into(), group: group.into(), privileged: is_root.into() });
    plan.push(Step::Namespaces { flags });
    plan.push(Step::DieWithParent {});
    steps(&mut plan);
    plan.push(Step::Await {});
    converse(&plan).unwrap_or(Err(Errno::EIO))
}

/// Runs it until it waits, and kills it. Where the launcher itself cannot be started there is no answer.
fn converse(plan: &Plan) -> Option<Result<Vec<i64>, Errno>> {
    let (control, mut launcher) = match Control::start(&plan.bytes) {
        Ok(started) => started,
        Err(error) => return not_started(&error),
    };
    let mut born = None;
    let answer = loop {
        let Ok(received) = control.receive() else { break None };
        match (received.message, received.fd) {
            (Message::Born { pid }, Some(pidfd)) => born = Some((i32::try_from(pid).unwrap_or(0), pidfd)),
            (Message::Waiting | Message::Observed { .. }, _) => break Some(Ok(received.answers)),
            (Message::Failed { errno, .. }, _) => break Some(Err(Errno(i32::try_from(errno).unwrap_or(0)))),
            _ => break None,
        }
    };
    // Killed and reaped as it is dropped; the launcher itself has ended with the birth, or ends with the socket.
    match born {
        Some((pid, pidfd)) => drop(crate::sandbox::Live { control, pidfd, pid, handed_over: false }),
        None => drop(control),
    }
    match launcher.wait() {
        Ok(()) => answer,
        Err(error) => not_started(&error),
    }
}

fn not_started(error: &crate::IsolateError) -> Option<Result<Vec<i64>, Errno>> {
    match error {
        crate::IsolateError::Host { source, .. } => Some(Err(Errno(source.raw_os_error().unwrap_or(Errno::EIO.0)))),
        crate::IsolateError::HostLacks { .. } => Some(Err(Errno::EACCES)),
        _ => None,
    }
}

/// Makes a group with limits, and removes it again.
fn try_group(cgroups: &Cgroups) -> Result<(), Errno> {
    let limits = GroupLimits { memory_bytes: 64 << 20, pids: 16, cpu_millis: Some(500) };
    let name = format!("hotcell-doctor-{}", std::process::id());
    let made = cgroups.make(&name, &limits).and_then(crate::cgroup::Group::remove);
    made.map_err(|error| Errno(error.raw_os_error().unwrap_or(Errno::EIO.0)))
}
