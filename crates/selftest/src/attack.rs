//! What an attack is.

use syscalls::Sysno;

use crate::{Facts, Seen};

/// One attack.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// Its name.
    pub name: &'static str,
    /// What it attacks.
    pub class: Class,
    /// What it does; attacks that differ in one argument only have the same mechanism.
    pub mechanism: &'static str,
    /// What may be seen where it is held, and the wall that answers so.
    pub expected: Expected,
    /// What the kernel or host must have for it to mean anything.
    pub needs: Need,
    /// The call that it is about: where a profile grants it, there is nothing to hold.
    pub call: Option<Sysno>,
    /// Whether it is about IPv4 and IPv6 sockets, which a profile may grant for loopback.
    pub inet: bool,
    /// The wall on demand that it is about: where a profile does not ask for it, there is nothing to hold.
    pub demand: Option<Demand>,
    /// The calls that it issues, as a tracer names them.
    pub issues: &'static [&'static str],
    /// Where it is tried.
    pub place: Place,
    /// The attempt.
    pub run: fn(&Facts) -> Seen,
}

/// Results that mean *held*, and which wall they come from.
pub type Expected = &'static [(Seen, &'static str)];

/// What a host has to have for an attack to mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// A system call.
    Call(Sysno),
    /// A system call that takes minus ones for an unknown call.
    CallWithZeroes(Sysno),
    /// The entry of 32-bit programs.
    Int80,
    /// The numbers of x32.
    X32,
    /// A family of sockets, its kind and protocol.
    Family(u32, u32, u32),
    /// A path of the host.
    Path(&'static str),
    /// Something that the host put up for the attack.
    Fact(&'static str),
}

/// What a profile can ask for beside the walls of every sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// `memory.write_xor_execute`.
    WriteXorExecute,
    /// `side_channels = "hardened"`, and of it this wall.
    Hardened(&'static str),
}

/// Where an attack is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the sandbox that most of them share.
    Shared,
    /// In a sandbox with small limits.
    Small,
    /// In a sandbox of its own, with these limits; what comes of it is judged outside.
    Alone(&'static [&'static str], Judge),
}

/// How an attack with a sandbox of its own is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// By a limit that ends the task, or else by its own report.
    Limit,
    /// By whether what it put into the output folder is refused.
    Output,
    /// By whether the process that it left behind is gone.
    Daemon,
    /// By whether the host's own process still lives, which is seen by the answer itself.
    Survival,
    /// By how much of its stream is kept.
    Stream,
    /// By whether anything is left of it: control groups, mounts, files.
    Residue,
}

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// What an attack attacks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Class {
            $($(#[$doc])* $name,)*
        }

        impl Class {
            /// Every class, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name.
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

classes! {
    /// Forbidden calls by every entry to the kernel.
    Entry = "entries",
    /// Namespaces in all forms.
    Namespace = "namespaces",
    /// Mounts in all forms.
    Mount = "mounts",
    /// Parts of the kernel that no workload needs.
    Kernel = "kernel",
    /// Memory and steering of other processes.
    Tracing = "tracing",
    /// Signals and settings of other processes.
    Signal = "signals",
    /// Keyrings.
    Keyring = "keyrings",
    /// The network, by each family.
    Network = "network",
    /// Names of hosts, by each road.
    Dns = "dns",
    /// Terminals.
    Terminal = "terminal",
    /// `/proc` and `/sys`.
    ProcSys = "proc-sys",
    /// Descriptors and the own program.
    Descriptor = "descriptors",
    /// Devices and what only the kernel may do with the processor.
    Device = "devices",
    /// Rights: set-id, capabilities, id maps.
    Rights = "rights",
    /// Files that were shown, not given.
    Inputs = "inputs",
    /// Execution of what was written.
    Execution = "execution",
    /// Links, renames and other things in the output folder.
    Output = "output",
    /// Control groups.
    Cgroup = "cgroups",
    /// Sockets, memory and queues of the host and of another sandbox.
    Between = "between-sandboxes",
    /// Bombs.
    Bomb = "bombs",
    /// Processes that outlive their parent.
    Daemon = "daemons",
    /// Priorities and processors.
    Priority = "priorities",
    /// Core dumps.
    Core = "core-dumps",
    /// Sensors of power and heat.
    Sensor = "sensors",
    /// What is left afterwards.
    Residue = "residue",
}

impl Attack {
    /// An attack that needs nothing and is tried in the shared sandbox.
    pub(crate) const fn new(
        name: &'static str,
        class: Class,
        expected: Expected,
        issues: &'static [&'static str],
        run: fn(&Facts) -> Seen,
    ) -> Self {
        Self {
            name,
            class,
            mechanism: name,
            expected,
            needs: Need::Nothing,
            call: None,
            inet: false,
            demand: None,
            issues,
            place: Place::Shared,
            run,
        }
    }

    pub(crate) const fn needs(self, needs: Need) -> Self {
        Self { needs, ..self }
    }

    pub(crate) const fn expecting(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }

    pub(crate) const fn call(self, call: Sysno) -> Self {
        Self { call: Some(call), ..self }
    }

    pub(crate) const fn inet(self) -> Self {
        Self { inet: true, ..self }
    }

    pub(crate) const fn where_asked(self, demand: Demand) -> Self {
        Self { demand: Some(demand), ..self }
    }

    pub(crate) const fn like(self, mechanism: &'static str) -> Self {
        Self { mechanism, ..self }
    }

    pub(crate) const fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// The wall that held it, when this is what was seen; none when it was not held.
    pub fn held_by(&self, seen: Seen) -> Option<&'static str> {
        self.expected.iter().find(|(due, _)| *due == seen).map(|(_, wall)| *wall)
    }

    /// What had to be seen, in words.
    pub fn expectation(&self) -> String {
        let mut words: Vec<String> = self.expected.iter().map(|(seen, _)| seen.to_string()).collect();
        words.dedup();
        words.join(" or ")
    }
}
