//! The system call filter: an allow-list compiled to a balanced tree of classic BPF.
//!
//! The filter looks at the architecture first, then at bit 30 of the number (x32 shares the architecture of
//! x86-64), then finds the number by halving, and looks at arguments only for the few calls where they
//! matter, so that the kernel can cache the answer for all others. What is known and not allowed gets
//! `EPERM`; a number that no kernel of this build had gets `ENOSYS`, which programs take as "try the older
//! call", as does `clone3`, whose flags lie in memory where a filter cannot see them.

use std::collections::BTreeMap;

use hotcell_sys::Errno;
use hotcell_sys::seccomp::INSTRUCTION_BYTES;
use syscalls::Sysno;

use crate::error::IsolateError;

/// What the filter is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterRules<'a> {
    /// Names of the calls that may pass.
    pub allowed: &'a [&'a str],
    /// Whether IPv4 and IPv6 sockets may be opened (they lead nowhere but to loopback).
    pub inet: bool,
    /// Whether memory may never be writable and executable at once, nor become executable.
    pub write_xor_execute: bool,
    /// Whether no page may be offered for merging with those of others.
    pub unmerged: bool,
    /// Whether the program may make the cycle counter fault, and never readable again.
    pub tsc: bool,
    /// Whether calls that are refused with `EPERM` wait for whoever listens to refuse them.
    pub told: bool,
}

/// A compiled filter: an array of `struct sock_filter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    bytes: Vec<u8>,
}

impl Filter {
    /// Compiles the rules for this build's architecture.
    ///
    /// # Errors
    /// A name that is no system call here is skipped if another architecture has it, else refused.
    pub fn compile(rules: &FilterRules<'_>) -> Result<Self, IsolateError> {
        Self::compile_for(&NATIVE, rules)
    }

    /// Compiles the rules for an architecture.
    fn compile_for(architecture: &Architecture, rules: &FilterRules<'_>) -> Result<Self, IsolateError> {
        // By number, what happens to each that is known.
        let mut actions = vec![Action::Refuse(Errno::EPERM); (architecture.highest)() as usize + 1];
        let mut set = |number: u32, action| {
            if let Some(place) = actions.get_mut(number as usize) {
                *place = action;
            }
        };
        for name in rules.allowed {
            match (architecture.number)(name) {
                Some(number) => set(number, action_of(name, rules)),
                None if OTHER_ARCHITECTURES.contains(name) => continue,
                None => return Err(IsolateError::UnknownCall { name: (*name).to_owned() }),
            };
        }
        // Its flags lie in memory: the C libraries fall back to `clone`, whose flags can be seen.
        if let Some(number) = (architecture.number)("clone3") {
            set(number, Action::Refuse(Errno::ENOSYS));
        }
        Ok(Self { bytes: Assembler::assemble(architecture.audit, &segments(&actions), rules.told) })
    }

    /// The bytes for the kernel.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of instructions.
    pub fn instructions(&self) -> usize {
        self.bytes.len() / INSTRUCTION_BYTES
    }
}

/// Names and numbers of an architecture's calls.
struct Architecture {
    /// As the kernel tells a filter (`linux/audit.h`).
    audit: u32,
    /// The number of a call.
    number: fn(&str) -> Option<u32>,
    /// The highest number that is known.
    highest: fn() -> u32,
}

/// This build's.
const NATIVE: Architecture = Architecture {
    audit: ARCHITECTURE,
    number: |name| name.parse::<Sysno>().ok().map(|call| call.id() as u32),
    highest: || Sysno::iter().map(|call| call.id() as u32).max().unwrap_or(0),
};

/// Calls that the allow-list names and that x86-64 or AArch64 lacks.
const OTHER_ARCHITECTURES: &[&str] = &[
    "access",
    "alarm",
    "arch_prctl",
    "chmod",
    "chown",
    "creat",
    "dup2",
    "epoll_create",
    "epoll_wait",
    "eventfd",
    "fork",
    "futimesat",
    "getdents",
    "getpgrp",
    "inotify_init",
    "lchown",
    "link",
    "lstat",
    "mkdir",
    "mknod",
    "newfstatat",
    "open",
    "pause",
    "pipe",
    "poll",
    "readlink",
    "rename",
    "renameat",
    "rmdir",
    "select",
    "sendfile",
    "signalfd",
    "stat",
    "symlink",
    "time",
    "unlink",
    "utime",
    "utimes",
    "vfork",
];

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Allow,
    Refuse(Errno),
    Check(Check),
    /// `prctl` with these options, and the one that makes the cycle counter fault.
    ControlWithTsc,
    /// A socket: of this machine's path sockets any, of IPv4 and IPv6 plain TCP and UDP.
    Socket,
}

/// A look at one argument's low 32 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    argument: u32,
    mask: u32,
    values: &'static [u32],
    on_match: bool,
}

impl Check {
    /// Passes only these values.
    const fn only(argument: u32, mask: u32, values: &'static [u32]) -> Action {
        Action::Check(Self { argument, mask, values, on_match: true })
    }

    /// Passes all but these values.
    const fn except(argument: u32, mask: u32, values: &'static [u32]) -> Action {
        Action::Check(Self { argument, mask, values, on_match: false })
    }
}

const WHOLE: u32 = u32::MAX;

/// `CLONE_NEWTIME | CLONE_NEWNS | CGROUP | UTS | IPC | USER | PID | NET`.
const NAMESPACE_FLAGS: u32 = 0x80 | 0x0002_0000 | 0x7e00_0000;

/// Terminal requests that inject input, take the console, or change the line's discipline.
const FORBIDDEN_IOCTLS: &[u32] = &[
    0x5412, // TIOCSTI
    0x541c, // TIOCLINUX
    0x541d, // TIOCCONS
    0x5423, // TIOCSETD
];

/// What `prctl` may be asked: names, signals, timers, and the reading of one's own state.
const PRCTL_OPTIONS: &[u32] = &[
    1,
    2, // parent death signal
    3,
    4, // dumpable
    15,
    16, // name
    21, // get seccomp
    23, // read the bounding set
    25, // get TSC
    29,
    30, // timer slack
    36,
    37, // child subreaper
    38,
    39, // no new privileges
    40, // own thread id address
    41,
    42, // transparent huge pages
    47, // ambient capabilities: there are none to raise
    52, // get speculation control
    65,
    66,          // memory-deny-write-execute
    0x5356_4d41, // names of mappings
];

/// The argument rules. The flags of `open` and the like need none: what they could reach is not there.
fn action_of(name: &str, rules: &FilterRules<'_>) -> Action {
    const UNIX: &[u32] = &[1];
    match name {
        "clone" => Check::only(0, NAMESPACE_FLAGS, &[0]),
        "ioctl" => Check::except(1, WHOLE, FORBIDDEN_IOCTLS),
        "prctl" if rules.tsc => Action::ControlWithTsc,
        "prctl" => Check::only(0, WHOLE, PRCTL_OPTIONS),
        "socket" if rules.inet => Action::Socket,
        "socket" | "socketpair" => Check::only(0, WHOLE, UNIX),
        // Asking, the default, and without randomisation of addresses (debuggers, some compilers).
        "personality" => Check::only(0, WHOLE, &[0xffff_ffff, 0, 0x0004_0000]),
        // Files, pipes and sockets; never a device.
        "mknod" => Check::only(1, 0o170000, &[0, 0o100000, 0o010000, 0o140000]),
        "mknodat" => Check::only(2, 0o170000, &[0, 0o100000, 0o010000, 0o140000]),
        // PROT_WRITE and PROT_EXEC together; to make pages executable afterwards.
        "mmap" if rules.write_xor_execute => Check::except(2, 6, &[6]),
        "mprotect" | "pkey_mprotect" if rules.write_xor_execute => Check::except(2, 4, &[4]),
        // MADV_MERGEABLE.
        "madvise" if rules.unmerged => Check::except(2, WHOLE, &[12]),
        // SHM_EXEC.
        "shmat" if rules.write_xor_execute => Check::except(2, 0o100000, &[0o100000]),
        _ => Action::Allow,
    }
}

/// Runs of numbers with one action: where each begins.
fn segments(actions: &[Action]) -> Vec<(u32, Action)> {
    let mut segments: Vec<(u32, Action)> = Vec::new();
    let unknown = Action::Refuse(Errno::ENOSYS);
    for (number, action) in (0..).zip(actions.iter().chain([&unknown])) {
        if segments.last().is_none_or(|(_, last)| last != action) {
            segments.push((number, action.clone()));
        }
    }
    segments
}

/// Assembles backwards, so that every jump's target is known when the jump is written.
struct Assembler {
    /// Instructions, the last one first.
    reversed: Vec<(u16, u8, u8, u32)>,
    allow: usize,
    refuse: BTreeMap<i32, usize>,
}

// linux/bpf_common.h and linux/seccomp.h.
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const USER_NOTIF: u32 = 0x7fc0_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
const X32_BIT: u32 = 0x4000_0000;

impl Assembler {
    fn assemble(architecture: u32, segments: &[(u32, Action)], told: bool) -> Vec<u8> {
        let mut assembler = Self { reversed: Vec::new(), allow: 0, refuse: BTreeMap::new() };
        assembler.push(RETURN, 0, 0, KILL_PROCESS);
        let kill = assembler.here();
        assembler.push(RETURN, 0, 0, ALLOW);
        assembler.allow = assembler.here();
        for errno in [Errno::ENOSYS, Errno::EPERM] {
            let waits = told && errno == Errno::EPERM;
            assembler.push(RETURN, 0, 0, if waits { USER_NOTIF } else { ERRNO | errno.0 as u32 });
            let here = assembler.here();
            assembler.refuse.insert(errno.0, here);
        }
        let tree = assembler.tree(segments);
        let refuse = assembler.refuse(Errno::EPERM);
        assembler.branch(JUMP_AT_LEAST, X32_BIT, refuse, tree);
        assembler.push(LOAD_WORD, 0, 0, NUMBER_AT);
        let numbers = assembler.here();
        assembler.branch(JUMP_EQUAL, architecture, numbers, kill);
        assembler.push(LOAD_WORD, 0, 0, ARCHITECTURE_AT);
        assembler.bytes()
    }

    /// The code that finds the number at hand among these segments; gives its entry.
    fn tree(&mut self, segments: &[(u32, Action)]) -> usize {
        match segments {
            [] => self.refuse(Errno::EPERM),
            [(_, action)] => self.action(action),
            _ => {
                let (lower, upper) = segments.split_at(segments.len() / 2);
                let first_of_upper = upper.first().map_or(0, |(start, _)| *start);
                let upper = self.tree(upper);
                let lower = self.tree(lower);
                self.branch(JUMP_AT_LEAST, first_of_upper, upper, lower);
                self.here()
            }
        }
    }

    fn action(&mut self, action: &Action) -> usize {
        match action {
            Action::Allow => self.allow,
            Action::Refuse(errno) => self.refuse(*errno),
            Action::Check(check) => {
                let refuse = self.refuse(Errno::EPERM);
                let (matched, otherwise) = if check.on_match { (self.allow, refuse) } else { (refuse, self.allow) };
                self.check(check, matched, otherwise)
            }
            Action::ControlWithTsc => {
                // PR_SET_TSC to PR_TSC_SIGSEGV, and to nothing else.
                let refuse = self.refuse(Errno::EPERM);
                let look = |argument, values| Check { argument, mask: WHOLE, values, on_match: true };
                let faults = self.check(&look(1, &[2]), self.allow, refuse);
                let tsc = self.check(&look(0, &[26]), faults, refuse);
                self.check(&look(0, PRCTL_OPTIONS), self.allow, tsc)
            }
            Action::Socket => {
                // Raw sockets, MPTCP, SCTP and their like stay out: parts of the kernel that nobody here needs.
                let refuse = self.refuse(Errno::EPERM);
                let look = |argument, mask, values| Check { argument, mask, values, on_match: true };
                let protocol = self.check(&look(2, WHOLE, &[0, 6, 17]), self.allow, refuse);
                let kind = self.check(&look(1, 0xf, &[1, 2]), protocol, refuse);
                let inet = self.check(&look(0, WHOLE, &[2, 10]), kind, refuse);
                self.check(&look(0, WHOLE, &[1]), self.allow, inet)
            }
        }
    }

    /// The code that looks at an argument and goes to one of two places; gives its entry.
    fn check(&mut self, check: &Check, matched: usize, mut otherwise: usize) -> usize {
        for value in check.values.iter().rev() {
            self.branch(JUMP_EQUAL, *value, matched, otherwise);
            otherwise = self.here();
        }
        if check.mask != WHOLE {
            self.push(AND, 0, 0, check.mask);
        }
        self.push(LOAD_WORD, 0, 0, ARGUMENTS_AT + 8 * check.argument);
        self.here()
    }

    fn refuse(&self, errno: Errno) -> usize {
        self.refuse.get(&errno.0).copied().unwrap_or(0)
    }

    fn push(&mut self, code: u16, if_true: u8, if_false: u8, constant: u32) {
        self.reversed.push((code, if_true, if_false, constant));
    }

    /// The instruction written last, which is the first to run.
    fn here(&self) -> usize {
        self.reversed.len() - 1
    }

    /// A conditional jump to two places that were written before.
    fn branch(&mut self, code: u16, constant: u32, if_true: usize, if_false: usize) {
        let if_true = self.within_reach(if_true);
        let if_false = self.within_reach(if_false);
        let (true_distance, false_distance) = (self.distance(if_true), self.distance(if_false));
        self.push(code, true_distance as u8, false_distance as u8, constant);
    }

    /// A conditional jump reaches 255 instructions; farther ones go by a plain jump on the way.
    fn within_reach(&mut self, target: usize) -> usize {
        // One less than 255, because the other target of the same branch may put one more in between.
        if self.distance(target) < 255 {
            return target;
        }
        let distance = self.distance(target) as u32;
        self.push(JUMP, 0, 0, distance);
        self.here()
    }

    /// Instructions to skip from the next one written to `target`.
    fn distance(&self, target: usize) -> usize {
        self.reversed.len() - target - 1
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.reversed.len() * INSTRUCTION_BYTES);
        for (code, if_true, if_false, constant) in self.reversed.iter().rev() {
            bytes.extend_from_slice(&code.to_ne_bytes());
            bytes.extend_from_slice(&[*if_true, *if_false]);
            bytes.extend_from_slice(&constant.to_ne_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests;
