//! What `hotcell doctor` says: every control, and the reasons behind those that are missing.

use hotcell_sys::Errno;
use hotcell_types::{Enforcement, Wall};
use serde::Serialize;

use super::cause::{self, Cause};
use super::facts::Facts;
use super::{landlock_of, limit_of};

/// One control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostControl {
    /// The control.
    pub wall: Wall,
    /// How far it can be enforced.
    pub enforcement: Enforcement,
    /// What would mend it, where something is missing.
    pub remedy: Option<String>,
    /// The commands of the remedy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Name of the reason, which several controls may share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
    /// Whether `--fix` can do something about it.
    pub fixable: bool,
    /// Whether it stands only where a profile asks for it: without it the host lacks nothing that others need.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub on_demand: bool,
}

/// Everything that is to be said of a host.
#[derive(Debug, Clone)]
pub struct Report {
    /// The host in a line.
    pub host: String,
    /// Every control but those on demand, in the order of [`Wall::ALL`].
    pub controls: Vec<HostControl>,
    /// Those on demand that the kernel was asked for.
    pub on_demand: Vec<HostControl>,
    /// The reasons of what is missing, each once, in the order in which they come up.
    pub causes: Vec<Cause>,
    /// What else is good to know, and no control.
    pub notes: Vec<String>,
}

impl Report {
    /// Judges a host by its facts.
    pub fn of(facts: &Facts) -> Self {
        let mut causes: Vec<Cause> = Vec::new();
        // Those on demand are missed by nobody who has not asked for them.
        let walls = Wall::ALL.iter().filter(|wall| !wall.is_on_demand());
        let controls = walls.map(|wall| {
            let (enforcement, cause) = judge(facts, *wall);
            if let Some(cause) = &cause
                && causes.iter().all(|known| known.id != cause.id)
            {
                causes.push(cause.clone());
            }
            HostControl {
                wall: *wall,
                enforcement,
                remedy: cause.as_ref().map(|cause| cause.remedy.clone()),
                commands: cause.as_ref().map(|cause| cause.commands.clone()).unwrap_or_default(),
                fixable: cause.as_ref().is_some_and(|cause| cause.fix.is_some()),
                cause: cause.map(|cause| cause.id),
                on_demand: false,
            }
        });
        let controls = controls.collect();
        let on_demand = facts.tried.on_demand.iter().map(|(wall, answer)| on_demand(*wall, answer)).collect();
        Self { host: host(facts), controls, on_demand, notes: notes(facts, &causes), causes }
    }
}

/// A wall that stands only where a profile asks for it. No command brings what a processor or a kernel does not have.
fn on_demand(wall: Wall, answer: &Result<(), String>) -> HostControl {
    let key = match wall {
        Wall::WriteXorExecute => "memory.write_xor_execute",
        _ => "side_channels",
    };
    let remedy = format!("leave `{key}` out of the profile, or give it up by name: --best-effort {wall}");
    let (enforcement, remedy) = match answer {
        Ok(()) => (Enforcement::Full, None),
        Err(why) => (Enforcement::Absent { why: why.clone() }, Some(remedy)),
    };
    HostControl { wall, enforcement, remedy, commands: Vec::new(), cause: None, fixable: false, on_demand: true }
}

fn judge(facts: &Facts, wall: Wall) -> (Enforcement, Option<Cause>) {
    let absent = |errno: Errno, cause: Cause| {
        let why = format!("{} ({errno})", cause.what);
        (
            Enforcement::Absent { why: if cause.what.contains(&errno.to_string()) { cause.what.clone() } else { why } },
            Some(cause),
        )
    };
    match (wall, facts.tried.walls.get(&wall)) {
        (Wall::Landlock, answer) => {
            let version = facts.tried.landlock.and_then(Result::ok).unwrap_or(0);
            match landlock_of(version) {
                // Without namespaces its trial could not be made; the version is proof enough that it is switched on.
                Enforcement::Full => match answer {
                    Some(Err(errno)) if has_namespaces(facts) => absent(*errno, cause::refused(facts, wall, *errno)),
                    _ => (Enforcement::Full, None),
                },
                Enforcement::Absent { .. } => {
                    let cause = cause::landlock(facts);
                    (Enforcement::Absent { why: cause.what.clone() }, Some(cause))
                }
                partial => (partial, Some(cause::landlock(facts))),
            }
        }
        (
            Wall::UserNamespace
            | Wall::PidNamespace
            | Wall::NetworkNamespace
            | Wall::IpcNamespace
            | Wall::UtsNamespace
            | Wall::CgroupNamespace
            | Wall::ReadOnly
            | Wall::NoExec,
            Some(Err(errno)),
        ) => absent(*errno, cause::namespaces(facts, *errno)),
        (Wall::MountNamespace, Some(Err(errno))) => absent(*errno, cause::namespaces(facts, *errno)),
        (Wall::MountNamespace, _) => match facts.tried.process_files {
            Some(Err(errno)) => absent(errno, cause::process_files(facts, errno)),
            _ => (Enforcement::Full, None),
        },
        (Wall::MemoryLimit | Wall::PidsLimit | Wall::CpuLimit, _) => {
            let usable = matches!(facts.tried.group, Some(Ok(())));
            match limit_of(&facts.tried.cgroups, wall) {
                Enforcement::Full if !usable => {
                    let missing = "watched, if it starts at all: the control group cannot be used".to_owned();
                    (Enforcement::Partial { missing }, Some(cause::control_groups(facts, wall)))
                }
                Enforcement::Full => (Enforcement::Full, None),
                partial => (partial, Some(cause::control_groups(facts, wall))),
            }
        }
        // What is put up after the namespaces cannot be tried where there are none.
        (Wall::Capabilities | Wall::NoNewPrivs | Wall::Seccomp | Wall::Keyring, Some(Err(errno))) => {
            match facts.tried.walls.get(&Wall::UserNamespace) {
                Some(Err(first)) => absent(*first, cause::namespaces(facts, *first)),
                _ => absent(*errno, cause::refused(facts, wall, *errno)),
            }
        }
        _ => (Enforcement::Full, None),
    }
}

fn has_namespaces(facts: &Facts) -> bool {
    !matches!(facts.tried.walls.get(&Wall::UserNamespace), Some(Err(_)))
}

fn host(facts: &Facts) -> String {
    let mut parts = vec![format!("Linux {}", facts.kernel)];
    let (name, version) = &facts.distribution;
    if !name.is_empty() {
        parts.push(format!("{name} {version}").trim_end().to_owned());
    }
    parts.extend(facts.wsl.map(|version| format!("WSL {version}")));
    parts.extend(facts.container.map(|container| format!("in {}", container.label())));
    parts.extend(facts.ci.as_ref().map(|service| format!("a job of {service}")));
    parts.push(facts.layout.label().to_owned());
    parts.push(facts.rights.label().to_owned());
    parts.join("; ")
}

fn notes(facts: &Facts, causes: &[Cause]) -> Vec<String> {
    let mut notes = Vec::new();
    if !facts.rights.is_root_of_the_host() && !facts.subordinate_ids {
        notes.push("/etc/subuid has no range for this user: nothing is missing, Hotcell maps one id only".to_owned());
    }
    if !facts.tried.mount_attributes {
        notes.push(
            "mounts cannot map ids on this kernel (Linux 5.12 can): as root, inputs that not everyone may read are copied \
             into memory"
                .to_owned(),
        );
    }
    if facts.ci.is_some() && causes.iter().any(|cause| cause.fix.is_some()) {
        notes.push("in a job, before hotcell is used: sudo hotcell doctor --fix --yes".to_owned());
    }
    if let Some(label) = &facts.apparmor {
        notes.push(format!("this process is in the AppArmor profile `{label}`"));
    }
    notes
}
