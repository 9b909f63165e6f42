//! Walls: the mechanisms that enforce rights, and what was observed of them.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! walls {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// One mechanism that enforces rights. The name is what `--best-effort` takes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Wall {
            $($(#[$doc])* #[serde(rename = $label)] $name,)*
        }

        impl Wall {
            /// Every wall, in the order in which they are shown.
            pub const ALL: &'static [Wall] = &[$(Wall::$name,)*];

            /// The wall's name on the command line, in profiles and in receipts.
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

walls! {
    /// Own user namespace: no right of the host's user ids.
    UserNamespace = "user-namespace",
    /// Own process ids: no other process can be seen or signalled.
    PidNamespace = "pid-namespace",
    /// Own mounts on a fresh root: only what was granted can be named.
    MountNamespace = "mount-namespace",
    /// Own network with nothing but loopback.
    NetworkNamespace = "network-namespace",
    /// Own System V and POSIX message queues.
    IpcNamespace = "ipc-namespace",
    /// Own host name.
    UtsNamespace = "uts-namespace",
    /// Own view of the control groups.
    CgroupNamespace = "cgroup-namespace",
    /// Root file system, system view and inputs cannot be written.
    ReadOnly = "read-only",
    /// Nothing on writable mounts can be executed.
    NoExec = "noexec",
    /// All five capability sets are empty.
    Capabilities = "capabilities",
    /// No gain of rights by executing a file.
    NoNewPrivs = "no-new-privs",
    /// Landlock rules over files, TCP ports, signals and abstract sockets.
    Landlock = "landlock",
    /// The allow-list of system calls.
    Seccomp = "seccomp",
    /// Only the granted descriptors are open.
    Descriptors = "descriptors",
    /// An environment made from nothing.
    Environment = "environment",
    /// Own session keyring.
    Keyring = "keyring",
    /// No core dumps, not traceable.
    CoreDumps = "core-dumps",
    /// The limit on memory.
    MemoryLimit = "memory-limit",
    /// The limit on the number of processes.
    PidsLimit = "pids-limit",
    /// The limit on processor time.
    CpuLimit = "cpu-limit",
    /// The limit on time by the clock.
    WallLimit = "wall-limit",
    /// The limits on what can be written to scratch and output.
    StorageLimit = "storage-limit",
    /// Memory that was written to never becomes code, by the kernel's own rule. Where a profile asks for it.
    WriteXorExecute = "write-xor-execute",
    /// Speculation controls, forced on. Where a profile asks for hardened side channels, as all that follow.
    Speculation = "speculation",
    /// No other tenant on the sibling of a core.
    CoreScheduling = "core-scheduling",
    /// Cores of its own.
    OwnCores = "own-cores",
    /// No clocks and no cycle counter, for the built-in runner.
    NoClocks = "no-clocks",
    /// No pages merged with those of others.
    PageSharing = "page-sharing",
}

impl Wall {
    /// Whether it stands only where a profile asks for it, and is then required.
    pub fn is_on_demand(self) -> bool {
        matches!(
            self,
            Self::WriteXorExecute
                | Self::Speculation
                | Self::CoreScheduling
                | Self::OwnCores
                | Self::NoClocks
                | Self::PageSharing
        )
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl std::str::FromStr for Wall {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|wall| wall.label() == text)
            .ok_or_else(|| format!("`{}` is not the name of a wall", text.escape_debug()))
    }
}

/// How far a control is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Enforcement {
    /// Wholly, by the kernel.
    Full,
    /// In part; `missing` says what is not covered and what covers it instead.
    Partial {
        /// What is missing, for example `watched every 50 ms instead of charged by the kernel`.
        missing: String,
    },
    /// Not at all.
    Absent {
        /// Why.
        why: String,
    },
}

/// What the preflight saw of one wall of this very sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The wall.
    pub wall: Wall,
    /// What was tried, for example `socket(AF_INET)`.
    pub tried: String,
    /// What had to come of it, for example `EPERM`.
    pub expected: String,
    /// What came of it.
    pub seen: String,
    /// Whether the wall stands.
    pub holds: bool,
    /// How far the wall is in force.
    pub enforcement: Enforcement,
}
