//! The allow-list of system calls: names, who needs them, and what no profile can ever name.
//!
//! Rules on arguments (clone flags, socket families, ioctl and prctl numbers) belong to the filter's
//! compiler in `isolate`; a call listed here may be narrowed further there.
//!
//! INVARIANT (nothing-by-default): a call that stands in no group of a profile, and not in its `allow`,
//! is refused. A new kernel's new call is therefore refused until somebody writes a line here.

use std::fmt;

use serde::{Deserialize, Serialize};

mod base;
mod grantable;

pub use base::BASE;
pub use grantable::GRANTABLE;

/// One system call that may pass, and who needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRule {
    /// The kernel's name of the call on x86-64.
    pub name: &'static str,
    /// The group by which profiles name it.
    pub group: CallGroup,
    /// Who needs it, and why it is harmless in a sandbox.
    pub why: &'static str,
}

macro_rules! groups {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// A named group of the allow-list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum CallGroup {
            $($(#[$doc])* #[serde(rename = $label)] $name,)*
        }

        impl CallGroup {
            /// Every group.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in a profile.
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

groups! {
    /// Read, write and position on open descriptors.
    Io = "io",
    /// Names, attributes and contents of files, within what the mounts and Landlock show.
    Files = "files",
    /// The process's own memory.
    Memory = "memory",
    /// Starting, naming and ending processes and threads.
    Processes = "processes",
    /// Signals among the sandbox's own processes.
    Signals = "signals",
    /// Waiting: futexes, poll, epoll, pipes, event descriptors.
    Waiting = "waiting",
    /// Reading clocks, sleeping, timers.
    Clocks = "clocks",
    /// Sockets; which families is decided by their arguments.
    Sockets = "sockets",
    /// Asking for ids, limits and the like; dropping one's own rights.
    Identity = "identity",
    /// Scheduling of one's own threads.
    Scheduling = "scheduling",
    /// System V and POSIX message queues, semaphores, shared memory; in the sandbox's own namespace.
    Ipc = "ipc",
    /// Programs that sandbox themselves further.
    SelfRestriction = "self-restriction",
    /// Being told of changes to files.
    Watching = "watching",
}

impl fmt::Display for CallGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// The rule of this call, if there is one.
pub(crate) fn rule_of(name: &str) -> Option<&'static CallRule> {
    BASE.iter().chain(GRANTABLE).find(|rule| rule.name == name)
}

/// Calls that a profile must be able to answer with ENOSYS rather than EPERM, because C libraries and
/// run-time systems then fall back to an older call of which the arguments can be checked.
pub const ANSWERED_NOT_IMPLEMENTED: &[(&str, &str)] = &[
    ("clone3", "its flags lie in memory, where a filter cannot read them; C libraries fall back to clone"),
    ("io_uring_setup", "run-time systems (node, tokio) fall back to epoll; the ring would walk around the filter"),
    ("io_uring_enter", "as io_uring_setup"),
    ("io_uring_register", "as io_uring_setup"),
    ("userfaultfd", "run-time systems (JVM, Android) fall back to mprotect"),
    ("memfd_secret", "libraries fall back to locked memory"),
    ("map_shadow_stack", "glibc runs without a shadow stack"),
    ("rseq_slice_yield", "newer than the list; glibc does without"),
    ("cachestat", "newer than the list; nobody depends on it"),
    ("futex_wake", "futex2 family; libraries fall back to futex"),
    ("futex_wait", "futex2 family; libraries fall back to futex"),
    ("futex_requeue", "futex2 family; libraries fall back to futex"),
    ("statmount", "libraries fall back to /proc/self/mountinfo"),
    ("listmount", "libraries fall back to /proc/self/mountinfo"),
];

/// Calls that no profile can allow: each of them leads out of a sandbox, into another process, or into a
/// part of the kernel that no workload of ours needs.
pub const NEVER: &[(&str, &str)] = &[
    ("ptrace", "reads and steers other processes"),
    ("process_vm_readv", "reads other processes"),
    ("process_vm_writev", "writes other processes"),
    ("process_madvise", "steers other processes' memory"),
    ("process_mrelease", "frees other processes' memory"),
    ("kcmp", "compares kernel objects of other processes: an oracle of addresses"),
    ("pidfd_getfd", "takes descriptors from other processes"),
    ("mount", "changes what is seen"),
    ("umount2", "changes what is seen"),
    ("pivot_root", "changes what is seen"),
    ("chroot", "changes what is seen; the classic way out with a kept descriptor"),
    ("fsopen", "new mount interface"),
    ("fsconfig", "new mount interface"),
    ("fsmount", "new mount interface"),
    ("fspick", "new mount interface"),
    ("open_tree", "new mount interface"),
    ("open_tree_attr", "new mount interface"),
    ("move_mount", "new mount interface"),
    ("mount_setattr", "new mount interface"),
    ("unshare", "makes namespaces, where a process has every capability again"),
    ("setns", "enters namespaces"),
    ("bpf", "loads programs into the kernel"),
    ("perf_event_open", "measures other processes and the kernel"),
    ("io_uring_setup", "its operations walk around the filter"),
    ("io_uring_enter", "its operations walk around the filter"),
    ("io_uring_register", "its operations walk around the filter"),
    ("userfaultfd", "stops the kernel in the middle of a copy: a tool of exploits"),
    ("add_key", "keyrings are not in a namespace of their own"),
    ("request_key", "starts a helper on the host"),
    ("keyctl", "keyrings are not in a namespace of their own"),
    ("kexec_load", "replaces the kernel"),
    ("kexec_file_load", "replaces the kernel"),
    ("init_module", "loads code into the kernel"),
    ("finit_module", "loads code into the kernel"),
    ("delete_module", "unloads code from the kernel"),
    ("create_module", "loads code into the kernel"),
    ("query_module", "asks about the kernel's modules"),
    ("get_kernel_syms", "addresses of the kernel"),
    ("open_by_handle_at", "opens files that no path leads to"),
    ("name_to_handle_at", "makes what open_by_handle_at takes"),
    ("fanotify_init", "watches whole file systems"),
    ("fanotify_mark", "watches whole file systems"),
    ("iopl", "input and output ports"),
    ("ioperm", "input and output ports"),
    ("swapon", "the host's swap"),
    ("swapoff", "the host's swap"),
    ("reboot", "ends the host"),
    ("settimeofday", "the host's clock"),
    ("clock_settime", "the host's clock"),
    ("clock_adjtime", "the host's clock"),
    ("adjtimex", "the host's clock"),
    ("quotactl", "the host's quotas"),
    ("quotactl_fd", "the host's quotas"),
    ("acct", "the host's accounting"),
    ("syslog", "the kernel's log: addresses and neighbours"),
    ("lookup_dcookie", "kernel profiling"),
    ("nfsservctl", "kernel server"),
    ("vhangup", "the terminal"),
    ("modify_ldt", "segments: rarely tested kernel code"),
    ("uselib", "obsolete"),
    ("ustat", "obsolete"),
    ("sysfs", "obsolete"),
    ("_sysctl", "obsolete"),
    ("personality", "switches off address randomisation and makes readable memory executable"),
    ("sethostname", "the host's name"),
    ("setdomainname", "the host's name"),
    ("mknod", "devices; a filter cannot tell them from files well enough to be worth it"),
    ("mknodat", "as mknod; mkfifo fails with it, which tools survive"),
    ("move_pages", "steers other processes' memory"),
    ("migrate_pages", "steers other processes' memory"),
    ("set_mempolicy", "steers memory of the host"),
    ("mbind", "steers memory of the host"),
    ("set_mempolicy_home_node", "steers memory of the host"),
    ("pkey_mprotect", "no protection keys are handed out"),
    ("pkey_alloc", "no protection keys are handed out"),
    ("pkey_free", "no protection keys are handed out"),
    ("remap_file_pages", "obsolete and rarely tested"),
    ("vmsplice", "maps pages of a process into a pipe: a tool of exploits"),
    ("ioprio_set", "steers the host's disks"),
    ("setgid", "one id inside; there is nothing to change to"),
    ("setuid", "one id inside; there is nothing to change to"),
    ("seccomp", "a second notification listener could answer for the first"),
    ("uretprobe", "kernel probes"),
    ("uprobe", "kernel probes"),
    ("lsm_set_self_attr", "the host's security modules"),
];
