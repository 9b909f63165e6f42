//! The kernel's own surface: system calls, mounts, names, devices, keyrings, queues.

use hotcell_testkit::{require_program, require_root, skip};
use hotcell_types::Wall::{self, Capabilities, IpcNamespace, Keyring, Landlock, Seccomp, UserNamespace, UtsNamespace};

use super::{EACCES, EINVAL, ENOENT, ENOSYS, EPERM, Scene, seen_outside};

/// Calls that lead into parts of the kernel that no workload of ours needs, and that every user's program may make
/// on most hosts: nothing but the filter stands before them.
const SURFACE: &[(&str, &str)] = &[
    ("ptrace", "call('ptrace', 0, 0, 0, 0)"),
    ("a user namespace", "call('unshare', 0x10000000)"),
    ("a network namespace in a user namespace", "call('unshare', 0x50000000)"),
    (
        "entering a namespace",
        "(call('unshare', 0x14000000), call('setns', os.open('/proc/self/ns/uts', os.O_RDONLY), 0x04000000))[1]",
    ),
    ("io_uring", "call('io_uring_setup', 1, ctypes.create_string_buffer(120))"),
    ("userfaultfd", "call('userfaultfd', 1)"),
    ("keyctl", "call('keyctl', 0, -3, 0)"),
    ("add_key", "call('add_key', b'user', b'name', b'value', 5, -3)"),
    ("personality", "call('personality', 0x0400000)"),
    ("kcmp", "call('kcmp', os.getpid(), os.getpid(), 0, 0, 1)"),
    ("memfd_create", "call('memfd_create', b'name', 0)"),
    ("process_vm_readv", "call('process_vm_readv', os.getpid(), 0, 0, 0, 0, 0)"),
    ("fanotify", "call('fanotify_init', 0x200, 0)"),
    (
        "a file handle",
        "call('name_to_handle_at', -100, b'/', ctypes.create_string_buffer(bytes([128]), 136), \
         ctypes.create_string_buffer(8), 0)",
    ),
    ("open_tree", "call('open_tree', -100, b'/', 0)"),
];

#[test]
fn calls_into_the_depths_of_the_kernel_are_refused_by_the_filter_alone() {
    require_program!("python3");
    let scene = Scene::new();
    let mut refused_anyway = Vec::new();
    for (what, expression) in SURFACE {
        let attack = format!("seen = {expression}");
        assert_eq!(scene.seen(&attack, &[]), EPERM, "{what}");
        let without_filter = scene.seen(&attack, &[Seccomp]);
        if without_filter < 0 {
            // Some hosts refuse some of these to everybody; then there is nothing that the filter could prove.
            assert!(seen_outside(&attack) < 0, "{what} is refused without the filter: error {}", -without_filter);
            refused_anyway.push(*what);
        }
    }
    // The C libraries fall back to `clone`, whose flags a filter can see.
    assert_eq!(scene.seen("seen = call('clone3', 0, 0)", &[]), ENOSYS);
    assert_eq!(scene.seen("seen = call('clone3', 0, 0)", &[Seccomp]), EINVAL);
    if !refused_anyway.is_empty() {
        skip!("this host itself refuses {}", refused_anyway.join(", "));
    }
}

#[test]
fn mounts_cannot_be_changed_behind_the_filter_and_landlock() {
    require_program!("python3");
    // In namespaces of its own a process has every capability again.
    let attack = "made = call('unshare', 0x10020000)\n\
                  seen = made if made < 0 else call('mount', b'none', b'/scratch', b'tmpfs', 0, 0)";
    Scene::new().stops(attack, EPERM, &[(Seccomp, EPERM), (Landlock, EPERM)]);
}

#[test]
fn what_needs_a_capability_is_refused_by_each_of_three_walls() {
    require_root!();
    require_program!("python3");
    let scene = Scene::new();
    for (attack, by_kernel) in [
        ("seen = call('chroot', b'/scratch')", EPERM),
        ("seen = call('fsopen', b'tmpfs', 0)", EPERM),
        // BPF_MAP_CREATE: an array of one number.
        (
            "seen = call('bpf', 0, ctypes.create_string_buffer(bytes([2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 1]), 72), 72)",
            EPERM,
        ),
        // The kernel's own events: PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK.
        (
            "seen = call('perf_event_open', ctypes.create_string_buffer(bytes([1, 0, 0, 0, 112]), 112), -1, 0, -1, 0)",
            EACCES,
        ),
    ] {
        scene.stops(attack, EPERM, &[(Seccomp, EPERM), (Capabilities, by_kernel), (UserNamespace, by_kernel)]);
    }
}

#[test]
fn device_nodes_are_not_made_and_where_made_not_opened() {
    require_root!();
    require_program!("python3");
    let scene = Scene::new();
    let make = "seen = call('mknodat', -100, b'/scratch/null', 0o020666, 0x103)";
    let walls = [(Seccomp, EPERM), (Capabilities, EPERM), (UserNamespace, EPERM), (Landlock, EACCES)];
    scene.stops(make, EPERM, &walls);
    let open = format!("{make}\nseen = attempt(lambda: open('/scratch/null'))");
    assert_eq!(scene.seen(&open, &walls.map(|(wall, _)| wall)), EACCES, "the mount is nodev");
}

#[test]
fn the_host_keeps_its_name() {
    require_root!();
    require_program!("python3");
    let scene = Scene::new();
    let name = || rustix::system::uname().nodename().to_owned();
    let before = name();
    let attack = "seen = call('sethostname', b'other', 5)";
    // The sandbox has a name of its own to change, if anything lets it.
    let walls = [Seccomp, Capabilities, UserNamespace];
    scene.stops(attack, EPERM, &walls.map(|wall| (wall, EPERM)));
    assert_eq!(name(), before, "by the namespace alone");
    // Without the namespace too it would be the host's: it is given the name that it has.
    let same = "name = os.uname().nodename.encode()\nseen = call('sethostname', name, len(name))";
    assert_eq!(scene.seen(same, &[&walls[..], &[UtsNamespace]].concat()), 0);
    let shown = |off: &[Wall]| scene.run(&["uname", "-n"], off).stdout.trim().to_owned();
    assert_eq!(shown(&[]), "hotcell");
    assert_eq!(shown(&[UtsNamespace]), before.to_string_lossy());
}

#[test]
fn keys_of_the_caller_are_behind_a_keyring_of_its_own_and_the_filter() {
    require_program!("python3");
    // This thread's children, the sandbox among them, inherit its keyring.
    hotcell_sys::process::new_session_keyring().unwrap();
    let key = seen_outside("seen = call('add_key', b'user', b'hotcell-test', b'secret', 6, -3)");
    assert!(key > 0, "no key could be made: {key}");
    let attack = format!("seen = call('keyctl', 11, {key}, ctypes.create_string_buffer(16), 16)");
    Scene::new().stops(&attack, EPERM, &[(Keyring, EACCES), (Seccomp, EPERM)]);
}

#[test]
fn message_queues_of_the_host_are_behind_the_ipc_namespace_and_the_filter() {
    require_program!("python3");
    let number = std::process::id();
    let queue = Removed(seen_outside(&format!("seen = call('msgget', {number}, 0o1666)")));
    assert!(queue.0 >= 0, "no queue could be made: {}", queue.0);
    let scene = Scene::new();
    let attack = format!("seen = call('msgget', {number}, 0)");
    scene.stops(&attack, EPERM, &[(IpcNamespace, ENOENT), (Seccomp, EPERM)]);

    let name = format!("hotcell-test-{number}");
    let open = |flags: &str| format!("os.umask(0)\nseen = call('mq_open', b'{name}', {flags}, 0o666, 0)");
    let made = seen_outside(&open("os.O_RDWR | os.O_CREAT"));
    assert!(made >= 0, "no queue could be made: {made}");
    scene.stops(&open("os.O_RDWR"), EPERM, &[(IpcNamespace, ENOENT), (Seccomp, EPERM), (Landlock, EACCES)]);
    assert_eq!(seen_outside(&format!("seen = call('mq_unlink', b'{name}')")), 0);
}

/// A message queue of the host, removed at the end.
struct Removed(i64);

impl Drop for Removed {
    fn drop(&mut self) {
        seen_outside(&format!("seen = call('msgctl', {}, 0, 0)", self.0));
    }
}
