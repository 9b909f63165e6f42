//! Sockets, memory and queues of the host, and of another sandbox that runs at the same time.

use std::os::unix::net::UnixStream;

use super::*;
use crate::attack::{Class::Between, Need};

const QUEUES: Expected = &[(EPERM, SECCOMP), (ENOENT, "ipc-namespace"), (EACCES, LANDLOCK)];

pub(super) static ATTACKS: &[Attack] = &[
    Attack::new("queue-of-host", Between, QUEUES, &["msgget"], |facts| {
        make(Sysno::msgget, &mut [n(facts.number("ipc")), n(0)])
    })
    .needs(Need::Fact("ipc-queue")),
    Attack::new("shared-memory-of-host", Between, QUEUES, &["shmget"], |facts| {
        make(Sysno::shmget, &mut [n(facts.number("ipc")), n(0), n(0)])
    })
    .needs(Need::Fact("ipc-memory")),
    Attack::new("semaphores-of-host", Between, QUEUES, &["semget"], |facts| {
        make(Sysno::semget, &mut [n(facts.number("ipc")), n(0), n(0)])
    })
    .needs(Need::Fact("ipc-semaphores")),
    Attack::new("posix-queue-of-host", Between, QUEUES, &["mq_open"], |facts| {
        let name = c(&format!("hotcell-{}", facts.text("token")));
        make(Sysno::mq_open, &mut [b(&name), n(2), n(0), n(0)])
    })
    .needs(Need::Fact("posix-queue")),
    Attack::new("path-socket-of-host", Between, NOT_THERE, &["connect"], |facts| {
        Seen::io(UnixStream::connect(facts.text("socket")).map(drop))
    }),
    Attack::new(
        "abstract-socket-of-neighbour",
        Between,
        &[(ECONNREFUSED, "network-namespace"), (EPERM, LANDLOCK)],
        &["connect"],
        |facts| network::abstract_socket(&format!("neighbour-{}", facts.text("token"))),
    )
    .needs(Need::Fact("neighbour")),
    Attack::new("path-socket-of-neighbour", Between, NOT_THERE, &["connect"], |facts| {
        Seen::io(UnixStream::connect(format!("/scratch/neighbour-{}.socket", facts.text("token"))).map(drop))
    })
    .needs(Need::Fact("neighbour")),
    Attack::new("shared-memory-of-neighbour", Between, NOT_THERE, &["openat"], |facts| {
        read(&format!("/dev/shm/neighbour-{}", facts.text("token")))
    })
    .needs(Need::Fact("neighbour")),
    Attack::new("scratch-of-neighbour", Between, NOT_THERE, &["openat"], |facts| {
        read(&format!("/scratch/neighbour-{}", facts.text("token")))
    })
    .needs(Need::Fact("neighbour"))
    .like("shared-memory-of-neighbour"),
    Attack::new("scratch-of-neighbour-by-its-root", Between, NOT_THERE, &["openat"], |facts| {
        any((1..64).map(|pid| read(&format!("/proc/{pid}/root/scratch/neighbour-{}", facts.text("token")))))
    })
    .needs(Need::Fact("neighbour")),
];
