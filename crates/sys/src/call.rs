//! The instruction that enters the kernel.

use core::arch::asm;

use crate::{Errno, Result};

/// Makes a system call with six arguments.
///
/// # Safety
/// The arguments must be what the call expects: pointers valid for what it reads and writes, for as long
/// as it does, and no effect on memory or threads that breaks what the rest of the program relies on.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the registers are those of the x86-64 system call ABI; rcx and r11 are declared clobbered;
    // what the call does with the arguments is this function's own contract.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c,
             in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Makes a system call with six arguments.
///
/// # Safety
/// As on x86-64: the arguments must be what the call expects.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the registers are those of the AArch64 system call ABI; what the call does with the
    // arguments is this function's own contract.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d,
             in("x4") e, in("x5") f, options(nostack));
    }
    result
}

/// The kernel's convention: -4095..-1 are error numbers.
pub(crate) fn result(value: isize) -> Result<usize> {
    if (-4095..0).contains(&value) { Err(Errno(-value as i32)) } else { Ok(value as usize) }
}

/// Arguments, with the missing ones zero.
pub(crate) const fn pad<const N: usize>(given: [usize; N]) -> [usize; 6] {
    let mut arguments = [0; 6];
    let mut at = 0;
    while at < N {
        arguments[at] = given[at];
        at += 1;
    }
    arguments
}

/// A call by name. Each argument is cast to a word; a missing one is zero.
macro_rules! syscall {
    ($name:ident $(, $argument:expr)* $(,)?) => {
        $crate::call::result($crate::call::call($crate::number::$name, $crate::call::pad([$($argument as usize),*])))
    };
}
pub(crate) use syscall;
