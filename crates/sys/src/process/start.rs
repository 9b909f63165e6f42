//! Starting a program without waiting for it.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::{CloneArgs, SIGCHLD};
use crate::call::syscall;
use crate::{Fd, Result, number};

const CLONE_VM: u64 = 0x100;
/// Signals that were handled get their default action in the new process.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// Starts a program by its descriptor, with one other as its standard input and an empty environment, and gives its
/// process id at once.
///
/// `vfork` and `posix_spawn` hold the caller up until the program is executed, and the kernel then leaves both to one
/// processor. Here the kernel places the new process where there is room, and the caller goes on.
///
/// The program starts with all signals blocked, those ignored that the caller ignores, and with all other descriptors
/// that do not close by themselves. Where it cannot be executed, the process ends with the error number as its status.
///
/// It begins on one of the `processors`, a bit mask, if some are given, and remains restricted to them until it chooses
/// otherwise, which it must not before it hears from the caller.
pub fn start(program: Fd, input: Fd, processors: Option<&[u64; 16]>) -> Result<i32> {
    // Two threads that start programs at once may take each other's: either is a place to begin.
    for (place, word) in PROCESSORS.iter().zip(processors.unwrap_or(&[0; 16])) {
        place.store(*word, Ordering::Relaxed);
    }
    const SIG_SETMASK: i32 = 2;
    let (all, mut before) = (u64::MAX, 0u64);
    // SAFETY: both masks are 8 live bytes, as the kernel's sigset is.
    unsafe { syscall!(rt_sigprocmask, SIG_SETMASK, &raw const all, &raw mut before, size_of::<u64>()) }?;
    let flags = CLONE_VM | CLONE_CLEAR_SIGHAND;
    let arguments = CloneArgs { flags, exit_signal: SIGCHLD, ..CloneArgs::default() };
    // SAFETY: all signals are blocked.
    let started = crate::call::result(unsafe { clone_and_execute(&arguments, program, input) });
    // SAFETY: as above; no old mask is asked for.
    unsafe { syscall!(rt_sigprocmask, SIG_SETMASK, &raw const before, 0, size_of::<u64>()) }?;
    let pid = started? as i32;
    if let Some(processors) = processors {
        // It did so by itself if it has run already; where neither works, it begins here.
        let _ = super::set_affinity(pid, processors);
    }
    Ok(pid)
}

/// Where the next child begins; nowhere in particular when all are zero, which the kernel refuses.
static PROCESSORS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

/// What the child reads. It shares our memory and outlives the call that made it, so all of it is constant.
#[repr(C)]
struct Constants {
    /// A pointer to the program's name, and the null pointer after it.
    arguments: [Option<&'static u8>; 2],
    /// The null pointer alone.
    environment: [Option<&'static u8>; 1],
    empty_path: u8,
}

static CONSTANTS: Constants =
    Constants { arguments: [b"launcher\0".first(), None], environment: [None], empty_path: 0 };

/// `clone3` with this memory shared; the child, which has no stack of its own, makes system calls from registers until
/// the last of them executes the program.
///
/// # Safety
/// No signal may be delivered: its handler would run in the child, on the caller's stack.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_and_execute(arguments: &CloneArgs, program: Fd, input: Fd) -> isize {
    let result: isize;
    // SAFETY: the parent only makes the one call, which reads live arguments. The child touches no memory: the kernel
    // reads `CONSTANTS` and `PROCESSORS` for it, and its calls change nothing that it shares with the parent.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 3f",
            "xor edi, edi",
            "mov esi, 128",
            "mov rdx, r15",
            "mov eax, {affinity}",
            "syscall",
            "mov edi, r14d",
            "xor esi, esi",
            "xor edx, edx",
            "mov eax, {dup3}",
            "syscall",
            "test rax, rax",
            "js 2f",
            "mov edi, r13d",
            "lea rsi, [r12 + {path}]",
            "lea rdx, [r12 + {arguments}]",
            "lea r10, [r12 + {environment}]",
            "mov r8d, 0x1000", // AT_EMPTY_PATH
            "mov eax, {execveat}",
            "syscall",
            "2: neg eax",
            "mov edi, eax",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "3:",
            path = const core::mem::offset_of!(Constants, empty_path),
            arguments = const core::mem::offset_of!(Constants, arguments),
            environment = const core::mem::offset_of!(Constants, environment),
            affinity = const number::sched_setaffinity,
            dup3 = const number::dup3,
            execveat = const number::execveat,
            exit = const number::exit_group,
            inlateout("rax") number::clone3 as isize => result,
            in("rdi") arguments,
            in("rsi") size_of::<CloneArgs>(),
            in("r12") &raw const CONSTANTS,
            in("r13") program.0,
            in("r14") input.0,
            in("r15") &raw const PROCESSORS,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// As on x86-64.
///
/// # Safety
/// As on x86-64: no signal may be delivered.
#[cfg(target_arch = "aarch64")]
unsafe fn clone_and_execute(arguments: &CloneArgs, program: Fd, input: Fd) -> isize {
    let result: isize;
    // SAFETY: as on x86-64.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 3f",
            "mov x0, 0",
            "mov x1, 128",
            "mov x2, x23",
            "mov x8, {affinity}",
            "svc 0",
            "mov w0, w22",
            "mov x1, 0",
            "mov x2, 0",
            "mov x8, {dup3}",
            "svc 0",
            "tbnz x0, 63, 2f",
            "mov w0, w21",
            "add x1, x20, {path}",
            "add x2, x20, {arguments}",
            "add x3, x20, {environment}",
            "mov x4, 0x1000",
            "mov x8, {execveat}",
            "svc 0",
            "2: neg x0, x0",
            "mov x8, {exit}",
            "svc 0",
            "brk 1",
            "3:",
            path = const core::mem::offset_of!(Constants, empty_path),
            arguments = const core::mem::offset_of!(Constants, arguments),
            environment = const core::mem::offset_of!(Constants, environment),
            affinity = const number::sched_setaffinity,
            dup3 = const number::dup3,
            execveat = const number::execveat,
            exit = const number::exit_group,
            inlateout("x0") arguments => result,
            in("x1") size_of::<CloneArgs>(),
            in("x8") number::clone3,
            in("x20") &raw const CONSTANTS,
            in("x21") program.0,
            in("x22") input.0,
            in("x23") &raw const PROCESSORS,
            options(nostack),
        );
    }
    result
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;

    use super::*;

    fn fd(file: &impl std::os::fd::AsRawFd) -> Fd {
        Fd(file.as_raw_fd())
    }

    fn status_of(pid: i32) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is live and ours.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        status
    }

    #[test]
    fn a_program_is_started_with_its_standard_input_and_the_caller_goes_on() {
        let cat = File::open("/bin/true").unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let pid = start(fd(&cat), fd(&reader), None).unwrap();
        assert_eq!(status_of(pid), 0);
        drop(writer);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "no process holds the pipe's other end");
    }

    #[test]
    fn what_cannot_be_executed_ends_with_the_error_number() {
        let data = File::open("/proc/self/status").unwrap();
        let pid = start(fd(&data), fd(&data), None).unwrap();
        let status = status_of(pid);
        assert!(libc::WIFEXITED(status));
        assert_eq!(libc::WEXITSTATUS(status), libc::EACCES);
        assert!(data.as_raw_fd() > 2);
    }

    #[test]
    fn the_caller_keeps_its_signal_mask() {
        let status = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let blocked = |text: std::string::String| {
            text.lines().find(|line| line.starts_with("SigBlk")).map(std::string::String::from)
        };
        let before = blocked(status());
        assert!(before.is_some());
        let program = File::open("/bin/true").unwrap();
        status_of(start(fd(&program), fd(&program), None).unwrap());
        assert_eq!(blocked(status()), before);
    }
}
