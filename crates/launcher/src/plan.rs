//! The plan: what the host tells the launcher to do, step by step.
//!
//! The bytes are a version word and then the steps, each a tag byte and its fields; numbers are 8 bytes
//! little-endian, strings are a length (8 bytes), the bytes, and a NUL that the length does not count. The
//! launcher reads them where they lie, without allocating. Host and launcher come from one build, so the
//! format is nobody else's business and may change with every release.

use core::ffi::CStr;

/// First word of every plan: a launcher of another build refuses it.
pub const VERSION: u64 = 0x686f_7463_0000_0001;

/// Most steps in one plan; the largest real one has about 150.
pub const MAX_STEPS: usize = 1024;

/// Most mounts that come with a plan: inputs, code, model, runner.
pub const MAX_MOUNTS: usize = 64;

/// The id that every workload has inside.
pub const INNER_ID: u32 = 65534;

/// One field of a step.
trait Field<'a>: Sized {
    fn put(&self, sink: &mut dyn FnMut(&[u8]));
    fn take(bytes: &mut &'a [u8]) -> Option<Self>;
}

impl<'a> Field<'a> for u64 {
    fn put(&self, sink: &mut dyn FnMut(&[u8])) {
        sink(&self.to_le_bytes());
    }
    fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let (head, tail) = bytes.split_first_chunk::<8>()?;
        *bytes = tail;
        Some(u64::from_le_bytes(*head))
    }
}

impl<'a> Field<'a> for &'a [u8] {
    fn put(&self, sink: &mut dyn FnMut(&[u8])) {
        (self.len() as u64).put(sink);
        sink(self);
        sink(&[0]);
    }
    fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let length = usize::try_from(u64::take(bytes)?).ok()?;
        let (head, tail) = bytes.split_at_checked(length)?;
        *bytes = tail.strip_prefix(&[0])?;
        Some(head)
    }
}

impl<'a> Field<'a> for &'a CStr {
    fn put(&self, sink: &mut dyn FnMut(&[u8])) {
        self.to_bytes().put(sink);
    }
    fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let whole = *bytes;
        let text = <&[u8]>::take(bytes)?;
        // The NUL that `put` wrote lies right behind the text.
        CStr::from_bytes_with_nul(whole.get(8..8 + text.len() + 1)?).ok()
    }
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)? } = $tag:literal,)*) => {
        /// One step of a plan.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Step<'a> {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $kind),* },)*
        }

        impl<'a> Step<'a> {
            /// Writes the step.
            pub fn encode(&self, sink: &mut dyn FnMut(&[u8])) {
                match self {
                    $(Self::$name { $($field),* } => {
                        sink(&[$tag]);
                        $($field.put(sink);)*
                    })*
                }
            }

            fn decode(bytes: &mut &'a [u8]) -> Option<Self> {
                let (tag, rest) = bytes.split_first()?;
                *bytes = rest;
                match tag {
                    $($tag => Some(Self::$name { $($field: <$kind>::take(bytes)?),* }),)*
                    _ => None,
                }
            }
        }
    };
}

steps! {
    // The launcher itself, outside.

    /// The namespaces that the first process is born into.
    Namespaces {
        /// `CLONE_NEW…` flags.
        flags: u64
    } = 1,
    /// The ids outside that [`INNER_ID`] stands for.
    Ids {
        /// User id outside.
        user: u64,
        /// Group id outside.
        group: u64,
        /// Whether the launcher has the right to map them and to drop groups (it is root).
        privileged: u64
    } = 2,
    /// Hands the host a mount of `source` on which one owner appears as the sandbox's own id (needs root).
    IdMount {
        /// Path outside.
        source: &'a CStr,
        /// The owner on the disk.
        user: u64,
        /// The owning group on the disk.
        group: u64
    } = 3,
    // The first process of the sandbox, in order.

    /// A new root file system in memory; what follows is relative to it.
    Root {
        /// tmpfs `size`.
        size: &'a CStr,
        /// tmpfs `nr_inodes`.
        inodes: &'a CStr
    } = 10,
    /// A folder.
    Dir {
        /// Where.
        path: &'a CStr,
        /// Access mode.
        mode: u64
    } = 11,
    /// A symbolic link.
    Link {
        /// Where it points to.
        target: &'a CStr,
        /// Where.
        path: &'a CStr
    } = 12,
    /// A small file.
    File {
        /// Where.
        path: &'a CStr,
        /// Access mode.
        mode: u64,
        /// What is in it.
        content: &'a [u8]
    } = 13,
    /// A file system in memory.
    Tmpfs {
        /// Where.
        path: &'a CStr,
        /// tmpfs `size`.
        size: &'a CStr,
        /// tmpfs `nr_inodes`.
        inodes: &'a CStr,
        /// Whether the kernel may take pages of 2 MiB for large files, which it gives back at once.
        large_pages: u64,
        /// Mount attributes.
        attributes: u64
    } = 14,
    /// A file or folder of the host.
    Bind {
        /// Path outside.
        source: &'a CStr,
        /// Where.
        path: &'a CStr,
        /// Mount attributes.
        attributes: u64,
        /// Device that it must be on; 0 when any.
        device: u64,
        /// Inode that it must be.
        inode: u64
    } = 15,
    /// A mount that came with the plan.
    Attach {
        /// Place of its descriptor among those that came along.
        place: u64,
        /// Where.
        path: &'a CStr,
        /// Mount attributes.
        attributes: u64
    } = 16,
    /// A part of the host's system, if the host has it: a link at its root as a link, all else as a mount.
    Show {
        /// Path outside.
        source: &'a CStr,
        /// Where.
        path: &'a CStr,
        /// Mount attributes.
        attributes: u64
    } = 27,
    /// The process file system.
    Proc {
        /// Where.
        path: &'a CStr
    } = 17,
    /// Opens a folder, or makes a new file, and hands its descriptor to the host.
    Hand {
        /// Where.
        path: &'a CStr,
        /// 0 for a folder, 1 for a new file.
        create: u64
    } = 18,
    /// A FUSE file system, whose device is handed to the host: it does not answer before the host has a server for it.
    Fuse {
        /// Where.
        path: &'a CStr,
        /// Mount attributes.
        attributes: u64
    } = 33,
    /// Makes the mount at a path, and it alone, read-only and more.
    Restrict {
        /// Where.
        path: &'a CStr,
        /// Mount attributes.
        attributes: u64
    } = 19,
    /// Makes the new root the root.
    Pivot {} = 20,
    /// The host name.
    HostName {
        /// It.
        name: &'a [u8]
    } = 21,
    /// A resource limit.
    Limit {
        /// `RLIMIT_…`.
        resource: u64,
        /// Soft and hard.
        value: u64
    } = 22,
    /// The processors that may be used.
    Affinity {
        /// Bit mask, 128 bytes.
        mask: &'a [u8]
    } = 23,
    /// A session keyring of its own.
    Keyring {} = 24,
    /// Ends with its parent, which is the host. (A shell that is handed on ends with its control socket alone.)
    DieWithParent {} = 37,
    /// Waits for the host's word.
    Await {} = 25,
    /// Waits, as a shell that holds nothing of any task, for the rest of the plan and its descriptors.
    Claim {} = 28,
    /// Goes into a control group of version 1.
    ///
    /// A process that moves itself, and it alone, does not wait for the kernel; one that is moved by another does,
    /// for 10 ms and more.
    Join {
        /// Place of the descriptor of the group's `tasks` among those that came along.
        place: u64
    } = 29,
    /// Takes a mount away again; what was bound from it stays.
    Detach {
        /// Where.
        path: &'a CStr
    } = 31,
    /// Empties the bounding set of capabilities, for this process and those to come.
    DropBoundingSet {} = 30,
    /// Switches the loopback interface on.
    Loopback {} = 36,
    /// Gives the loopback interface a second address, with the network around it.
    WidenLoopback {
        /// The address, as a number.
        address: u64,
        /// The network's mask, as a number.
        mask: u64
    } = 70,
    /// Opens a socket at an address of this network, and hands it to the host.
    Listen {
        /// The address, as a number.
        address: u64,
        /// The port.
        port: u64,
        /// 1 for datagrams, 0 for connections.
        datagrams: u64
    } = 71,
    /// A small file in place of one that is there, or is not.
    Replace {
        /// Where.
        path: &'a CStr,
        /// Access mode.
        mode: u64,
        /// What is in it.
        content: &'a [u8]
    } = 72,
    /// A file of the new root shown in place of another one, where that one is there.
    Cover {
        /// The file that is shown.
        source: &'a CStr,
        /// Where.
        path: &'a CStr,
        /// Mount attributes.
        attributes: u64
    } = 73,
    /// A file system of terminals of its own.
    Terminals {
        /// Where.
        path: &'a CStr
    } = 34,
    /// Opens a new terminal, and hands its controlling end to the host and then the other one.
    Terminal {
        /// The multiplexer.
        multiplexer: &'a CStr,
        /// The first terminal.
        terminal: &'a CStr
    } = 35,

    // The workload's process, in order.

    /// Forks the workload's process: the first one stays to reap, the new one goes on here.
    Workload {} = 40,
    /// A control group namespace of its own.
    CgroupNamespace {} = 26,
    /// Standard streams from the descriptors that came with the plan.
    Streams {} = 41,
    /// A session with a terminal that controls it and is all three standard streams.
    Session {
        /// Path inside of the terminal.
        terminal: &'a CStr
    } = 54,
    /// Looks whether this process is alone on its network: in a namespace other than the host's, with nothing but
    /// loopback. Landlock and Seccomp take their second form where it is not.
    LookAround {
        /// Number of the host's network namespace.
        host: u64
    } = 55,
    /// The working directory.
    WorkingDir {
        /// Path inside.
        path: &'a CStr
    } = 42,
    /// Empties all capability sets.
    DropCapabilities {} = 43,
    /// No gain of rights by executing.
    NoNewPrivileges {} = 44,
    /// Begins a Landlock ruleset.
    Landlock {
        /// File system rights handled.
        fs: u64,
        /// TCP rights handled.
        net: u64,
        /// TCP rights handled where this process is not alone on its network.
        net_in_company: u64,
        /// Scopes.
        scoped: u64,
        /// Interface version.
        abi: u64
    } = 45,
    /// Grants rights beneath a path.
    LandlockAllow {
        /// Path inside.
        path: &'a CStr,
        /// Rights.
        rights: u64
    } = 46,
    /// Grants rights beneath what [`Step::Show`] mounted, if anything.
    LandlockAllowShown {
        /// Path inside.
        path: &'a CStr,
        /// Rights where it is a folder.
        folder: u64,
        /// Rights where it is a file.
        file: u64
    } = 53,
    /// Grants rights over a TCP port. Nothing where the kernel knows no such rights.
    LandlockAllowPort {
        /// The port.
        port: u64,
        /// Rights.
        rights: u64
    } = 74,
    /// Puts the ruleset in force.
    LandlockEnforce {} = 47,
    /// Puts the system call filter in force.
    Seccomp {
        /// `struct sock_filter` array.
        program: &'a [u8],
        /// The one where this process is not alone on its network; empty for the same.
        in_company: &'a [u8]
    } = 48,
    /// The same, and hands the host the descriptor at which the kernel tells what the filter does not decide.
    SeccompTold {
        /// `struct sock_filter` array.
        program: &'a [u8],
        /// As above.
        in_company: &'a [u8]
    } = 61,
    /// Tries something and notes what came of it.
    Probe {
        /// See [`Probe`].
        kind: u64,
        /// A path or other text.
        text: &'a CStr,
        /// A number.
        number: u64
    } = 49,
    /// Reports the probes and waits for the host's word.
    Report {} = 50,
    /// Becomes the program, by the first of the candidate paths that exists.
    Execute {
        /// Candidate paths, each NUL-terminated.
        candidates: &'a [u8],
        /// Arguments, each NUL-terminated.
        arguments: &'a [u8],
        /// Environment, each NUL-terminated.
        environment: &'a [u8]
    } = 51,
    /// Closes every descriptor but the standard streams.
    CloseOthers {} = 52,
    /// Asks the kernel for one hardening. What came of it is for a probe to see.
    Harden {
        /// Number of a [`hotcell_sys::harden::Hardening`].
        hardening: u64
    } = 60,
}

macro_rules! probes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What the preflight can try. A probe gives a number, or an error number as its negative.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Probe { $($(#[$doc])* $name = $number,)* }

        impl Probe {
            /// The probe of a number.
            pub fn from_number(number: u64) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

probes! {
    /// Own process id.
    Pid = 1,
    /// Whether the process of that number can be signalled.
    Signal = 2,
    /// The number in a namespace link such as `/proc/self/ns/net`.
    Namespace = 3,
    /// Whether a path exists.
    Exists = 4,
    /// Makes a folder.
    MakeDir = 5,
    /// Sets the times of a file.
    Touch = 6,
    /// Opens a file for reading.
    Open = 7,
    /// Makes a file and maps it as executable.
    MapExecutable = 8,
    /// Makes a file and executes it.
    ExecuteFile = 9,
    /// The hexadecimal number behind a name in `/proc/self/status`.
    Status = 10,
    /// A user namespace of its own.
    NewUserNamespace = 11,
    /// `getpid` by its x32 number.
    X32 = 12,
    /// Asks to be traced.
    Trace = 13,
    /// An `ioctl` of that number on standard input.
    Ioctl = 14,
    /// A socket of that family.
    Socket = 15,
    /// Connects to 192.0.2.1, an address that is nobody's.
    Connect = 16,
    /// Number of network interfaces.
    Interfaces = 17,
    /// Number of open descriptors, the two of this probe's own and its report's not counted.
    Descriptors = 18,
    /// The session keyring.
    Keyring = 19,
    /// A hard resource limit.
    Limit = 20,
    /// Whether the host name is that text: 1 or 0.
    HostName = 21,
    /// Size of a file system in bytes.
    FileSystemSize = 22,
    /// Bytes of environment.
    Environment = 23,
    /// Own user id.
    User = 24,
    /// What the kernel says of the hardening of that number.
    Hardening = 60,
    /// Opens a file for writing.
    OpenToWrite = 61,
    /// Maps a page that is writable and executable at once.
    MapWritableCode = 62,
    /// Asks for the time.
    Clock = 63,
    /// Makes the cycle counter readable.
    CycleCounter = 64,
}

/// The steps of a plan.
pub struct Steps<'a> {
    rest: &'a [u8],
}

/// Begins to read a plan. `None` when it is of another build.
pub fn read(mut bytes: &[u8]) -> Option<Steps<'_>> {
    (u64::take(&mut bytes)? == VERSION).then_some(Steps { rest: bytes })
}

impl<'a> Iterator for Steps<'a> {
    /// A step, or `Err` where the bytes are not one.
    type Item = Result<Step<'a>, ()>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let step = Step::decode(&mut self.rest).ok_or(());
        if step.is_err() {
            self.rest = &[];
        }
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn encode(steps: &[Step<'_>]) -> Vec<u8> {
        let mut bytes = Vec::from(VERSION.to_le_bytes());
        for step in steps {
            step.encode(&mut |part| bytes.extend_from_slice(part));
        }
        bytes
    }

    const SAMPLE: &[Step<'static>] = &[
        Step::Namespaces { flags: 7 },
        Step::Bind { source: c"/usr", path: c"usr", attributes: 1, device: 2, inode: 3 },
        Step::Pivot {},
        Step::File { path: c"etc/hosts", mode: 0o444, content: b"a\0b" },
        Step::Execute { candidates: b"/bin/true\0", arguments: b"true\0", environment: b"" },
    ];

    #[test]
    fn a_plan_reads_back_as_written() {
        let bytes = encode(SAMPLE);
        let steps: Vec<_> = read(&bytes).unwrap().map(|step| step.unwrap()).collect();
        assert_eq!(steps, SAMPLE);
    }

    #[test]
    fn a_cut_or_damaged_plan_is_an_error_and_never_a_panic() {
        let bytes = encode(SAMPLE);
        for length in 0..bytes.len() {
            if let Some(steps) = read(&bytes[..length]) {
                assert!(steps.count() <= SAMPLE.len());
            }
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            if let Some(steps) = read(&damaged) {
                assert!(steps.count() <= bytes.len());
            }
        }
    }
}
