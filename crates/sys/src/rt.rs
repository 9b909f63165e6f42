//! The start of a program without a C library: entry, panic, and the memory functions that the compiler
//! calls. Built only into the launcher, by `--cfg hotcell_rt`.

use core::arch::{asm, global_asm};

unsafe extern "C" {
    /// Defined by the program: its main function.
    safe fn hotcell_main() -> !;
}

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor %ebp, %ebp", "and $-16, %rsp", "call {main}", "ud2", main = sym hotcell_main, options(att_syntax));

#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x30, #0", "bl {main}", "brk #1", main = sym hotcell_main);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    crate::process::exit(125)
}

/// C's `memcpy`.
///
/// # Safety
/// As in C: both ranges valid and apart.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller vouches for `count` bytes at both ends; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") target => _, inout("rsi") source => _,
             options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    for at in 0..count {
        // SAFETY: `at` is below `count`; volatile, so that the compiler does not make this loop a call to memcpy.
        unsafe {
            core::ptr::write_volatile(target.add(at), core::ptr::read_volatile(source.add(at)));
        }
    }
    target
}

/// C's `memmove`.
///
/// # Safety
/// As in C: both ranges valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
    if (target as usize) < (source as usize) {
        for at in 0..count {
            // SAFETY: forwards, a byte is read before it is overwritten.
            unsafe {
                core::ptr::write_volatile(target.add(at), core::ptr::read_volatile(source.add(at)));
            }
        }
    } else {
        for at in (0..count).rev() {
            // SAFETY: backwards, a byte is read before it is overwritten.
            unsafe {
                core::ptr::write_volatile(target.add(at), core::ptr::read_volatile(source.add(at)));
            }
        }
    }
    target
}

/// C's `memset`.
///
/// # Safety
/// As in C: the range valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(target: *mut u8, value: i32, count: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller vouches for `count` bytes; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep stosb", inout("rcx") count => _, inout("rdi") target => _, in("al") value as u8,
             options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    for at in 0..count {
        // SAFETY: `at` is below `count`; volatile, so that the compiler does not make this loop a call to memset.
        unsafe {
            core::ptr::write_volatile(target.add(at), value as u8);
        }
    }
    target
}

/// C's `memcmp`.
///
/// # Safety
/// As in C: both ranges valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // SAFETY: `at` is below `count`.
        let (one, other) = unsafe { (core::ptr::read_volatile(left.add(at)), core::ptr::read_volatile(right.add(at))) };
        if one != other {
            return i32::from(one) - i32::from(other);
        }
    }
    0
}

/// C's `bcmp`.
///
/// # Safety
/// As in C: both ranges valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    // SAFETY: passed on.
    unsafe { memcmp(left, right, count) }
}

/// C's `strlen`.
///
/// # Safety
/// As in C: a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the caller vouches for a NUL, before which the loop does not leave the string.
    while unsafe { core::ptr::read_volatile(text.add(length)) } != 0 {
        length += 1;
    }
    length
}
