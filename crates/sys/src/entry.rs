//! The entry point of the `hotcell` program: fetches the pages that are about to be written to at once.
//!
//! A position-independent program begins by relocating itself, which touches every page of its relocated data; each
//! of the 160 touches is a page fault of its own, some 4 µs in a virtual machine. One `madvise` for the whole
//! segment costs a fraction of that. A kernel without `MADV_POPULATE_WRITE` (before 5.14) refuses the call, and
//! nothing is lost. The program keeps its random load address.
//!
//! The linker is told by the program's build script to begin at `hotcell_entry`.

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl hotcell_entry",
    "hotcell_entry:",
    // rdx is the kernel's word to _start, rsp its arguments; all other registers are free.
    "push rdx",
    "lea rbx, [rip + __ehdr_start]",
    "mov r12, [rbx + 32]", // e_phoff
    "add r12, rbx",
    "movzx r13d, word ptr [rbx + 56]", // e_phnum
    "2: test r13d, r13d",
    "jz 4f",
    "cmp dword ptr [r12], 1", // p_type is PT_LOAD
    "jne 3f",
    "test byte ptr [r12 + 4], 2", // p_flags has PF_W
    "jz 3f",
    "mov rdi, [r12 + 16]", // p_vaddr
    "mov rsi, [r12 + 32]", // p_filesz
    "add rdi, rbx",
    "add rsi, rdi",
    "and rdi, -4096",
    "sub rsi, rdi",
    "mov edx, 23", // MADV_POPULATE_WRITE
    "mov eax, 28", // madvise
    "syscall",
    "3: add r12, 56", // the next program header
    "dec r13d",
    "jmp 2b",
    "4: pop rdx",
    "jmp _start",
);
