//! Namespaces in all forms: in one of its own, a process has every capability again.

use hotcell_sys::Errno;
use hotcell_sys::attempt::fork_by_clone;
use hotcell_sys::process::{self, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWUTS, Forked};
use syscalls::Sysno;

use super::*;
use crate::attack::{Class::Namespace, Need};

pub(super) static ATTACKS: &[Attack] = &[
    Attack::new("unshare-user", Namespace, BY_FILTER, &["unshare"], |_| Seen::call(process::unshare(CLONE_NEWUSER)))
        .needs(Need::Call(Sysno::unshare))
        .like("unshare"),
    Attack::new("unshare-mounts", Namespace, BY_FILTER, &["unshare"], |_| Seen::call(process::unshare(CLONE_NEWNS)))
        .like("unshare"),
    Attack::new("clone-user", Namespace, BY_FILTER, &["clone"], |_| clone_into(CLONE_NEWUSER)),
    Attack::new("clone-user-and-mounts", Namespace, BY_FILTER, &["clone"], |_| clone_into(CLONE_NEWUSER | CLONE_NEWNS))
        .like("clone-user"),
    Attack::new("clone3-user", Namespace, &[(ENOSYS, SECCOMP)], &["clone3"], |_| clone3_into(CLONE_NEWUSER))
        .needs(Need::Call(Sysno::clone3)),
    Attack::new("setns-by-file", Namespace, BY_FILTER, &["setns"], |_| {
        let file = std::fs::File::open("/proc/self/ns/uts");
        match file {
            Ok(file) => make(Sysno::setns, &mut [fd(&file), n(CLONE_NEWUTS as i32)]),
            Err(error) => Seen::io::<()>(Err(error)),
        }
    })
    .needs(Need::Call(Sysno::setns)),
    Attack::new("setns-by-process", Namespace, BY_FILTER, &["pidfd_open", "setns"], |_| {
        match raw(Sysno::pidfd_open, &mut [own(), n(0)]) {
            Ok(process) => make(Sysno::setns, &mut [n(process as i32), n(CLONE_NEWUSER as i32)]),
            Err(errno) => Seen::Errno(errno.0),
        }
    })
    .needs(Need::Call(Sysno::setns)),
    // NS_GET_PARENT (0xb702): a descriptor for the namespace above.
    Attack::new("parent-of-user-namespace", Namespace, &[(EPERM, USERS)], &["ioctl"], |_| climb("user", 0xb702)),
    Attack::new("parent-of-process-namespace", Namespace, &[(EPERM, PIDS)], &["ioctl"], |_| climb("pid", 0xb702))
        .like("parent-of-user-namespace"),
    // NS_GET_USERNS (0xb701) gives the sandbox's own; the one above that is out of reach.
    Attack::new("owner-of-network-namespace", Namespace, &[(EPERM, USERS)], &["ioctl"], |_| {
        let Ok(net) = std::fs::File::open("/proc/self/ns/net") else { return Seen::NoAnswer };
        match hotcell_sys::file::ioctl_number(raw_fd(&net), 0xb701, 0) {
            Ok(owner) => Seen::call(hotcell_sys::file::ioctl_number(hotcell_sys::Fd(owner as i32), 0xb702, 0)),
            Err(errno) => Seen::Errno(errno.0),
        }
    }),
    Attack::new("namespace-of-first-process", Namespace, NOT_THERE, &["openat"], |_| {
        Seen::io(std::fs::File::open("/proc/1/ns/mnt").map(drop))
    }),
];

fn clone_into(flags: u64) -> Seen {
    match fork_by_clone(flags) {
        Ok(0) => process::exit(0),
        other => Seen::call(other),
    }
}

fn clone3_into(flags: u64) -> Seen {
    match process::fork_into(flags) {
        Ok(Forked::Child) => process::exit(0),
        Ok(Forked::Parent { .. }) => Seen::Through,
        Err(Errno(number)) => Seen::Errno(number),
    }
}

fn climb(kind: &str, request: u64) -> Seen {
    match std::fs::File::open(format!("/proc/self/ns/{kind}")) {
        Ok(file) => Seen::call(hotcell_sys::file::ioctl_number(raw_fd(&file), request, 0)),
        Err(error) => Seen::io::<()>(Err(error)),
    }
}
