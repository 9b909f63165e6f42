//! Priorities, processors, limits, and core dumps.

use hotcell_sys::attempt::fork_by_clone;
use hotcell_sys::limit;

use super::*;
use crate::attack::{Class::Core, Class::Priority, Judge, Need, Place};

/// Hard limits go down only.
const LIMITED: Expected = &[(EPERM, CAPABILITIES)];

pub(super) static ATTACKS: &[Attack] = &[
    Attack::new(
        "higher-priority",
        Priority,
        &[(EACCES, CAPABILITIES), (EPERM, CAPABILITIES)],
        &["setpriority"],
        |_| make(Sysno::setpriority, &mut [n(0), n(0), n(-20)]),
    ),
    // SCHED_FIFO with priority 1.
    Attack::new("real-time", Priority, LIMITED, &["sched_setscheduler"], |_| {
        make(Sysno::sched_setscheduler, &mut [n(0), n(1), b(&[1, 0, 0, 0])])
    }),
    // SCHED_DEADLINE: 10 of each 100 milliseconds.
    Attack::new("deadline", Priority, LIMITED, &["sched_setattr"], |_| {
        make(Sysno::sched_setattr, &mut [n(0), b(&DEADLINE), n(0)])
    }),
    forbidden!(Priority, ioprio_set, n(1), n(0), n(1 << 13)),
    Attack::new("more-descriptors", Priority, LIMITED, &["prlimit64"], |_| raise(limit::NOFILE)),
    Attack::new("more-processes", Priority, LIMITED, &["prlimit64"], |_| raise(limit::NPROC)).like("more-descriptors"),
    Attack::new("larger-files", Priority, LIMITED, &["prlimit64"], |_| raise(limit::FSIZE)).like("more-descriptors"),
    Attack::new("more-locked-memory", Priority, LIMITED, &["prlimit64"], |_| raise(limit::MEMLOCK))
        .like("more-descriptors"),
    Attack::new("higher-nice-limit", Priority, LIMITED, &["prlimit64"], |_| raise(limit::NICE))
        .like("more-descriptors"),
    Attack::new("real-time-limit", Priority, LIMITED, &["prlimit64"], |_| raise(limit::RTPRIO))
        .like("more-descriptors"),
    Attack::new("more-processors", Priority, &[(EPERM, "cpu-limit")], &["sched_setaffinity"], |_| {
        make(Sysno::sched_setaffinity, &mut [n(0), n(128), b(&[255; 128])])
    })
    .needs(Need::Fact("cpu-by-affinity"))
    .at(Place::Alone(&["cpu=1"], Judge::Limit)),
    Attack::new("core-limit", Core, LIMITED, &["prlimit64"], |_| raise(limit::CORE)),
    Attack::new("core-of-a-crash", Core, &[(Seen::Nothing, "core-dumps")], &["tgkill"], |_| crash()),
];

/// `struct sched_attr`: SCHED_DEADLINE, runtime 10 ms, deadline and period 100 ms.
const DEADLINE: [u8; 48] = {
    let mut attributes = [0; 48];
    attributes[0] = 48;
    attributes[4] = 6;
    // 10,000,000 and 100,000,000 nanoseconds.
    attributes[25] = 0x96;
    attributes[24] = 0x80;
    attributes[26] = 0x98;
    attributes[33] = 0xe1;
    attributes[34] = 0xf5;
    attributes[35] = 0x05;
    attributes[41] = 0xe1;
    attributes[42] = 0xf5;
    attributes[43] = 0x05;
    attributes
};

/// Asks for one more than the hard limit.
fn raise(resource: u32) -> Seen {
    let more = match limit::hard(resource) {
        Ok(u64::MAX) => return Seen::Through,
        Ok(hard) => hard + 1,
        Err(errno) => return Seen::Errno(errno.0),
    };
    let mut wanted = [0u8; 16];
    wanted[..8].copy_from_slice(&more.to_ne_bytes());
    wanted[8..].copy_from_slice(&more.to_ne_bytes());
    make(Sysno::prlimit64, &mut [n(0), n(resource as i32), b(&wanted), n(0)])
}

/// Lets a child crash, and sees whether the kernel says that it left a dump.
fn crash() -> Seen {
    match fork_by_clone(0) {
        Ok(0) => {
            // Where a dump could be written.
            let _ = std::env::set_current_dir("/scratch");
            let _ = limit::hard(limit::CORE).and_then(|hard| limit::set(limit::CORE, hard));
            // By SIGABRT, which is no use to ignore; other signals may be ignored since before the sandbox began.
            std::process::abort()
        }
        Ok(child) => match crate::inside::wait(child) {
            Ok(status) if status & 0x7f != 6 => Seen::NoAnswer,
            Ok(status) if status & 0x80 != 0 => Seen::Through,
            Ok(_) => Seen::Nothing,
            Err(_) => Seen::NoAnswer,
        },
        Err(errno) => Seen::Errno(errno.0),
    }
}
