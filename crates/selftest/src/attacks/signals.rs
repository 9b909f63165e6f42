//! Signals to processes of the host, and settings of theirs.

use super::*;
use crate::attack::{Class::Signal, Judge, Need, Place};

/// An attack on the host's process by its number, which signal 0 or a mere question stands for: it would be
/// answered in the host's namespace.
macro_rules! at_host {
    ($name:literal, $call:ident, |$pid:ident| [$($word:expr),* $(,)?]) => {
        Attack::new($name, Signal, NO_PROCESS, &[stringify!($call)], |facts| {
            let $pid = || n(facts.number("pid"));
            make(Sysno::$call, &mut [$($word),*])
        })
    };
}

/// `siginfo_t` as `sigqueue` makes it: signal 0, SI_QUEUE.
const QUEUED: [u8; 128] = {
    let mut info = [0; 128];
    info[8] = 0xff;
    info[9] = 0xff;
    info[10] = 0xff;
    info[11] = 0xff;
    info
};

pub(super) static ATTACKS: &[Attack] = &[
    at_host!("kill-host", kill, |pid| [pid(), n(0)]),
    at_host!("tkill-host", tkill, |pid| [pid(), n(0)]),
    at_host!("tgkill-host", tgkill, |pid| [pid(), pid(), n(0)]),
    at_host!("queue-signal-to-host", rt_sigqueueinfo, |pid| [pid(), n(0), b(&QUEUED)]),
    at_host!("queue-signal-to-host-thread", rt_tgsigqueueinfo, |pid| [pid(), pid(), n(0), b(&QUEUED)]),
    at_host!("limits-of-host", prlimit64, |pid| [pid(), n(7), n(0), w(&mut [0; 16])]),
    at_host!("affinity-of-host", sched_setaffinity, |pid| [pid(), n(128), b(&[255; 128])]),
    at_host!("ask-affinity-of-host", sched_getaffinity, |pid| [pid(), n(128), w(&mut [0; 128])]),
    at_host!("priority-of-host", setpriority, |pid| [n(0), pid(), n(19)]),
    at_host!("ask-priority-of-host", getpriority, |pid| [n(0), pid()]),
    at_host!("scheduler-of-host", sched_setscheduler, |pid| [pid(), n(0), b(&[0; 4])]),
    at_host!("ask-scheduler-of-host", sched_getscheduler, |pid| [pid()]),
    at_host!("attributes-of-host", sched_setattr, |pid| [pid(), b(&ORDINARY), n(0)]),
    at_host!("parameters-of-host", sched_setparam, |pid| [pid(), b(&[0; 4])]),
    at_host!("session-of-host", getsid, |pid| [pid()]),
    at_host!("group-of-host", getpgid, |pid| [pid()]),
    at_host!("move-host-to-group", setpgid, |pid| [pid(), n(0)]),
    Attack::new("kill-group-of-host", Signal, NO_PROCESS, &["kill"], |facts| {
        make(Sysno::kill, &mut [n(-facts.number("group")), n(0)])
    })
    .needs(Need::Fact("group")),
    // F_SETOWN: whom the kernel signals when input arrives.
    Attack::new("signal-by-input", Signal, NO_PROCESS, &["fcntl"], |facts| {
        let Ok((reader, _writer)) = rustix::pipe::pipe() else { return Seen::NoAnswer };
        make(Sysno::fcntl, &mut [fd(&reader), n(8), n(facts.number("pid"))])
    }),
    Attack::new("io-priority-of-host", Signal, &[(EPERM, SECCOMP), (ESRCH, PIDS)], &["ioprio_set"], |facts| {
        make(Sysno::ioprio_set, &mut [n(1), n(facts.number("pid")), n(3 << 13)])
    })
    .needs(Need::Call(Sysno::ioprio_set)),
    Attack::new("kill-first-process", Signal, &[(EPERM, LANDLOCK)], &["kill"], |_| {
        make(Sysno::kill, &mut [n(1), n(0)])
    }),
    Attack::new(
        "kill-first-process-by-descriptor",
        Signal,
        &[(EPERM, LANDLOCK)],
        &["pidfd_open", "pidfd_send_signal"],
        |_| match raw(Sysno::pidfd_open, &mut [n(1), n(0)]) {
            Ok(process) => make(Sysno::pidfd_send_signal, &mut [n(process as i32), n(0), n(0), n(0)]),
            Err(errno) => Seen::Errno(errno.0),
        },
    )
    .needs(Need::Call(Sysno::pidfd_send_signal)),
    // That the report arrives, and at whom, shows that whoever should live does.
    Attack::new("kill-everyone", Signal, &[(Seen::Nothing, PIDS)], &["kill"], |_| {
        let _ = make(Sysno::kill, &mut [n(-1), n(9)]);
        Seen::Nothing
    })
    .at(Place::Alone(&[], Judge::Survival)),
];

/// `struct sched_attr`: SCHED_OTHER.
const ORDINARY: [u8; 48] = {
    let mut attributes = [0; 48];
    attributes[0] = 48;
    attributes
};
