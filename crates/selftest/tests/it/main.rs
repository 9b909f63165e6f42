//! Attacks get through where their wall is taken away: else they would prove nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use hotcell_isolate::{Input, Io, Omitted, Program, Sandbox, Spec};
use hotcell_policy::{Decision, Engine, Origin, Overlay, Principal, Profile, Request, Runner, Shown};
use hotcell_selftest::{Facts, REPORT, Seen, Surroundings, attacks, inside, read_report};
use hotcell_testkit::{data_dir, is_root};
use hotcell_types::Wall::{
    self, CgroupNamespace, CoreDumps, CoreScheduling, Descriptors, IpcNamespace, Keyring, Landlock, MountNamespace,
    NetworkNamespace, NoExec, PageSharing, ReadOnly, Seccomp, Speculation, WriteXorExecute,
};
use hotcell_types::{GrantId, TaskId, Timestamp};

/// A scene with something to attack, and the attacker.
struct Scene {
    state: tempfile::TempDir,
    surroundings: Surroundings,
    /// More keys of the profile.
    keys: &'static str,
    /// Walls on demand that this host may lack.
    given_up: &'static [Wall],
}

impl Scene {
    /// In a folder that everyone may enter, away from `/tmp`, which is another folder inside.
    fn new() -> Self {
        let state = tempfile::tempdir_in(data_dir()).unwrap();
        fs::set_permissions(state.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let token = format!("{:016x}", u64::from_ne_bytes(seed()));
        let host = state.path().canonicalize().unwrap().join("host");
        let surroundings = Surroundings::put_up(&host, &token).unwrap();
        let code = state.path().join("code");
        fs::create_dir(&code).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_hotcell-attacker"), code.join(inside::NAME)).unwrap();
        Self { state, surroundings, keys: "", given_up: &[] }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.state.path().join(name)
    }

    /// What these attacks see in a sandbox without these walls.
    fn seen(&mut self, names: &[&str], off: &[Wall]) -> BTreeMap<String, Seen> {
        let facts = self.path("facts");
        fs::write(&facts, self.surroundings.facts().to_text()).unwrap();
        // That it cannot be written must not come from its mode.
        fs::set_permissions(&facts, PermissionsExt::from_mode(0o666)).unwrap();
        let mut command: Vec<OsString> = vec![format!("/code/{}", inside::NAME).into(), "attack".into()];
        command.extend(names.iter().map(Into::into));
        let task = TaskId::from_bytes([seed(), seed()].concat()[..10].try_into().unwrap());
        let spec = Spec {
            task,
            program: Program::Command(command),
            environment: Vec::new(),
            code: Some(self.path("code")),
            inputs: vec![Input { name: "facts".into(), path: facts }],
            model: None,
            network: None,
            stdin: None,
            terminal: false,
            told: false,
            state: self.state.path().to_owned(),
            seed: seed(),
            image: None,
            omitted: Omitted::dangerous_without(off),
        };
        let grant = grant(task, &[off, self.given_up].concat(), self.keys);
        let running = Sandbox::build(&grant, spec, None).unwrap().lock(&grant).unwrap().start().unwrap();
        let mut told = Vec::new();
        let io = &mut Io {
            stdout: &mut |_| {},
            stderr: &mut |bytes| told.extend_from_slice(bytes),
            onwards: [None, None],
            cancel: None,
        };
        let ended = running.wait(io).unwrap();
        let report = read_at(ended.outputs(), Path::new(REPORT));
        ended.destroy().unwrap();
        assert!(!report.is_empty(), "without {off:?}: {}", String::from_utf8_lossy(&told));
        read_report(&report).into_iter().collect()
    }
}

fn read_at(folder: std::os::fd::BorrowedFd<'_>, name: &Path) -> String {
    let path = format!("/proc/self/fd/{}/{}", std::os::fd::AsRawFd::as_raw_fd(&folder), name.display());
    let mut text = String::new();
    let _ = fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    text
}

fn seed() -> [u8; 8] {
    let mut bytes = [0; 8];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

fn grant(task: TaskId, best_effort: &[Wall], keys: &str) -> hotcell_policy::GrantUse {
    let overlay = Overlay::parse(keys, "keys").unwrap();
    let profile = Profile::builtin("strict").unwrap().narrow(&overlay, &Origin::Flag("keys".into())).unwrap();
    let request = Request {
        grant: GrantId::from_bytes([1; 10]),
        task,
        now: Timestamp(1),
        principal: Principal { id: "local:test".into(), local: true, roles: Vec::new() },
        owner: "local:test".into(),
        purpose: "test".into(),
        profile,
        isolation: "process".into(),
        runner: Runner::Command,
        shown: Shown { inputs: vec!["facts".into()], code: true, ..Shown::default() },
        best_effort: best_effort.iter().copied().collect(),
        model: None,
        image: None,
        datasets: Vec::new(),
        inputs_owned: true,
        recipients: Vec::new(),
        role: None,
    };
    match Engine::default().decide(request) {
        Decision::Allow(grant) => grant.begin(Timestamp(2)).unwrap(),
        Decision::Deny(denial) => panic!("{denial}"),
    }
}

/// Walls that are taken away together, and attacks that then get through.
const GAPS: &[(&[Wall], &[&str])] = &[
    (
        &[Seccomp],
        &[
            #[cfg(target_arch = "x86_64")]
            "high-bits-of-number",
            #[cfg(target_arch = "x86_64")]
            "int-80",
            "unshare-user",
            "clone-user",
            "clone3-user",
            "name_to_handle_at",
            "io_uring_setup",
            "userfaultfd",
            "fanotify_init",
            "personality",
            "memfd_create",
            "pkey_mprotect",
            "mincore",
            "ptrace",
            "ptrace-child",
            "process_vm_readv",
            "kcmp",
            "add_key",
            "keyctl",
            "prctl-clock",
            "netlink-route",
            "inet-multipath",
            "setfsuid",
        ],
    ),
    (&[Landlock], &["own-oom-score", "own-memory-by-file", "kill-first-process", "own-core-filter"]),
    (&[ReadOnly, Landlock], &["write-input", "change-time-of-input"]),
    (
        &[NoExec, Landlock],
        &["execute-written", "execute-script", "execute-by-descriptor-path", "map-written-as-program"],
    ),
    (&[NetworkNamespace, Seccomp, Landlock], &["connect-to-host", "send-to-host", "dns-by-datagram"]),
    (&[NetworkNamespace, Landlock], &["abstract-socket-of-host", "sockets-in-sight"]),
    (
        &[IpcNamespace, Seccomp, Landlock],
        &["queue-of-host", "shared-memory-of-host", "semaphores-of-host", "posix-queue-of-host"],
    ),
    (
        &[MountNamespace, Landlock],
        &[
            "path-of-host",
            "up-from-own-root",
            "up-from-descriptor",
            "link-to-host",
            "path-socket-of-host",
            "state-of-hotcell",
        ],
    ),
    (&[Keyring, Seccomp], &["read-key-of-host"]),
    (&[CgroupNamespace], &["cgroup-names"]),
    (&[CoreDumps], &["core-of-a-crash"]),
    (&[Descriptors], &["left-descriptors"]),
];

#[test]
fn attacks_are_held_with_all_walls_and_get_through_without_theirs() {
    let mut scene = Scene::new();
    let state = scene.state.path().canonicalize().unwrap();
    scene.surroundings.facts().set("state", state.display());
    let known: Vec<&str> = attacks().map(|attack| attack.name).collect();
    let (mut wrong, mut silent) = (Vec::new(), Vec::new());
    for (off, names) in GAPS {
        let names: Vec<&str> = names.iter().copied().filter(|name| known.contains(name)).collect();
        let with_all = scene.seen(&names, &[]);
        for name in &names {
            let attack = attacks().find(|attack| attack.name == *name).unwrap();
            assert!(attack.held_by(with_all[*name]).is_some(), "{name} with all walls: {}", with_all[*name]);
        }
        let without = scene.seen(&names, off);
        let odd: Vec<&str> = names.iter().copied().filter(|name| without[*name] != Seen::Through).collect();
        // The kernel has no such thing, or this host's settings refuse it to everybody.
        let (refused, odd): (Vec<&str>, Vec<&str>) =
            odd.iter().partition(|name| without[**name] == Seen::Errno(38) || !is_possible(name));
        silent.extend(refused);
        // On a busy machine an attack may not get its answer in time, so what stayed out tries once more.
        let again = if odd.is_empty() { BTreeMap::new() } else { scene.seen(&odd, off) };
        let stays_out = odd.into_iter().filter(|name| again[*name] != Seen::Through);
        wrong.extend(stays_out.map(|name| format!("{name} without {off:?}: {}, then {}", without[name], again[name])));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    if !silent.is_empty() {
        hotcell_testkit::skip!("this host itself refuses {} here", silent.join(", "));
    }
}

/// Walls on demand: what asks for them, what this host may lack of it, each wall that stands alone, and attacks.
type OnDemand = (&'static str, &'static [Wall], &'static [(&'static [Wall], Seen)], &'static [&'static str]);

const ON_DEMAND: &[OnDemand] = &[
    (
        "memory.write_xor_execute = true",
        &[],
        &[(&[WriteXorExecute], Seen::Errno(1)), (&[Seccomp], Seen::Errno(13))],
        &[
            "map-writable-code",
            "map-shared-writable-code",
            "make-code-of-written-memory",
            "make-writable-code-of-memory",
        ],
    ),
    ("memory.write_xor_execute = true", &[], &[(&[Seccomp], Seen::Errno(1))], &["lift-the-rule-on-code"]),
    (
        "side_channels = \"hardened\"",
        &[Speculation, CoreScheduling, PageSharing],
        &[(&[PageSharing], Seen::Errno(1))],
        &["merge-own-pages"],
    ),
    (
        "side_channels = \"hardened\"",
        &[Speculation, CoreScheduling, PageSharing],
        &[(&[Seccomp], Seen::Nothing)],
        &["speculate-over-stores", "speculate-over-branches"],
    ),
];

#[test]
fn attacks_on_walls_on_demand_are_held_where_a_profile_asks_and_get_through_where_none_does() {
    let mut silent = Vec::new();
    for (keys, given_up, alone, names) in ON_DEMAND {
        let mut scene = Scene::new();
        // A profile that asks for nothing: what it does not forbid can be done, so that the walls are what forbids it.
        let harmless = scene.seen(names, &[]);
        (scene.keys, scene.given_up) = (keys, given_up);
        let with_all = scene.seen(names, &[]);
        let mut tried = Vec::new();
        for name in *names {
            let attack = attacks().find(|attack| attack.name == *name).unwrap();
            // A kernel that does not merge, a processor that does not speculate, or one that cannot be kept from it.
            if harmless[*name] != Seen::Through || with_all[*name] == Seen::Through && !given_up.is_empty() {
                silent.push(*name);
                continue;
            }
            assert!(attack.held_by(with_all[*name]).is_some(), "{name} where it is asked for: {}", with_all[*name]);
            tried.push(*name);
        }
        for (off, alone) in *alone {
            let seen = scene.seen(&tried, off);
            tried.iter().for_each(|name| assert_eq!(seen[*name], *alone, "{name} without {off:?}"));
        }
        let all: Vec<Wall> = alone.iter().flat_map(|(off, _)| off.iter().copied()).chain([WriteXorExecute]).collect();
        let without = scene.seen(&tried, &[&all[..], given_up, &[Seccomp]].concat());
        tried.iter().for_each(|name| assert_eq!(without[*name], Seen::Through, "{name} without any wall"));
    }
    if !silent.is_empty() {
        hotcell_testkit::skip!("this host itself makes nothing of {}", silent.join(", "));
    }
}

/// Whether this host lets anybody do it.
fn is_possible(name: &str) -> bool {
    let setting = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    match name {
        "io_uring_setup" => !["1", "2"].contains(&setting("/proc/sys/kernel/io_uring_disabled").as_str()),
        "ptrace-child" | "process_vm_readv" | "kcmp" => {
            ["", "0", "1"].contains(&setting("/proc/sys/kernel/yama/ptrace_scope").as_str())
        }
        // A control group at the root has no name that could be seen.
        "cgroup-names" => setting("/proc/self/cgroup").lines().any(|line| !line.ends_with(":/")) || is_root(),
        "core-of-a-crash" => leaves_dumps(),
        _ => true,
    }
}

/// Whether a program that crashes leaves a dump here: limits, patterns and helpers for dumps differ from host to host.
fn leaves_dumps() -> bool {
    let folder = tempfile::tempdir_in(data_dir()).unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -S -c $(ulimit -H -c); kill -ABRT $$"]).current_dir(folder.path());
    shell.status().unwrap().core_dumped()
}

#[test]
fn the_attacker_attacks_nothing_outside_of_a_sandbox() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hotcell-attacker"))
        .args(["attack", "kill-everyone"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(!Path::new(Facts::PATH).exists());
}
