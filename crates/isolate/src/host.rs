//! What this host can enforce.

use std::path::PathBuf;

use hotcell_types::{Enforcement, Wall};

use crate::cgroup::Cgroups;
use crate::landlock;

/// The facts about the host and this process that shape a sandbox.
#[derive(Debug, Clone)]
pub struct Host {
    /// Whether this process is root, with the host's own rights.
    pub is_root: bool,
    /// User and group of this process.
    pub ids: (u32, u32),
    /// Landlock's interface version; 0 for none.
    pub landlock_abi: u32,
    /// Where control groups can be made.
    pub cgroups: Cgroups,
    /// Processors of the host.
    pub processors: u64,
    /// The hard limit of open descriptors.
    pub max_open_files: u64,
    /// This very program, which is also the built-in runner.
    pub executable: PathBuf,
}

impl Host {
    /// Looks at this host.
    ///
    /// # Errors
    /// When the running program cannot be named.
    pub fn look() -> std::io::Result<Self> {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Ok(Self {
            is_root: rustix::process::geteuid().is_root(),
            ids: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
            landlock_abi: landlock::kernel_abi(),
            cgroups: Cgroups::of_this_process(),
            processors: rustix::thread::sched_getaffinity(None).map_or(1, |set| u64::from(set.count())),
            max_open_files: files.maximum.unwrap_or(u64::MAX),
            executable: std::env::current_exe()?,
        })
    }

    /// Every control, how far this host can enforce it, and what would mend it.
    ///
    /// A control that only a sandbox itself can show (most of them) is `Full` here when the kernel has what it
    /// is made of; the preflight of each run looks at it again.
    pub fn report(&self) -> Vec<HostControl> {
        let namespaces = namespaces_allowed();
        Wall::ALL
            .iter()
            .map(|wall| {
                let (enforcement, remedy) = match wall {
                    Wall::Landlock => {
                        (self.landlock(), "use Linux 6.12 or newer with `landlock` in the kernel's `lsm=` list")
                    }
                    Wall::MemoryLimit | Wall::PidsLimit | Wall::CpuLimit => (
                        self.limit(*wall),
                        "run as root, or in a session whose control groups are delegated to you (systemd: Delegate=yes)",
                    ),
                    Wall::UserNamespace | Wall::PidNamespace | Wall::MountNamespace | Wall::NetworkNamespace => {
                        (namespaces.clone(), NAMESPACE_REMEDY)
                    }
                    _ => (Enforcement::Full, ""),
                };
                let remedy = (enforcement != Enforcement::Full).then(|| remedy.to_owned());
                HostControl { wall: *wall, enforcement, remedy }
            })
            .collect()
    }

    /// Whether a sandbox could mount FUSE, which an encrypted scratch needs.
    ///
    /// # Errors
    /// Why not.
    pub fn fuse(&self) -> Result<(), String> {
        let rights = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
        rustix::fs::access("/dev/fuse", rights).map_err(|error| format!("/dev/fuse cannot be opened ({error})"))
    }

    /// How far Landlock can be enforced here.
    pub fn landlock(&self) -> Enforcement {
        let handled = landlock::Handled::of_abi(self.landlock_abi);
        match handled.missing().as_slice() {
            [] => Enforcement::Full,
            _ if self.landlock_abi == 0 => {
                Enforcement::Absent { why: "this kernel has no Landlock, or it is switched off".into() }
            }
            missing => Enforcement::Partial {
                missing: format!("not covered by version {}: {}", self.landlock_abi, missing.join(", ")),
            },
        }
    }

    /// How far a limit can be enforced here.
    pub fn limit(&self, wall: Wall) -> Enforcement {
        let watched = |missing: &str| Enforcement::Partial { missing: missing.to_owned() };
        match wall {
            Wall::MemoryLimit if !self.cgroups.has_memory() => {
                watched("watched: private memory by RLIMIT_DATA per process, the sum every 50 ms; no control group")
            }
            Wall::PidsLimit if !self.cgroups.has_pids() => {
                watched("watched: RLIMIT_NPROC in the sandbox's user namespace; no control group")
            }
            Wall::CpuLimit if !self.cgroups.has_cpu() => {
                watched("watched: whole processors by affinity; no control group")
            }
            _ => Enforcement::Full,
        }
    }
}

/// One line of `hotcell doctor`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostControl {
    /// The control.
    pub wall: Wall,
    /// How far it can be enforced.
    pub enforcement: Enforcement,
    /// What would mend it, where something is missing.
    pub remedy: Option<String>,
}

/// How to get namespaces, on the kernels that withhold them.
pub(crate) const NAMESPACE_REMEDY: &str = "enable user namespaces: sysctl -w user.max_user_namespaces=15000, on Debian also \
     kernel.unprivileged_userns_clone=1, on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0";

/// What the kernel's settings say about making namespaces.
fn namespaces_allowed() -> Enforcement {
    for (setting, refused) in [
        ("/proc/sys/user/max_user_namespaces", "0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
    ] {
        if std::fs::read_to_string(setting).is_ok_and(|value| value.trim() == refused) {
            return Enforcement::Absent { why: format!("{setting} is {refused}") };
        }
    }
    Enforcement::Full
}

/// A mask of the first `count` processors that this process may use.
pub(crate) fn processor_mask(count: u64) -> [u8; 128] {
    let mut mask = [0u8; 128];
    let mut left = count.max(1);
    if let Ok(allowed) = rustix::thread::sched_getaffinity(None) {
        for processor in 0..1024usize {
            if left > 0 && processor < rustix::thread::CpuSet::MAX_CPU && allowed.is_set(processor) {
                mask[processor / 8] |= 1 << (processor % 8);
                left -= 1;
            }
        }
    }
    mask
}
