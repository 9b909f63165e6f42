//! Limits: on memory, processes, time, files and storage. Each is tried twice: set low it stops the program, set
//! so high that it is not met the same program comes through.

use std::io::Write;
use std::process::{Command, Stdio};

use hotcell_isolate::cgroup::GroupLimits;
use hotcell_isolate::{Cause, Exit, Host};
use hotcell_testkit::{require_ordinary_user, require_program, require_root, skip};
use hotcell_types::Wall::{Capabilities, Seccomp};

use super::{EAGAIN, EFBIG, ENOMEM, ENOSPC, EPERM, Scene, whole};
use crate::harness::Ran;

fn run(setting: &str, script: &str) -> Ran {
    Scene::limited(setting).run(&["python3", "-c", &whole(script)], &[])
}

/// The script meets this error under the low limit and none under the high one.
fn limits(low: &str, high: &str, script: &str, errno: i64) {
    assert_eq!(Scene::limited(low).seen(script, &[]), errno, "{low}");
    let seen = Scene::limited(high).seen(script, &[]);
    assert!(seen >= 0, "{high}: error {}: the low limit proves nothing", -seen);
}

/// Kept until the end, so that all of it is there at once.
const FILL: &str = "
def fill(mebibytes):
    block = bytearray(mebibytes << 20)
    for at in range(0, len(block), 4096):
        block[at] = 1
    return block
";

#[test]
fn one_process_over_the_memory_limit_is_stopped() {
    require_program!("python3");
    let hog = format!("{FILL}\ntry:\n    kept = fill(200)\n    seen = 200\nexcept MemoryError:\n    seen = {ENOMEM}");
    assert_eq!(Scene::limited("memory=512MiB").seen(&hog, &[]), 200);
    if Host::look().unwrap().cgroups.has_memory() {
        let ran = run("memory=100MiB", &hog);
        assert_eq!((ran.exit, ran.cause), (Exit::Signal(9), Cause::MemoryLimit), "{} {}", ran.stdout, ran.stderr);
    } else {
        assert_eq!(Scene::limited("memory=100MiB").seen(&hog, &[]), ENOMEM);
    }
}

#[test]
fn many_processes_together_over_the_memory_limit_are_stopped() {
    require_program!("python3");
    // Each of them is under the limit and keeps what it has until its parent has heard of all.
    let hogs = format!(
        "{FILL}
ready, filled = os.pipe()
release, held = os.pipe()
for number in range(4):
    if os.fork() == 0:
        os.close(ready)
        os.close(held)
        kept = fill(60)
        os.write(filled, b'x')
        os.close(filled)
        os.read(release, 1)
        os._exit(0)
os.close(filled)
seen = 0
while os.read(ready, 1):
    seen += 1
os.close(held)
if any(os.wait()[1] for number in range(4)):
    sys.exit(1)
"
    );
    assert_eq!(Scene::limited("memory=512MiB").seen(&hogs, &[]), 4);
    let ran = run("memory=150MiB", &hogs);
    assert_eq!(ran.cause, Cause::MemoryLimit, "{} {}", ran.stdout, ran.stderr);
    // Version 1 of control groups kills one process at a time, all others kill the sandbox.
    let cgroups = Host::look().unwrap().cgroups;
    let killed = if cgroups.v1_memory.is_some() && cgroups.v2.is_none() { Exit::Code(1) } else { Exit::Signal(9) };
    assert_eq!((ran.exit, ran.stdout.as_str()), (killed, ""), "{}", ran.stderr);
}

#[test]
fn the_process_limit_ends_a_fork_bomb() {
    require_program!("python3");
    let bomb = "
import time
def bomb():
    for number in range(40):
        if os.fork() == 0:
            time.sleep(30)
seen = attempt(bomb)";
    limits("pids=20", "pids=100", bomb, EAGAIN);
}

#[test]
fn the_process_limit_of_a_control_group_holds_by_itself() {
    // Root is above the other wall, RLIMIT_NPROC, which stands alone where a user has no control group.
    require_root!();
    require_program!("python3");
    let cgroups = Host::look().unwrap().cgroups;
    if !cgroups.has_pids() {
        skip!("no control group with a process limit here");
    }
    let forked = |pids: u64| {
        let limits = GroupLimits { memory_bytes: 1 << 30, pids, cpu_millis: None };
        let group = cgroups.make(&format!("hotcell-test-{}-{pids}", std::process::id()), &limits).unwrap();
        let script = "input()\nimport time\ndef bomb():\n    for number in range(20):\n        \
                      if os.fork() == 0:\n            time.sleep(1)\n            os._exit(0)\nseen = attempt(bomb)\n\
                      while attempt(os.wait) == 0: pass";
        let mut child = Command::new("python3");
        child.args(["-c", &whole(script)]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().unwrap();
        for folder in group.folders() {
            std::fs::write(folder.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let output = child.wait_with_output().unwrap();
        group.remove().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(forked(10), format!("seen {EAGAIN}"));
    assert_eq!(forked(100), "seen 0");
}

#[test]
fn threads_count_as_processes() {
    require_program!("python3");
    let threads = format!(
        "import threading, time\ntry:\n    for number in range(40):\n        \
         threading.Thread(target=time.sleep, args=(2,), daemon=True).start()\n    seen = 40\n\
         except RuntimeError:\n    seen = {EAGAIN}"
    );
    limits("pids=20", "pids=100", &threads, EAGAIN);
}

#[test]
fn limits_of_a_process_are_not_raised_by_it() {
    require_program!("python3");
    let scene = Scene::limited("open_files=64");
    for resource in ["RLIMIT_NPROC", "RLIMIT_FSIZE", "RLIMIT_NOFILE"] {
        let raise = format!(
            "import resource\nhard = resource.getrlimit(resource.{resource})[1]\ntry:\n    \
             resource.setrlimit(resource.{resource}, (hard + 1, hard + 1))\n    seen = 0\n\
             except ValueError:\n    seen = {EPERM}"
        );
        assert_eq!(scene.seen(&raise, &[]), EPERM, "{resource}");
        // Raising takes a capability over the host's users, which a sandbox with users of its own cannot have.
        assert_eq!(scene.seen(&raise, &[Capabilities]), EPERM, "{resource}");
    }
}

#[test]
fn the_limit_on_open_files_is_met() {
    require_program!("python3");
    let attack = "seen = attempt(lambda: [os.dup(0) for number in range(200)])";
    limits("open_files=64", "open_files=400", attack, -24);
}

#[test]
fn time_is_up_when_it_is_up() {
    let run = |setting: &str| Scene::limited(setting).run(&["sleep", "1"], &[]);
    let ran = run("wall=200ms");
    assert_eq!((ran.exit, ran.cause), (Exit::Signal(9), Cause::WallLimit));
    let ran = run("wall=60s");
    assert_eq!((ran.exit, ran.cause), (Exit::Code(0), Cause::Itself));
}

#[test]
fn a_workload_cannot_outlive_its_time_by_forking_away() {
    let began = std::time::Instant::now();
    // A process in a session of its own, with the standard streams open and all signals ignored.
    let away = "trap '' TERM HUP INT; setsid sh -c \"trap '' TERM HUP INT; sleep 60; echo late\" & sleep 60";
    let ran = Scene::limited("wall=300ms").run(&["sh", "-c", away], &[]);
    assert_eq!((ran.exit, ran.cause), (Exit::Signal(9), Cause::WallLimit), "{}", ran.stderr);
    assert!(!ran.stdout.contains("late") && began.elapsed().as_secs() < 30);
}

#[test]
fn scratch_and_output_end_at_their_size() {
    require_program!("python3");
    for (setting, folder) in [("scratch", "/scratch"), ("scratch", "/dev/shm"), ("output", "/output")] {
        let fill = format!(
            "seen = attempt(lambda: open('{folder}/big', 'wb', 0).write(bytes(24 << 20)) == 24 << 20 or \
                            open('{folder}/more', 'wb', 0).write(bytes(24 << 20)))"
        );
        limits(&format!("{setting}=16MiB"), &format!("{setting}=64MiB"), &fill, ENOSPC);
    }
}

#[test]
fn a_large_scratch_ends_at_its_size_and_small_files_cost_what_they_hold() {
    require_program!("python3");
    // From 1 GiB on the kernel may take pages of 2 MiB, only for what a file fills.
    let script = "
def used():
    seen = os.statvfs('/scratch')
    return (seen.f_blocks - seen.f_bfree) * seen.f_frsize >> 20
before = used()
for number in range(512):
    open(f'/scratch/small-{number}', 'wb', 0).write(bytes(4096))
small = used() - before
open('/scratch/large', 'wb', 0).write(bytes(7 << 20))
large = used() - before - small
file = os.open('/scratch/all', os.O_WRONLY | os.O_CREAT)
written, block = 0, bytes(1 << 20)
try:
    while True:
        written += os.write(file, block)
except OSError as error:
    seen = -error.errno
# Up to the last page, whatever the size of pages.
whole = os.statvfs('/scratch').f_bfree == 0 and (written >> 20) >= 1014
print(small, large, whole)";
    let mut scene = Scene::limited("scratch=1GiB");
    scene.settings.extend(["memory=1536MiB".to_owned(), "file_size=2GiB".to_owned()]);
    let ran = scene.run(&["python3", "-c", &whole(script)], &[]);
    assert_eq!(ran.stdout, format!("2 7 True\nseen {ENOSPC}\n"), "{}", ran.stderr);
}

#[test]
fn a_flood_of_empty_files_ends() {
    require_program!("python3");
    let flood = |count: u32| {
        format!("seen = attempt(lambda: [os.mknod(f'/scratch/{{n}}') for n in range({count})] and None)")
            .replace("os.mknod(f'/scratch/{n}')", "os.close(os.open(f'/scratch/{n}', os.O_CREAT))")
    };
    let scene = Scene::new();
    assert_eq!(scene.seen(&flood(60_000), &[]), 0);
    assert_eq!(scene.seen(&flood(66_000), &[]), ENOSPC);
    let small = Scene::limited("scratch=8MiB");
    assert_eq!(small.seen(&flood(2_000), &[]), 0);
    assert_eq!(small.seen(&flood(2_100), &[]), ENOSPC, "one for each 4 KiB");
}

#[test]
fn one_file_ends_at_its_size() {
    require_program!("python3");
    let write = "
def write():
    file = os.open('/scratch/one', os.O_WRONLY | os.O_CREAT)
    for number in range(8):
        os.write(file, bytes(1 << 20))
seen = attempt(write)";
    limits("file_size=4MiB", "file_size=64MiB", write, EFBIG);
    let ran = Scene::limited("file_size=4MiB").run(&["head", "-c", "8m", "/dev/zero"], &[]);
    assert_eq!(ran.exit, Exit::Code(0), "streams are not files: {}", ran.stderr);
    let copy = ["dd", "if=/dev/zero", "of=/scratch/one", "bs=1M", "count=8"];
    let ran = Scene::limited("file_size=4MiB").run(&copy, &[]);
    assert_eq!(ran.exit, Exit::Signal(25), "SIGXFSZ: {}", ran.stderr);
}

#[test]
fn page_tables_count_as_memory() {
    require_program!("python3");
    // 160 MiB of page tables: of each 2 MiB one page is read, which holds nothing and counts for nothing.
    let spread = |stay: u32| {
        format!(
            "import mmap, time\npieces = 40_000\nMAP_NORESERVE = 0x4000\n\
             area = mmap.mmap(-1, pieces << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE, prot=mmap.PROT_READ)\n\
             seen = sum(area[piece << 21] for piece in range(pieces))\ntime.sleep({stay})"
        )
    };
    assert_eq!(Scene::limited("memory=1GiB").seen(&spread(0), &[]), 0);
    let ran = run("memory=64MiB", &spread(60));
    assert_eq!((ran.exit, ran.cause), (Exit::Signal(9), Cause::MemoryLimit), "{} {}", ran.stdout, ran.stderr);
}

#[test]
fn processors_are_not_added_where_affinity_limits_them() {
    require_ordinary_user!();
    require_program!("python3");
    let host = Host::look().unwrap();
    if host.cgroups.has_cpu() {
        skip!("processors are limited by a control group here");
    }
    if host.processors < 2 {
        skip!("there is one processor only");
    }
    let all = "seen = attempt(lambda: os.sched_setaffinity(0, range(1024)))";
    let one = Scene::limited("cpu=1");
    assert_eq!(one.seen("seen = len(os.sched_getaffinity(0))", &[]), 1);
    assert_eq!(one.seen(all, &[]), EPERM);
    assert_eq!(one.seen(all, &[Seccomp]), 0, "without the filter it would be lifted");
    assert_eq!(Scene::new().seen(all, &[]), 0, "where nothing is limited, programs bind their threads");
}

#[test]
fn no_priority_is_raised_whatever_the_caller_may() {
    require_root!();
    require_program!("python3");
    require_program!("setpriv");
    for (resource, value) in [(hotcell_sys::limit::NICE, 40), (hotcell_sys::limit::RTPRIO, 50)] {
        if hotcell_sys::limit::set(resource, value).is_err() {
            skip!("root may not raise limits here");
        }
    }
    for attack in [
        "seen = attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))",
        "seen = attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))",
    ] {
        assert!(Scene::new().seen(attack, &[]) < 0, "{attack}");
        let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "python3", "-c"];
        let outside = Command::new("setpriv").args(user).arg(whole(attack)).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&outside.stdout), "seen 0\n", "outside it is allowed: {attack}");
    }
}
