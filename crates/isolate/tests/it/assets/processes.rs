//! Processes of the host: seeing, signalling, reading and tracing them.

use std::process::{Child, Command, Stdio};

use hotcell_testkit::{is_root, require_program, require_root, skip};
use hotcell_types::Wall::{self, Landlock, PidNamespace, Seccomp, UserNamespace};

use super::{EACCES, ENOENT, EPERM, ESRCH, Scene, seen_outside};

/// A process of the host with the test's own user and no capability, which ends with the test.
struct Victim(Child);

impl Victim {
    fn new() -> Self {
        let mut command = Command::new(if is_root() { "setpriv" } else { "sleep" });
        if is_root() {
            command.args(["--inh-caps=-all", "--bounding-set=-all", "sleep"]);
        }
        command.arg("600").env("SECRET", "of the caller").stdin(Stdio::null());
        let victim = Self(command.spawn().unwrap());
        // Until it is the program that we want.
        let name = format!("/proc/{}/comm", victim.0.id());
        while std::fs::read_to_string(&name).unwrap().trim() != "sleep" {
            std::thread::yield_now();
        }
        victim
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn processes_of_the_host_cannot_be_signalled() {
    require_program!("python3");
    require_program!("setpriv");
    let mut victim = Victim::new();
    let scene = Scene::new();
    scene.allows(
        "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\nos.kill(child.pid, 9)\nseen = child.wait() + 9",
    );
    let signal = |number: i32| format!("seen = attempt(lambda: os.kill({}, {number}))", victim.pid());
    // As root the sandbox has another user of the host than the victim: a third wall.
    let walls = [(PidNamespace, ESRCH), (Landlock, EPERM), (UserNamespace, EPERM)];
    let walls = if is_root() { &walls[..] } else { &walls[..2] };
    // Number 0 only asks whether it could be done, so that the victim is there for every wall.
    scene.stops(&signal(0), ESRCH, walls);
    let (kill, off): (_, Vec<Wall>) = (signal(9), walls.iter().map(|(wall, _)| *wall).collect());
    assert_eq!(scene.seen(&kill, &[]), ESRCH);
    assert!(victim.is_alive());
    assert_eq!(scene.seen(&kill, &off), 0);
    assert!(!victim.0.wait().unwrap().success());
}

#[test]
fn processes_of_the_host_cannot_be_seen_behind_the_process_namespace_alone() {
    require_program!("python3");
    require_program!("setpriv");
    let victim = Victim::new();
    let scene = Scene::new();
    scene.allows("seen = len(open('/proc/self/cmdline').read())");
    let attack = format!("seen = attempt(lambda: open('/proc/{}/cmdline').read())", victim.pid());
    scene.stops(&attack, ENOENT, &[(PidNamespace, ENOENT)]);
}

#[test]
fn the_environment_of_a_process_of_the_host_cannot_be_read() {
    require_program!("python3");
    require_program!("setpriv");
    let victim = Victim::new();
    let scene = Scene::new();
    scene.allows("seen = len(open('/proc/self/environ').read())");
    let attack = format!("seen = attempt(lambda: open('/proc/{}/environ').read())", victim.pid());
    let walls = &[(PidNamespace, ENOENT), (Landlock, EACCES), (UserNamespace, EACCES)];
    alone_and_none(&scene, &attack, ENOENT, walls);
}

/// Whether the host lets a user trace its other processes: where it does not, the attack fails without any wall.
fn may_trace() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").map_or(true, |scope| scope.trim() == "0")
}

#[test]
fn memory_of_a_process_of_the_host_cannot_be_read() {
    require_program!("python3");
    require_program!("setpriv");
    if !may_trace() {
        skip!("this host lets nobody trace what is not its child (kernel.yama.ptrace_scope)");
    }
    let victim = Victim::new();
    let scene = Scene::new();
    let map = std::fs::read_to_string(format!("/proc/{}/maps", victim.pid())).unwrap();
    let stack = map.lines().find(|line| line.ends_with("[stack]")).unwrap().split('-').next().unwrap().to_owned();
    let attack = format!(
        "vector = lambda at: (ctypes.c_size_t * 2)(at, 8)\nown = ctypes.create_string_buffer(8)\n\
         seen = call('process_vm_readv', {}, ctypes.byref(vector(ctypes.addressof(own))), 1, \
         ctypes.byref(vector(0x{stack})), 1, 0)",
        victim.pid()
    );
    let walls = &[(PidNamespace, ESRCH), (Seccomp, EPERM), (Landlock, EPERM), (UserNamespace, EPERM)];
    alone_and_none(&scene, &attack, EPERM, walls);
    let trace = format!("seen = call('ptrace', 16, {}, 0, 0)", victim.pid());
    alone_and_none(&scene, &trace, EPERM, walls);
}

#[test]
fn descriptors_of_a_process_of_the_host_cannot_be_taken() {
    require_program!("python3");
    require_program!("setpriv");
    if !may_trace() {
        skip!("this host lets nobody trace what is not its child (kernel.yama.ptrace_scope)");
    }
    let victim = Victim::new();
    let scene = Scene::new();
    let attack = format!(
        "process = call('pidfd_open', {}, 0)\nseen = process if process < 0 else call('pidfd_getfd', process, 0, 0)",
        victim.pid()
    );
    let walls = &[(PidNamespace, ESRCH), (Seccomp, EPERM), (Landlock, EPERM), (UserNamespace, EPERM)];
    alone_and_none(&scene, &attack, ESRCH, walls);
}

/// As [`Scene::stops`], where one of the walls is the sandbox's own users: only root can build a sandbox without
/// them, so that an ordinary user meets each wall together with that one.
fn alone_and_none(scene: &Scene, attack: &str, with_all: i64, walls: &[(Wall, i64)]) {
    if is_root() {
        scene.stops(attack, with_all, walls);
        return;
    }
    assert_eq!(scene.seen(attack, &[]), with_all, "with all walls");
    for (wall, errno) in walls {
        let off: Vec<Wall> =
            walls.iter().map(|(other, _)| *other).filter(|other| other != wall && *other != UserNamespace).collect();
        assert_eq!(scene.seen(attack, &off), *errno, "with {wall}, without {off:?}");
    }
    // That the attack would come through at all is seen outside.
    assert!(seen_outside(attack) >= 0, "the attack fails on the host itself: it proves nothing");
}

#[test]
fn the_guardian_of_a_sandbox_is_out_of_its_reach() {
    require_program!("python3");
    let scene = Scene::new();
    assert_eq!(scene.seen("seen = attempt(lambda: open('/proc/1/environ').read())", &[]), ENOENT);
    assert_eq!(scene.seen("seen = attempt(lambda: os.kill(1, 9))", &[]), EPERM);
    // The kernel spares the first process of a namespace: with Landlock down nothing happens either.
    let seen = scene.seen("import time\nseen = attempt(lambda: os.kill(1, 9))\ntime.sleep(0.1)", &[Landlock]);
    assert_eq!(seen, 0);
}

#[test]
fn root_without_its_own_users_and_walls_would_reach_everything() {
    require_root!();
    require_program!("python3");
    let script = "seen = os.geteuid()";
    assert_eq!(Scene::new().seen(script, &[]), 65534);
    assert_eq!(Scene::new().seen(script, &[UserNamespace]), 0);
}
