//! What comes along with a process: descriptors, environment, core dumps, the view of its groups.

use std::fs::File;

use hotcell_isolate::Host;
use hotcell_testkit::{require_program, require_root, skip};
use hotcell_types::Wall::{CgroupNamespace, CoreDumps, Descriptors};

use super::Scene;

#[test]
fn descriptors_of_the_caller_do_not_come_along() {
    require_program!("python3");
    let scene = Scene::new();
    let secret = File::open(scene.host_file("secret", 0o600, b"of the caller")).unwrap();
    // As a careless caller leaves it: not closed at `execve`.
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    scene.allows("r, w = os.pipe()\nseen = os.write(w, b'x')");
    let attack = "
found = [number for number in range(3, 1024) if attempt(lambda: os.fstat(number)) == 0]
secrets = [number for number in found if attempt(lambda: os.pread(number, 13, 0)) == 0]
seen = 1 if any(os.pread(number, 13, 0) == b'of the caller' for number in secrets) else -1 - len(found)";
    scene.stops(attack, -1, &[(Descriptors, -1)]);
}

#[test]
fn the_guardian_of_a_sandbox_holds_its_two_descriptors_and_no_more() {
    // It cannot be looked at by its own user.
    require_root!();
    if !Host::look().unwrap().cgroups.has_pids() {
        skip!("no control group to find the sandbox by");
    }
    let scene = Scene::new();
    let careless = File::open(scene.host_file("secret", 0o600, b"of the caller")).unwrap();
    rustix::io::fcntl_setfd(&careless, rustix::io::FdFlags::empty()).unwrap();
    let mut held = Vec::new();
    scene.watch(&["sh", "-c", "echo here; sleep 2"], &mut |task| {
        // The workload may speak before its guardian has come to rest.
        for _ in 0..100 {
            held = descriptors_of_first_process(task);
            if held.len() == 2 {
                break;
            }
            std::thread::yield_now();
        }
    });
    let mut held: Vec<_> = held.iter().map(|path| path.to_string_lossy()).collect();
    held.sort_unstable();
    assert!(
        matches!(&held[..], [signals, control] if signals.contains("signalfd") && control.contains("socket")),
        "{held:?}"
    );
}

/// Where the descriptors of a sandbox's first process lead; the sandbox is found by its control groups.
fn descriptors_of_first_process(task: &str) -> Vec<std::path::PathBuf> {
    for process in std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
        let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
        let is_first = read("status").lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"));
        if is_first && read("cgroup").contains(task) {
            let links = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
            return links.filter_map(|link| std::fs::read_link(link.path()).ok()).collect();
        }
    }
    Vec::new()
}

#[test]
fn the_environment_of_the_caller_does_not_come_along() {
    // There is no code that could pass it on, so that there is nothing to switch off.
    const OURS: [&str; 5] = ["HOME", "LANG", "PATH", "TMPDIR", "USER"];
    let outside: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    assert!(outside.iter().any(|name| !OURS.contains(&name.as_str())), "nothing that could come along: {outside:?}");
    let ran = Scene::new().run(&["env"], &[]);
    let mut names: Vec<_> = ran.stdout.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, OURS);
}

#[test]
fn a_crash_leaves_no_core_dump() {
    require_program!("python3");
    let hard_limit = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
    if hard_limit == Some(0) {
        skip!("core dumps are already forbidden to this user");
    }
    let crash = "
import resource
child = os.fork()
if child == 0:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    os.abort()
status = os.waitpid(child, 0)[1]
assert os.WTERMSIG(status) == 6
seen = 1 if os.WCOREDUMP(status) else -1";
    Scene::new().stops(crash, -1, &[(CoreDumps, -1)]);
}

#[test]
fn the_limit_on_core_dumps_cannot_be_raised_again() {
    require_program!("python3");
    let raise = "import resource\ntry:\n    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))\n    seen = 0\n\
                 except ValueError:\n    seen = -1";
    Scene::new().stops(raise, -1, &[(CoreDumps, -1)]);
}

#[test]
fn control_groups_of_the_host_are_not_named_inside() {
    require_program!("python3");
    let outside = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    if !hotcell_testkit::is_root() && outside.lines().all(|line| line.ends_with(":/")) {
        skip!("this process is in the topmost groups, which have no name to hide");
    }
    let attack = "paths = [line.split(':', 2)[2] for line in open('/proc/self/cgroup').read().split()]\n\
                  seen = -1 if set(paths) == {'/'} else len(paths)";
    Scene::new().stops(attack, -1, &[(CgroupNamespace, -1)]);
}
