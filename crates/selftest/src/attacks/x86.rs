//! Entries, calls and instructions that only x86-64 has.

use hotcell_sys::attempt::{Entry, Instruction, attempt, attempt_int80, execute_instruction};

use super::*;
use crate::attack::{Class::Device, Class::Entry as Entries, Class::Sensor, Need};

/// The kernel ends a process whose architecture the filter does not know.
const BY_ARCHITECTURE: Expected = &[(Seen::Signal(31), SECCOMP)];
/// The processor faults.
const FAULT: Expected = &[(Seen::Signal(11), "the processor")];

pub(super) static ATTACKS: &[Attack] = &[
    // CLONE_NEWUSER.
    Attack::new("high-bits-of-number", Entries, BY_FILTER, &["unshare"], |_| {
        Seen::call(attempt(Entry::HighBits, Sysno::unshare.id() as u32, &mut [n(0x1000_0000)]))
    }),
    Attack::new("x32-number", Entries, BY_FILTER, &[], |_| {
        Seen::call(attempt(Entry::X32, Sysno::unshare.id() as u32, &mut [n(0x1000_0000)]))
    })
    .needs(Need::X32),
    // x32's own number of ptrace.
    Attack::new("x32-own-number", Entries, BY_FILTER, &[], |_| Seen::call(attempt(Entry::X32, 521, &mut [])))
        .needs(Need::X32),
    // getpid, which every 64-bit program may call.
    Attack::new("int-80", Entries, BY_ARCHITECTURE, &[], |_| Seen::call(attempt_int80(20))).needs(Need::Int80),
    // The number of ptrace there is that of an allowed call here.
    Attack::new("int-80-of-ptrace", Entries, BY_ARCHITECTURE, &[], |_| Seen::call(attempt_int80(26)))
        .needs(Need::Int80)
        .like("int-80"),
    forbidden!(Device, iopl, n(3)),
    forbidden!(Device, ioperm, n(0x80), n(1), n(1)),
    forbidden!(Kernel, modify_ldt, n(0), w(&mut [0; 16]), n(16)).needs(Need::CallWithZeroes(Sysno::modify_ldt)),
    forbidden!(Kernel, sysfs, n(3)),
    forbidden!(Kernel, ustat, n(0), w(&mut [0; 64])),
    forbidden!(Kernel, uselib, b(b"/scratch/none\0")),
    forbidden!(Device, mknod, b(b"/scratch/mem-too\0"), n(0o020_666), n(0x101)),
    Attack::new("read-port", Device, FAULT, &[], |_| executed(Instruction::ReadPort)),
    Attack::new("interrupts-off", Device, FAULT, &[], |_| executed(Instruction::NoInterrupts)),
    Attack::new("read-processor-register", Sensor, FAULT, &[], |_| executed(Instruction::ReadMsr)),
    Attack::new("read-processor-counter", Sensor, FAULT, &[], |_| executed(Instruction::ReadCounter)),
];

fn executed(instruction: Instruction) -> Seen {
    execute_instruction(instruction);
    Seen::Through
}
