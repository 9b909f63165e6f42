//! Processes, their identity and their rights.

mod start;

use core::ffi::{CStr, c_char};

use crate::call::{call, syscall};
use crate::{Errno, Fd, Result, number};

pub use start::start;

/// New mount namespace.
pub const CLONE_NEWNS: u64 = 0x0002_0000;
/// New control group namespace.
pub const CLONE_NEWCGROUP: u64 = 0x0200_0000;
/// New host name.
pub const CLONE_NEWUTS: u64 = 0x0400_0000;
/// New System V IPC and message queues.
pub const CLONE_NEWIPC: u64 = 0x0800_0000;
/// New user namespace.
pub const CLONE_NEWUSER: u64 = 0x1000_0000;
/// New process ids.
pub const CLONE_NEWPID: u64 = 0x2000_0000;
/// New network.
pub const CLONE_NEWNET: u64 = 0x4000_0000;
/// The child's parent is the caller's parent.
pub const CLONE_PARENT: u64 = 0x8000;
const CLONE_PIDFD: u64 = 0x1000;
const SIGCHLD: u64 = 17;

/// SIGKILL.
pub const SIGKILL: i32 = 9;

/// `struct clone_args` of `linux/sched.h`.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The new process.
    Child,
    /// The old one, with the new one's id and a descriptor for it.
    Parent {
        /// Process id.
        pid: i32,
        /// Process descriptor.
        pidfd: Fd,
    },
}

/// Forks into new namespaces.
///
/// The whole memory is copied, as by `fork`: the caller must be single-threaded, as the launcher is.
pub fn fork_into(flags: u64) -> Result<Forked> {
    let mut pidfd: i32 = -1;
    let arguments = CloneArgs {
        flags: flags | CLONE_PIDFD,
        pidfd: &raw mut pidfd as u64,
        // The kernel wants no exit signal of a child that it gives to our parent.
        exit_signal: if flags & CLONE_PARENT != 0 { 0 } else { SIGCHLD },
        ..CloneArgs::default()
    };
    // SAFETY: without CLONE_VM and with no stack given, the child runs on a copy of this stack, as after
    // fork; the structure and `pidfd` are live.
    match unsafe { syscall!(clone3, &raw const arguments, size_of::<CloneArgs>()) }? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent { pid: pid as i32, pidfd: Fd(pidfd) }),
    }
}

/// Ends this process.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: does not return.
        let _ = unsafe { syscall!(exit_group, status) };
    }
}

/// Replaces this process by a program. Returns only the error.
///
/// `arguments` and `environment` are arrays of NUL-terminated strings that end with a null pointer.
pub fn execute(path: &CStr, arguments: &[*const c_char], environment: &[*const c_char]) -> Errno {
    if arguments.last().is_none_or(|last| !last.is_null()) || environment.last().is_none_or(|last| !last.is_null()) {
        return Errno::EINVAL;
    }
    // SAFETY: `path` is NUL-terminated, both arrays end with a null pointer (checked above), and their
    // strings come from the plan, which stays mapped.
    match unsafe { syscall!(execve, path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) } {
        Ok(_) => Errno::EINVAL,
        Err(error) => error,
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Process id.
    pub pid: i32,
    /// The raw wait status.
    pub status: i32,
}

/// Reaps one child that has ended, if there is one; with `wait`, waits for one.
pub fn reap(wait: bool) -> Result<Option<Ended>> {
    const WNOHANG: i32 = 1;
    let mut status: i32 = 0;
    // SAFETY: `status` is live and ours.
    let pid = unsafe { syscall!(wait4, -1isize, &raw mut status, if wait { 0 } else { WNOHANG }, 0) }?;
    Ok((pid != 0).then_some(Ended { pid: pid as i32, status }))
}

/// Sends a signal; 0 only asks whether it could be sent.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: numbers only.
    unsafe { syscall!(kill, pid as isize, signal) }.map(drop)
}

/// This process's id.
pub fn id() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { syscall!(getpid) }.map_or(0, |pid| pid as i32)
}

/// This process's user id.
pub fn user() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { syscall!(getuid) }.map_or(u32::MAX, |id| id as u32)
}

/// Starts a session of its own.
pub fn new_session() -> Result<()> {
    // SAFETY: takes nothing.
    unsafe { syscall!(setsid) }.map(drop)
}

/// Sets real, effective and saved group and user ids.
pub fn set_ids(user: u32, group: u32) -> Result<()> {
    // SAFETY: numbers only; the launcher has one thread, so that none keeps the old ids.
    unsafe { syscall!(setresgid, group, group, group) }?;
    // SAFETY: as above.
    unsafe { syscall!(setresuid, user, user, user) }.map(drop)
}

/// Drops all supplementary groups.
pub fn drop_groups() -> Result<()> {
    // SAFETY: a list of length zero is not read.
    unsafe { syscall!(setgroups, 0, 0) }.map(drop)
}

/// Leaves these namespaces for new ones.
pub fn unshare(flags: u64) -> Result<()> {
    // SAFETY: namespaces only; none of the flags touches memory.
    unsafe { syscall!(unshare, flags) }.map(drop)
}

/// `prctl` with numeric arguments.
pub fn control(option: i32, a: u64, b: u64, c: u64, d: u64) -> Result<usize> {
    // SAFETY: used only with options that take numbers.
    unsafe { syscall!(prctl, option, a, b, c, d) }
}

/// Dies by SIGKILL when the parent thread dies.
pub fn die_with_parent() -> Result<()> {
    const PR_SET_PDEATHSIG: i32 = 1;
    control(PR_SET_PDEATHSIG, SIGKILL as u64, 0, 0, 0).map(drop)
}

/// No program executed from here on gains rights.
pub fn no_new_privileges() -> Result<()> {
    const PR_SET_NO_NEW_PRIVS: i32 = 38;
    control(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).map(drop)
}

/// Cannot be traced or dumped by its own user.
pub fn not_dumpable() -> Result<()> {
    const PR_SET_DUMPABLE: i32 = 4;
    control(PR_SET_DUMPABLE, 0, 0, 0, 0).map(drop)
}

/// May be looked at by its own user again, as every program is after `execve`.
pub fn dumpable() -> Result<()> {
    const PR_SET_DUMPABLE: i32 = 4;
    control(PR_SET_DUMPABLE, 1, 0, 0, 0).map(drop)
}

/// Empties the bounding set of capabilities. What is dropped already is not dropped again, which is far cheaper.
pub fn drop_bounding_set() -> Result<()> {
    const PR_CAPBSET_READ: i32 = 23;
    const PR_CAPBSET_DROP: i32 = 24;
    for capability in 0..64 {
        match control(PR_CAPBSET_READ, capability, 0, 0, 0) {
            Ok(0) => {}
            Ok(_) => _ = control(PR_CAPBSET_DROP, capability, 0, 0, 0)?,
            // Beyond the last capability that this kernel has.
            Err(Errno::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Empties the ambient, bounding, effective, permitted and inheritable capability sets.
pub fn drop_capabilities() -> Result<()> {
    drop_bounding_set()?;
    keep_capabilities(0)
}

/// `CAP_IPC_LOCK`, as a mask: locking memory without a limit.
pub const CAP_IPC_LOCK: u64 = 1 << 14;

/// Keeps only the capabilities of a mask, permitted and effective. The bounding set, which is for programs yet to be
/// executed, stays. Every user may keep none; `EPERM` where one to keep is not there.
pub fn keep_capabilities(mask: u64) -> Result<()> {
    const PR_CAP_AMBIENT: i32 = 47;
    const PR_CAP_AMBIENT_CLEAR_ALL: u64 = 4;
    control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)?;
    // struct __user_cap_header_struct (version 3, this process) and for each half: effective, permitted, inheritable.
    let header = [0x2008_0522u32, 0];
    let (low, high) = (mask as u32, (mask >> 32) as u32);
    let sets = [low, low, 0, high, high, 0];
    // SAFETY: both arrays have the sizes that version 3 asks for and are live.
    unsafe { syscall!(capset, header.as_ptr(), sets.as_ptr()) }.map(drop)
}

/// Joins a new, empty session keyring.
pub fn new_session_keyring() -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    unsafe { syscall!(keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) }.map(drop)
}

/// Asks for the id of the session keyring, without making one.
pub fn session_keyring() -> Result<usize> {
    const KEYCTL_GET_KEYRING_ID: i32 = 0;
    const SESSION: isize = -3;
    // SAFETY: numbers only.
    unsafe { syscall!(keyctl, KEYCTL_GET_KEYRING_ID, SESSION, 0) }
}

/// Asks to be traced by the parent.
pub fn trace_me() -> Result<()> {
    // SAFETY: PTRACE_TRACEME (0) takes no pointers.
    unsafe { syscall!(ptrace, 0, 0, 0, 0) }.map(drop)
}

/// Makes a call by its bare number without arguments: for probing filters.
pub fn probe_call(call_number: usize) -> Result<usize> {
    // SAFETY: all arguments are zero; used with getpid under x32's bit and with calls that refuse zeroes.
    crate::call::result(unsafe { call(call_number, [0; 6]) })
}

/// The number of `getpid` with the x32 bit, which a filter that only looks at the architecture misses.
#[cfg(target_arch = "x86_64")]
pub const X32_GETPID: Option<usize> = Some(0x4000_0000 | number::getpid);
/// There is no x32 on this architecture.
#[cfg(not(target_arch = "x86_64"))]
pub const X32_GETPID: Option<usize> = None;

/// Sets the host name of this namespace.
pub fn set_host_name(name: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads `name.len()` bytes of a live slice.
    unsafe { syscall!(sethostname, name.as_ptr(), name.len()) }.map(drop)
}

/// Reads the host name into a buffer of at least 65 bytes.
pub fn host_name(buffer: &mut [u8; 65]) -> Result<()> {
    let mut names = [0u8; 6 * 65];
    // SAFETY: `struct utsname` is six arrays of 65 bytes.
    unsafe { syscall!(uname, names.as_mut_ptr()) }?;
    buffer.copy_from_slice(&names[65..130]);
    Ok(())
}

/// Restricts a process, 0 being this one, to the processors of a bit mask.
pub fn set_affinity(pid: i32, mask: &[u64; 16]) -> Result<()> {
    // SAFETY: the kernel reads 128 bytes of a live array.
    unsafe { syscall!(sched_setaffinity, pid, size_of::<[u64; 16]>(), mask.as_ptr()) }.map(drop)
}
