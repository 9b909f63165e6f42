//! System call numbers, per architecture; a test compares them with the `libc` crate's.
#![allow(non_upper_case_globals, reason = "the kernel's own names")]

macro_rules! numbers {
    ($($name:ident($libc:ident) = $x86_64:literal | $aarch64:literal,)*) => {
        $(
            #[cfg(target_arch = "x86_64")]
            pub(crate) const $name: usize = $x86_64;
            #[cfg(target_arch = "aarch64")]
            pub(crate) const $name: usize = $aarch64;
        )*

        #[cfg(test)]
        mod tests {
            #[test]
            fn numbers_are_those_of_the_c_library() {
                $(assert_eq!(super::$name as i64, libc::$libc as i64, stringify!($name));)*
            }
        }
    };
}

/// Calls that AArch64 lacks: a number that no call has.
macro_rules! numbers_of_x86_64 {
    ($($name:ident = $x86_64:literal,)*) => {
        $(
            #[cfg(target_arch = "x86_64")]
            pub(crate) const $name: usize = $x86_64;
            #[cfg(not(target_arch = "x86_64"))]
            pub(crate) const $name: usize = usize::MAX;
        )*
    };
}

numbers_of_x86_64! {
    fork = 57,
    vfork = 58,
    arch_prctl = 158,
}

numbers! {
    read(SYS_read) = 0 | 63,
    write(SYS_write) = 1 | 64,
    close(SYS_close) = 3 | 57,
    fstat(SYS_fstat) = 5 | 80,
    mmap(SYS_mmap) = 9 | 222,
    munmap(SYS_munmap) = 11 | 215,
    brk(SYS_brk) = 12 | 214,
    madvise(SYS_madvise) = 28 | 233,
    rt_sigaction(SYS_rt_sigaction) = 13 | 134,
    rt_sigprocmask(SYS_rt_sigprocmask) = 14 | 135,
    rt_sigreturn(SYS_rt_sigreturn) = 15 | 139,
    ioctl(SYS_ioctl) = 16 | 29,
    getpid(SYS_getpid) = 39 | 172,
    socket(SYS_socket) = 41 | 198,
    connect(SYS_connect) = 42 | 203,
    sendmsg(SYS_sendmsg) = 46 | 211,
    bind(SYS_bind) = 49 | 200,
    listen(SYS_listen) = 50 | 201,
    recvmsg(SYS_recvmsg) = 47 | 212,
    clone(SYS_clone) = 56 | 220,
    execve(SYS_execve) = 59 | 221,
    wait4(SYS_wait4) = 61 | 260,
    kill(SYS_kill) = 62 | 129,
    uname(SYS_uname) = 63 | 160,
    fcntl(SYS_fcntl) = 72 | 25,
    chdir(SYS_chdir) = 80 | 49,
    fchdir(SYS_fchdir) = 81 | 50,
    fchmod(SYS_fchmod) = 91 | 52,
    umask(SYS_umask) = 95 | 166,
    ptrace(SYS_ptrace) = 101 | 117,
    getuid(SYS_getuid) = 102 | 174,
    setsid(SYS_setsid) = 112 | 157,
    setgroups(SYS_setgroups) = 116 | 159,
    setresuid(SYS_setresuid) = 117 | 147,
    setresgid(SYS_setresgid) = 119 | 149,
    capset(SYS_capset) = 126 | 91,
    statfs(SYS_statfs) = 137 | 43,
    mlock(SYS_mlock) = 149 | 228,
    mlockall(SYS_mlockall) = 151 | 230,
    pivot_root(SYS_pivot_root) = 155 | 41,
    prctl(SYS_prctl) = 157 | 167,
    mount(SYS_mount) = 165 | 40,
    umount2(SYS_umount2) = 166 | 39,
    clock_gettime(SYS_clock_gettime) = 228 | 113,
    sethostname(SYS_sethostname) = 170 | 161,
    sched_setaffinity(SYS_sched_setaffinity) = 203 | 122,
    getdents64(SYS_getdents64) = 217 | 61,
    exit_group(SYS_exit_group) = 231 | 94,
    keyctl(SYS_keyctl) = 250 | 219,
    set_robust_list(SYS_set_robust_list) = 273 | 99,
    rseq(SYS_rseq) = 334 | 293,
    openat(SYS_openat) = 257 | 56,
    mkdirat(SYS_mkdirat) = 258 | 34,
    unlinkat(SYS_unlinkat) = 263 | 35,
    symlinkat(SYS_symlinkat) = 266 | 36,
    readlinkat(SYS_readlinkat) = 267 | 78,
    ppoll(SYS_ppoll) = 271 | 73,
    unshare(SYS_unshare) = 272 | 97,
    utimensat(SYS_utimensat) = 280 | 88,
    signalfd4(SYS_signalfd4) = 289 | 74,
    dup3(SYS_dup3) = 292 | 24,
    pipe2(SYS_pipe2) = 293 | 59,
    prlimit64(SYS_prlimit64) = 302 | 261,
    seccomp(SYS_seccomp) = 317 | 277,
    execveat(SYS_execveat) = 322 | 281,
    open_tree(SYS_open_tree) = 428 | 428,
    move_mount(SYS_move_mount) = 429 | 429,
    fsopen(SYS_fsopen) = 430 | 430,
    fsconfig(SYS_fsconfig) = 431 | 431,
    fsmount(SYS_fsmount) = 432 | 432,
    clone3(SYS_clone3) = 435 | 435,
    close_range(SYS_close_range) = 436 | 436,
    faccessat2(SYS_faccessat2) = 439 | 439,
    mount_setattr(SYS_mount_setattr) = 442 | 442,
    landlock_create_ruleset(SYS_landlock_create_ruleset) = 444 | 444,
    landlock_add_rule(SYS_landlock_add_rule) = 445 | 445,
    landlock_restrict_self(SYS_landlock_restrict_self) = 446 | 446,
}
