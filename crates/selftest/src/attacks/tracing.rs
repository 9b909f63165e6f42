//! Memory and steering of other processes.

use super::*;
use crate::attack::{Class::Tracing, Need};

/// In the host's namespace there is such a process; here there is not, and the filter comes first.
const TRACE_HOST: Expected = &[(EPERM, SECCOMP), (ESRCH, PIDS)];

pub(super) static ATTACKS: &[Attack] = &[
    // PTRACE_TRACEME.
    forbidden!(Tracing, ptrace, n(0), n(0), n(0), n(0)),
    // PTRACE_SEIZE.
    Attack::new("ptrace-host", Tracing, TRACE_HOST, &["ptrace"], |facts| {
        make(Sysno::ptrace, &mut [n(0x4206), n(facts.number("pid")), n(0), n(0)])
    }),
    Attack::new("ptrace-child", Tracing, BY_FILTER, &["ptrace"], |_| {
        let Ok(child) = hotcell_sys::attempt::fork_by_clone(0) else { return Seen::NoAnswer };
        if child == 0 {
            std::thread::sleep(std::time::Duration::from_secs(10));
            hotcell_sys::process::exit(0)
        }
        make(Sysno::ptrace, &mut [n(0x4206), n(child), n(0), n(0)])
    }),
    forbidden!(Tracing, process_vm_readv, own(), n(0), n(0), n(0), n(0), n(0)),
    forbidden!(Tracing, process_vm_writev, own(), n(0), n(0), n(0), n(0), n(0)),
    // KCMP_FILE of two descriptors of its own.
    forbidden!(Tracing, kcmp, own(), own(), n(0), n(0), n(1)),
    Attack::new("pidfd-of-host", Tracing, NO_PROCESS, &["pidfd_open"], |facts| {
        make(Sysno::pidfd_open, &mut [n(facts.number("pid")), n(0)])
    })
    .needs(Need::Call(Sysno::pidfd_open)),
    Attack::new("take-descriptor", Tracing, BY_FILTER, &["pidfd_open", "pidfd_getfd"], |_| {
        match raw(Sysno::pidfd_open, &mut [n(1), n(0)]) {
            Ok(process) => make(Sysno::pidfd_getfd, &mut [n(process as i32), n(0), n(0)]),
            Err(errno) => Seen::Errno(errno.0),
        }
    })
    .needs(Need::Call(Sysno::pidfd_getfd)),
    Attack::new("memory-of-first-process", Tracing, NOT_THERE, &["openat"], |_| read("/proc/1/mem")),
    Attack::new("environment-of-first-process", Tracing, NOT_THERE, &["openat"], |_| read("/proc/1/environ"))
        .like("memory-of-first-process"),
    Attack::new("root-of-first-process", Tracing, NOT_THERE, &["openat"], |_| {
        Seen::io(std::fs::read_dir("/proc/1/root").map(drop))
    }),
    Attack::new("descriptors-of-first-process", Tracing, NOT_THERE, &["openat"], |_| {
        Seen::io(std::fs::read_dir("/proc/1/fd").map(drop))
    }),
    Attack::new("memory-of-host-process", Tracing, NOT_THERE, &["openat"], |facts| {
        read(&format!("/proc/{}/mem", facts.number("pid")))
    })
    .like("memory-of-first-process"),
    Attack::new("command-of-host-process", Tracing, NOT_THERE, &["openat"], |facts| {
        read(&format!("/proc/{}/cmdline", facts.number("pid")))
    }),
    Attack::new("search-for-processes", Tracing, &[(Seen::Nothing, PIDS)], &["openat", "getdents64"], |_| search()),
];

/// Looks for processes of another process namespace than this one.
fn search() -> Seen {
    let own = std::fs::read_link("/proc/self/ns/pid").ok();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Seen::NoAnswer };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids {
        // What is just ending has no namespace left; the first process shows its own to nobody.
        let other = std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        if other.is_some() && other != own {
            return Seen::Through;
        }
    }
    Seen::Nothing
}
