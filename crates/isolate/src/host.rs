//! What this host can enforce.
//!
//! [`Host`] is what shapes a sandbox, looked at before each. [`Facts`] are what the host shows and what came of trying,
//! for [`Report`], which says of every control how far it can be had, why, and how to get it.

mod cause;
mod facts;
mod fix;
mod report;
mod trial;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;

pub use cause::Cause;
pub use facts::{Container, Facts, Layout, Rights};
pub use fix::{APPARMOR_PROFILE, Fix};
pub use report::{HostControl, Report};
pub use trial::Tried;

use hotcell_types::{Enforcement, Wall};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::cgroup::Cgroups;
use crate::landlock;

/// The facts about the host and this process that shape a sandbox.
#[derive(Debug, Clone)]
pub struct Host {
    /// Whether this process is root, with the host's own rights.
    pub is_root: bool,
    /// Whether the attributes of a whole tree of mounts can be set at once, and ids mapped on mounts (Linux 5.12).
    pub mount_attributes: bool,
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
            is_root: is_root_of_the_host(),
            mount_attributes: has_mount_attributes(),
            ids: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
            landlock_abi: landlock::kernel_abi(),
            cgroups: Cgroups::of_this_process(),
            processors: sched_getaffinity(None).map_or(1, |set| u64::from(set.count())),
            max_open_files: files.maximum.unwrap_or(u64::MAX),
            executable: std::env::current_exe()?,
        })
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
        landlock_of(self.landlock_abi)
    }

    /// How far a limit can be enforced here.
    pub fn limit(&self, wall: Wall) -> Enforcement {
        limit_of(&self.cgroups, wall)
    }
}

/// How far Landlock of this version can be enforced.
fn landlock_of(version: u32) -> Enforcement {
    match landlock::Handled::of_abi(version).missing().as_slice() {
        [] => Enforcement::Full,
        _ if version == 0 => Enforcement::Absent { why: "this kernel has no Landlock, or it is switched off".into() },
        missing => {
            Enforcement::Partial { missing: format!("not covered by version {version}: {}", missing.join(", ")) }
        }
    }
}

/// How far a limit can be enforced with these control groups.
fn limit_of(cgroups: &Cgroups, wall: Wall) -> Enforcement {
    let watched = |missing: &str| Enforcement::Partial { missing: missing.to_owned() };
    match wall {
        Wall::MemoryLimit if !cgroups.has_memory() => {
            watched("watched: private memory by RLIMIT_DATA per process, the sum every 50 ms; no control group")
        }
        Wall::PidsLimit if !cgroups.has_pids() => {
            watched("watched: RLIMIT_NPROC in the sandbox's user namespace; no control group")
        }
        Wall::CpuLimit if !cgroups.has_cpu() => watched("watched: whole processors by affinity; no control group"),
        _ => Enforcement::Full,
    }
}

/// How to get namespaces, where nothing more is known.
pub(crate) const NAMESPACE_REMEDY: &str =
    "`hotcell doctor` says what withholds user namespaces here, and how to get them";

/// Whether this process has root's rights over the whole host: it is user 0, all ids are mapped as they are, and it may
/// administer. Root of a container is an ordinary user in this respect. Looked at once: no process of ours gains rights
/// or gives them up on its way.
pub fn is_root_of_the_host() -> bool {
    static SEEN: OnceLock<bool> = OnceLock::new();
    *SEEN.get_or_init(|| rustix::process::geteuid().is_root() && Rights::of_this_process().is_root_of_the_host())
}

/// Whether this process is user 0 of the host itself, with whatever rights.
pub(crate) fn is_user_0_of_the_host() -> bool {
    rustix::process::geteuid().is_root() && Rights::of_this_process().all_ids
}

/// The text of this process's mounts. What is no UTF-8 in it has replacement characters.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn mounts() -> std::io::Result<String> {
    std::fs::read("/proc/self/mountinfo").map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the attributes of mounts can be set (`mount_setattr`, Linux 5.12): one by one they can be without it.
pub(crate) fn has_mount_attributes() -> bool {
    // No descriptor: a kernel that has the call says so.
    let nowhere = hotcell_sys::Fd(-1);
    let answer = hotcell_sys::mount::set_attributes(nowhere, hotcell_sys::mount::Reach::One, 0, None);
    answer != Err(hotcell_sys::Errno::ENOSYS)
}

/// The processors that a process may use; this one where none is named.
pub(crate) fn processors_of(process: Option<Pid>) -> rustix::io::Result<BTreeSet<usize>> {
    let allowed = sched_getaffinity(process)?;
    Ok((0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).collect())
}

/// The processors that this process may use, but the one that it is on; none where there are no others.
pub(crate) fn other_processors() -> Option<[u64; 16]> {
    let here = rustix::thread::sched_getcpu();
    let mut words = [0u64; 16];
    let mask = processor_mask(u64::MAX);
    for (word, bytes) in words.iter_mut().zip(mask.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    *words.get_mut(here / 64)? &= !(1 << (here % 64));
    words.iter().any(|word| *word != 0).then_some(words)
}

/// A mask of the first `count` processors that this process may use.
pub(crate) fn processor_mask(count: u64) -> [u8; 128] {
    let mut mask = [0u8; 128];
    let count = usize::try_from(count.max(1)).unwrap_or(usize::MAX);
    for processor in processors_of(None).unwrap_or_default().into_iter().take(count) {
        if let Some(byte) = mask.get_mut(processor / 8) {
            *byte |= 1 << (processor % 8);
        }
    }
    mask
}

#[cfg(test)]
mod tests;
