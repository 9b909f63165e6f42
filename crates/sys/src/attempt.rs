//! Attempts: calls by their bare number, by every entry to the kernel, and instructions that are the kernel's own.
//!
//! For programs that attack the sandbox they are in. What they are refused is their result.

use crate::call::{call, result};
use crate::{Errno, Result, number};

/// One argument of a call.
#[derive(Debug)]
pub enum Word<'a> {
    /// A number, with its sign: nothing of a position-independent program lies at such an address.
    Number(i32),
    /// The address of bytes that the call reads.
    Bytes(&'a [u8]),
    /// The address of bytes that the call may write.
    Buffer(&'a mut [u8]),
}

impl Word<'_> {
    fn value(&mut self) -> usize {
        match self {
            Self::Number(number) => *number as isize as usize,
            Self::Bytes(bytes) => bytes.as_ptr() as usize,
            Self::Buffer(bytes) => bytes.as_mut_ptr() as usize,
        }
    }
}

/// By which door a call enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// As every program does.
    Native,
    /// With bits set above the 32 that count.
    HighBits,
    /// With the bit of x32, which shares the architecture of x86-64.
    X32,
}

/// Makes a call. Calls that return twice or that change where this thread's code and memory lie are
/// answered with EINVAL and not made.
pub fn attempt(entry: Entry, call_number: u32, words: &mut [Word<'_>]) -> Result<usize> {
    if words.len() > 6 || NOT_MADE.contains(&(call_number as usize)) {
        return Err(Errno::EINVAL);
    }
    let mut arguments = [0; 6];
    for (place, word) in arguments.iter_mut().zip(words) {
        *place = word.value();
    }
    let number = match entry {
        Entry::Native => call_number as usize,
        Entry::HighBits => (7 << 32) | call_number as usize,
        Entry::X32 => X32_BIT | call_number as usize,
    };
    // SAFETY: addresses among the arguments are those of live slices, which the call reads or, of `Buffer`s, writes;
    // numbers are below 2^31 or above 2^64 - 2^31, where a position-independent program has no memory; the calls
    // that would change this program's own course are not made (`NOT_MADE`).
    result(unsafe { call(number, arguments) })
}

/// Calls that are not made.
const NOT_MADE: &[usize] = &[
    number::fork,
    number::vfork,
    number::clone,
    number::clone3,
    number::rt_sigreturn,
    number::rt_sigaction,
    number::arch_prctl,
    number::set_robust_list,
    number::rseq,
    number::brk,
];

const X32_BIT: usize = 0x4000_0000;

/// Makes a call without arguments by `int 0x80`, the entry of 32-bit programs.
#[cfg(target_arch = "x86_64")]
pub fn attempt_int80(call_number: u32) -> Result<usize> {
    let result: i32;
    // SAFETY: rbx, which the compiler keeps for itself, is put back; all arguments are zero, so that the call finds
    // no memory; r8 to r11 are declared clobbered, as old kernels clear them.
    unsafe {
        core::arch::asm!(
            "mov {saved}, rbx", "xor ebx, ebx", "int 0x80", "mov rbx, {saved}",
            saved = out(reg) _, inlateout("eax") call_number as i32 => result,
            in("ecx") 0, in("edx") 0, in("esi") 0, in("edi") 0,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    crate::call::result(result as isize)
}

/// Forks by `clone`, into namespaces where flags of those are given: 0 in the child, its id in the parent.
///
/// As after `fork`, the child has a copy of the whole memory: the caller must be single-threaded.
pub fn fork_by_clone(namespaces: u64) -> Result<i32> {
    const SIGCHLD: u64 = 17;
    let flags = (namespaces & NAMESPACES) | SIGCHLD;
    // SAFETY: without CLONE_VM and with no stack given, the child runs on a copy of this stack.
    result(unsafe { call(number::clone, [flags as usize, 0, 0, 0, 0, 0]) }).map(|pid| pid as i32)
}

const NAMESPACES: u64 = 0x80 | 0x0002_0000 | 0x7e00_0000;

/// An instruction that only the kernel may use. Whoever may not is sent SIGSEGV.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction {
    /// Reads the energy counter of the processor package (MSR 0x611).
    ReadMsr,
    /// Reads a hardware performance counter.
    ReadCounter,
    /// Reads an input port (0x80, which no device minds).
    ReadPort,
    /// Switches interrupts off.
    NoInterrupts,
}

/// Executes it; returns only where it is let through.
#[cfg(target_arch = "x86_64")]
pub fn execute_instruction(which: Instruction) {
    match which {
        // SAFETY: reads a register of the processor into eax and edx, or faults.
        Instruction::ReadMsr => unsafe {
            core::arch::asm!("rdmsr", in("ecx") 0x611, out("eax") _, out("edx") _, options(nostack, nomem));
        },
        // SAFETY: reads a counter into eax and edx, or faults.
        Instruction::ReadCounter => unsafe {
            core::arch::asm!("rdpmc", in("ecx") 0, out("eax") _, out("edx") _, options(nostack, nomem));
        },
        // SAFETY: reads one byte of a port that is set aside for diagnosis into al, or faults.
        Instruction::ReadPort => unsafe {
            core::arch::asm!("in al, 0x80", out("al") _, options(nostack, nomem));
        },
        // SAFETY: changes a flag and puts it back, or faults.
        Instruction::NoInterrupts => unsafe {
            core::arch::asm!("cli", "sti", options(nostack, nomem));
        },
    }
}

/// Reads one page in each of `count` pieces of 2 MiB that hold nothing: each needs a page of page tables, which no
/// count of a process's own memory shows.
pub fn spread_page_tables(count: usize) -> Result<()> {
    const PIECE_BYTES: usize = 2 << 20;
    const PROT_READ: usize = 1;
    const PRIVATE_ANONYMOUS_UNRESERVED: usize = 0x2 | 0x20 | 0x4000;
    let length = count * PIECE_BYTES;
    // SAFETY: the kernel chooses a place that nothing uses.
    let start =
        result(unsafe { call(number::mmap, [0, length, PROT_READ, PRIVATE_ANONYMOUS_UNRESERVED, usize::MAX, 0]) })?;
    for piece in 0..count {
        let at = (start + piece * PIECE_BYTES) as *const u8;
        // SAFETY: `at` lies in the mapping just made, which is readable, full of zeroes, and never unmapped.
        unsafe { core::ptr::read_volatile(at) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_high_bits_is_the_call_of_its_low_bits() {
        let own = crate::process::id() as usize;
        let getpid = number::getpid as u32;
        assert_eq!(attempt(Entry::Native, getpid, &mut []), Ok(own));
        #[cfg(target_arch = "x86_64")]
        assert_eq!(attempt(Entry::HighBits, getpid, &mut []), Ok(own));
    }

    #[test]
    fn addresses_are_handed_over_and_calls_of_two_returns_are_not_made() {
        let mut names = [0u8; 6 * 65];
        attempt(Entry::Native, number::uname as u32, &mut [Word::Buffer(&mut names)]).unwrap();
        assert_eq!(&names[..5], b"Linux");
        for refused in NOT_MADE {
            assert_eq!(attempt(Entry::Native, *refused as u32, &mut []), Err(Errno::EINVAL));
        }
        let too_many = [(); 7].map(|()| Word::Number(0));
        assert_eq!(attempt(Entry::Native, number::getpid as u32, &mut { too_many }), Err(Errno::EINVAL));
    }
}
