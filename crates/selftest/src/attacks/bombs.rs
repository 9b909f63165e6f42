//! Bombs: everything that could be exhausted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::time::Duration;

use hotcell_sys::attempt::{fork_by_clone, spread_page_tables};
use hotcell_sys::{process, signal};

use super::*;
use crate::attack::{Class::Bomb, Class::Daemon, Judge, Place};

/// More of anything than a sandbox with small limits has.
const MANY: usize = 4096;

const DISK: Expected = &[(ENOSPC, "storage-limit"), (EDQUOT, "storage-limit")];
const PROCESSES: Expected = &[(EAGAIN, "pids-limit")];
const DESCRIPTORS: Expected = &[(EMFILE, "open files")];
const MEMORY: Expected = &[(Seen::Limit, "memory-limit"), (ENOMEM, "memory-limit")];
const SMALL_MEMORY: &[&str] = &["memory=64MiB"];

pub(super) static ATTACKS: &[Attack] = &[
    Attack::new("fork-bomb", Bomb, PROCESSES, &["clone"], |_| fork_until_refused(true)).at(Place::Small),
    Attack::new("zombie-bomb", Bomb, PROCESSES, &["clone"], |_| fork_until_refused(false)).at(Place::Small),
    Attack::new("thread-bomb", Bomb, PROCESSES, &["clone"], |_| {
        let sleep = || std::thread::sleep(Duration::from_secs(60));
        until_refused(|| std::thread::Builder::new().stack_size(64 << 10).spawn(sleep).map(drop))
    })
    .at(Place::Small),
    Attack::new("descriptor-bomb", Bomb, DESCRIPTORS, &["openat"], |_| {
        until_refused(|| File::open("/dev/null").map(std::mem::forget))
    })
    .at(Place::Small),
    Attack::new("pipe-bomb", Bomb, DESCRIPTORS, &["pipe2", "write"], |_| {
        until_refused(|| {
            let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK)?;
            while rustix::io::write(&writer, &[7; 4096]).is_ok() {}
            std::mem::forget((reader, writer));
            Ok(())
        })
    })
    .at(Place::Small),
    Attack::new("socket-bomb", Bomb, DESCRIPTORS, &["socketpair", "write"], |_| {
        until_refused(|| {
            let (one, other) = std::os::unix::net::UnixStream::pair()?;
            one.set_nonblocking(true)?;
            while (&one).write(&[7; 4096]).is_ok() {}
            std::mem::forget((one, other));
            Ok(())
        })
    })
    .at(Place::Small),
    Attack::new("disk-bomb", Bomb, DISK, &["write"], |_| fill("/scratch")).at(Place::Small),
    Attack::new("output-bomb", Bomb, DISK, &["write"], |_| fill("/output")).at(Place::Small).like("disk-bomb"),
    Attack::new("shared-memory-bomb", Bomb, DISK, &["write"], |_| fill("/dev/shm")).at(Place::Small).like("disk-bomb"),
    Attack::new(
        "reservation-bomb",
        Bomb,
        &[(ENOSPC, "storage-limit"), (EFBIG, "storage-limit"), (Seen::Signal(25), "storage-limit")],
        &["fallocate"],
        |_| {
            let path = "/scratch/reserved";
            let Ok(file) = File::create(path) else { return Seen::NoAnswer };
            let seen = make(Sysno::fallocate, &mut [fd(&file), n(0), n(0), n(1 << 30)]);
            let _ = fs::remove_file(path);
            seen
        },
    )
    .at(Place::Small),
    Attack::new(
        "file-size-bomb",
        Bomb,
        &[(EFBIG, "storage-limit"), (Seen::Signal(25), "storage-limit")],
        &["write"],
        |_| {
            let path = "/scratch/one";
            let seen =
                until_refused(|| OpenOptions::new().create(true).append(true).open(path)?.write_all(&[7; 1 << 16]));
            let _ = fs::remove_file(path);
            seen
        },
    )
    .at(Place::Small),
    Attack::new("inode-bomb", Bomb, &[(ENOSPC, "storage-limit"), (Seen::Limit, "memory-limit")], &["openat"], |_| {
        for number in 0..100_000 {
            if let Err(error) = File::create(format!("/scratch/{number}")) {
                return Seen::io::<()>(Err(error));
            }
        }
        Seen::Through
    })
    .at(Place::Alone(&["memory=256MiB"], Judge::Limit)),
    Attack::new("memory-bomb", Bomb, MEMORY, &["mmap"], |_| {
        let mut held: Vec<Vec<u8>> = Vec::new();
        for _ in 0..1024 {
            let mut piece = Vec::new();
            if piece.try_reserve_exact(1 << 20).is_err() {
                return ENOMEM;
            }
            // Not zero, so that every page is really taken.
            piece.resize(1 << 20, 0x5a);
            held.push(piece);
        }
        Seen::Through
    })
    .at(Place::Alone(SMALL_MEMORY, Judge::Limit)),
    Attack::new("memory-bomb-of-many", Bomb, MEMORY, &["clone"], |_| {
        // Eight processes, each with less than all may have.
        for _ in 0..8 {
            if let Ok(0) = fork_by_clone(0) {
                let held = vec![0x5a_u8; 24 << 20];
                std::hint::black_box(&held);
                std::thread::sleep(Duration::from_secs(5));
                process::exit(0)
            }
        }
        let killed =
            (0..8).any(|_| matches!(process::reap(true), Ok(Some(ended)) if ended.status & 0x7f == process::SIGKILL));
        if killed { Seen::Limit } else { Seen::Through }
    })
    .at(Place::Alone(SMALL_MEMORY, Judge::Limit)),
    Attack::new("page-table-bomb", Bomb, MEMORY, &["mmap"], |_| {
        let spread = spread_page_tables(1 << 16);
        std::thread::sleep(Duration::from_secs(5));
        Seen::call(spread)
    })
    .at(Place::Alone(SMALL_MEMORY, Judge::Limit)),
    Attack::new("time-bomb", Bomb, &[(Seen::Limit, "wall-limit")], &["rt_sigprocmask"], |_| {
        let _ = signal::child_ends();
        let end = std::time::Instant::now() + Duration::from_secs(30);
        while std::time::Instant::now() < end {
            std::hint::spin_loop();
        }
        Seen::Through
    })
    .at(Place::Alone(&["wall=300ms"], Judge::Limit)),
    Attack::new("log-bomb", Bomb, &[(Seen::Limit, "stream limit")], &["write"], |_| {
        for _ in 0..64 {
            let _ = io::stderr().lock().write_all(&[b'x'; 1 << 16]);
        }
        Seen::Limit
    })
    .at(Place::Alone(&["stream_bytes=64KiB"], Judge::Stream)),
    Attack::new("daemon", Daemon, &[(Seen::Gone, PIDS)], &["clone", "setsid", "prctl"], |facts| daemon(facts, false))
        .at(Place::Alone(&[], Judge::Daemon)),
    Attack::new("daemon-that-hears-nothing", Daemon, &[(Seen::Gone, PIDS)], &["clone", "setsid", "prctl"], |facts| {
        daemon(facts, true)
    })
    .at(Place::Alone(&[], Judge::Daemon))
    .like("daemon"),
];

/// Does it until it is refused.
fn until_refused(mut once: impl FnMut() -> io::Result<()>) -> Seen {
    for _ in 0..MANY {
        if let Err(error) = once() {
            return Seen::io::<()>(Err(error));
        }
    }
    Seen::Through
}

fn fork_until_refused(staying: bool) -> Seen {
    for _ in 0..MANY {
        match fork_by_clone(0) {
            Ok(0) => {
                if staying {
                    std::thread::sleep(Duration::from_secs(60));
                }
                process::exit(0)
            }
            Ok(_) => {}
            Err(errno) => return Seen::Errno(errno.0),
        }
    }
    Seen::Through
}

/// Fills a folder with files that are small enough each, and empties it again.
fn fill(folder: &str) -> Seen {
    let path = |number: usize| format!("{folder}/filling-{number}");
    let mut made = 0;
    let seen = until_refused(|| {
        made += 1;
        fs::write(path(made), vec![7; 256 << 10])
    });
    for number in 1..=made {
        let _ = fs::remove_file(path(number));
    }
    seen
}

/// Leaves a process behind that has left its session and its parent, under a name by which the host looks for it.
fn daemon(facts: &Facts, deaf: bool) -> Seen {
    let name = c(facts.text("daemon"));
    let Ok(first) = fork_by_clone(0) else { return Seen::NoAnswer };
    if first == 0 {
        let _ = process::new_session();
        if fork_by_clone(0) == Ok(0) {
            if deaf {
                // SIG_SETMASK: everything that can be kept away.
                let _ = make(Sysno::rt_sigprocmask, &mut [n(2), b(&[255; 8]), n(0), n(8)]);
            }
            // PR_SET_NAME.
            let _ = make(Sysno::prctl, &mut [n(15), b(&name)]);
            let _ = fs::write("/scratch/daemon-lives", "");
            std::thread::sleep(Duration::from_secs(600));
        }
        process::exit(0)
    }
    // Until it lives.
    for _ in 0..1000 {
        if fs::metadata("/scratch/daemon-lives").is_ok() {
            return Seen::Through;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Seen::NoAnswer
}
