//! Parts of the kernel that no workload needs: most of its weaknesses of the last years lay there.

use super::*;
use crate::attack::{Class::Kernel, Class::Keyring, Need};

pub(super) static ATTACKS: &[Attack] = &[
    forbidden!(Kernel, io_uring_setup, n(1), w(&mut [0; 120])),
    forbidden!(Kernel, io_uring_enter, n(0), n(1), n(0), n(0), n(0), n(0)),
    forbidden!(Kernel, io_uring_register, n(0), n(2), n(0), n(0)),
    // UFFD_USER_MODE_ONLY, which every user may ask for.
    forbidden!(Kernel, userfaultfd, n(1)),
    // BPF_MAP_CREATE: an array of one number.
    forbidden!(Kernel, bpf, n(0), w(&mut BPF_MAP.clone()), n(72)),
    // BPF_PROG_LOAD with nothing in it.
    Attack::new("bpf-program", Kernel, BY_FILTER, &["bpf"], |_| make(Sysno::bpf, &mut [n(5), w(&mut [0; 72]), n(72)]))
        .like("bpf"),
    // The kernel's own events: PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK.
    forbidden!(Kernel, perf_event_open, w(&mut PERF_CLOCK.clone()), n(0), n(-1), n(-1), n(0)),
    forbidden!(Kernel, fanotify_init, n(0x200), n(0)),
    forbidden!(Kernel, fanotify_mark, n(0), n(1), n(1), n(-100), b(b"/\0")),
    // SECCOMP_SET_MODE_FILTER with SECCOMP_FILTER_FLAG_NEW_LISTENER: a listener of its own could answer for the first.
    Attack::new("seccomp-listener", Kernel, BY_FILTER, &["seccomp"], |_| make(Sysno::seccomp, &mut [n(1), n(8), n(0)]))
        .needs(Need::Call(Sysno::seccomp))
        .call(Sysno::seccomp),
    // PR_SET_SECCOMP: the older road to the same.
    Attack::new("prctl-seccomp", Kernel, BY_FILTER, &["prctl"], |_| make(Sysno::prctl, &mut [n(22), n(2), n(0)])),
    // PR_SET_MM: where the kernel says that one's own program lies.
    Attack::new("prctl-memory-map", Kernel, BY_FILTER, &["prctl"], |_| make(Sysno::prctl, &mut [n(35), n(15), n(0)])),
    // PR_SET_SYSCALL_USER_DISPATCH: calls that never meet the kernel's own entry.
    Attack::new("prctl-call-dispatch", Kernel, BY_FILTER, &["prctl"], |_| {
        make(Sysno::prctl, &mut [n(59), n(0), n(0), n(0), n(0)])
    }),
    // PR_SET_PTRACER to any process.
    Attack::new("prctl-tracer", Kernel, BY_FILTER, &["prctl"], |_| make(Sysno::prctl, &mut [n(0x5961_6d61), n(-1)])),
    // PR_SET_TSC: takes the clock away from those who share it.
    Attack::new("prctl-clock", Kernel, BY_FILTER, &["prctl"], |_| make(Sysno::prctl, &mut [n(26), n(1)])),
    // PR_SET_IO_FLUSHER: may use the memory that is kept for the kernel.
    Attack::new("prctl-io-flusher", Kernel, BY_FILTER, &["prctl"], |_| {
        make(Sysno::prctl, &mut [n(57), n(1), n(0), n(0), n(0)])
    }),
    // READ_IMPLIES_EXEC: what can be read can be executed.
    forbidden!(Kernel, personality, n(0x40_0000)),
    forbidden!(Kernel, kexec_load, n(0), n(0), n(0), n(0)),
    forbidden!(Kernel, kexec_file_load, n(-1), n(-1), n(0), n(0), n(0)),
    forbidden!(Kernel, init_module, b(b"none"), n(4), b(b"\0")),
    forbidden!(Kernel, finit_module, n(0), b(b"\0"), n(0)),
    forbidden!(Kernel, delete_module, b(b"none\0"), n(0x800)),
    // Without its magic numbers it does nothing even where it is let through.
    forbidden!(Kernel, reboot, n(0), n(0), n(0), n(0)),
    forbidden!(Kernel, acct, b(b"/scratch/acct\0")),
    // SYSLOG_ACTION_READ_ALL.
    forbidden!(Kernel, syslog, n(3), w(&mut [0; 512]), n(512)),
    forbidden!(Kernel, settimeofday, b(&[0; 16]), n(0)),
    forbidden!(Kernel, clock_settime, n(0), b(&[0; 16])),
    // ADJ_OFFSET.
    forbidden!(Kernel, clock_adjtime, n(0), w(&mut ADJUST.clone())),
    forbidden!(Kernel, adjtimex, w(&mut ADJUST.clone())),
    forbidden!(Kernel, sethostname, b(b"other"), n(5)),
    forbidden!(Kernel, setdomainname, b(b"other"), n(5)),
    forbidden!(Kernel, vhangup),
    forbidden!(Kernel, lsm_set_self_attr, n(100), w(&mut [0; 64]), n(64), n(0)),
    forbidden!(Kernel, lsm_get_self_attr, n(100), w(&mut [0; 64]), w(&mut [64, 0, 0, 0]), n(0)),
    forbidden!(Kernel, quotactl_fd, n(0), n(0x0080_0005u32 as i32), n(0), w(&mut [0; 256])),
    forbidden!(Keyring, add_key, b(b"user\0"), b(b"hotcell\0"), b(b"value"), n(5), n(-3)),
    forbidden!(Keyring, request_key, b(b"user\0"), b(b"hotcell\0"), b(b"\0"), n(-3)),
    // KEYCTL_JOIN_SESSION_KEYRING.
    forbidden!(Keyring, keyctl, n(1), n(0)),
    // KEYCTL_READ of a key of the host.
    Attack::new("read-key-of-host", Keyring, &[(EPERM, SECCOMP), (EACCES, "keyring")], &["keyctl"], |facts| {
        make(Sysno::keyctl, &mut [n(11), n(facts.number("key")), w(&mut [0; 16]), n(16)])
    })
    .needs(Need::Fact("key")),
];

const BPF_MAP: [u8; 72] = {
    let mut attributes = [0; 72];
    attributes[0] = 2;
    attributes[4] = 4;
    attributes[8] = 8;
    attributes[12] = 1;
    attributes
};

const PERF_CLOCK: [u8; 112] = {
    let mut attributes = [0; 112];
    attributes[0] = 1;
    attributes[4] = 112;
    attributes
};

const ADJUST: [u8; 208] = {
    let mut adjust = [0; 208];
    adjust[0] = 1;
    adjust
};
