//! Rights that a profile asks for: written memory that never becomes code, execution of data, devices of the host.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hotcell_isolate::{Input, IsolateError};
use hotcell_testkit::{require_program, require_root, skip};
use hotcell_types::Wall::{self, Landlock, NoExec, Seccomp, WriteXorExecute};

use super::{EACCES, ENOENT, EPERM, EROFS, Scene};

/// What `mmap` and its like are asked with.
const PROTECTIONS: &str = "READ, WRITE, EXECUTE, PRIVATE_ANONYMOUS = 1, 2, 4, 0x22";

fn write_xor_execute() -> Scene {
    let mut scene = Scene::new();
    scene.keys = "memory.write_xor_execute = true".to_owned();
    scene
}

#[test]
fn memory_that_was_written_to_never_becomes_code_by_the_filter_and_the_kernels_own_rule() {
    require_program!("python3");
    let scene = write_xor_execute();
    scene.allows("import json, zlib, sqlite3, ctypes\nseen = len(json.dumps([1])) + len(zlib.compress(b'x'))");
    let page = "call('mmap', 0, 4096, READ | WRITE, PRIVATE_ANONYMOUS, -1, 0)";
    for attack in [
        "seen = call('mmap', 0, 4096, READ | WRITE | EXECUTE, PRIVATE_ANONYMOUS, -1, 0)".to_owned(),
        format!("seen = call('mprotect', {page}, 4096, READ | EXECUTE)"),
        format!("seen = call('mprotect', {page}, 4096, READ | WRITE | EXECUTE)"),
        format!("seen = call('pkey_mprotect', {page}, 4096, READ | EXECUTE, -1)"),
    ] {
        let attack = format!("{PROTECTIONS}\n{attack}");
        scene.stops(&attack, EPERM, &[(Seccomp, EPERM), (WriteXorExecute, EACCES)]);
        // And whoever does not ask for it has compilers that work while a program runs.
        if !attack.contains("pkey") {
            Scene::new().allows(&attack);
        }
    }
}

#[test]
fn code_is_not_written_to_by_way_of_the_process_files() {
    require_program!("python3");
    // The page of a function of the C library, which is executable and not writable.
    let attack = "at = ctypes.cast(libc.getpid, ctypes.c_void_p).value\ndef write():\n    \
                  fd = os.open('/proc/self/mem', os.O_RDWR)\n    os.lseek(fd, at, os.SEEK_SET)\n    \
                  kept = os.read(fd, 1)\n    os.lseek(fd, at, os.SEEK_SET)\n    os.write(fd, kept)\nseen = attempt(write)";
    write_xor_execute().stops(attack, EROFS, &[(WriteXorExecute, EROFS), (Landlock, EACCES)]);
}

#[test]
fn the_preflight_sees_whether_written_memory_becomes_code() {
    let scene = write_xor_execute();
    let ran = scene.run(&["true"], &[]);
    let of = |wall: Wall| ran.observations.iter().filter(move |seen| seen.wall == wall);
    assert!(of(WriteXorExecute).count() == 1 && of(WriteXorExecute).all(|seen| seen.holds), "{:?}", ran.observations);
    assert!(of(Seccomp).any(|seen| seen.tried.contains("PROT_EXEC") && seen.holds), "{:?}", ran.observations);
    let missed = scene.try_run(&["true"], &[WriteXorExecute], &[]);
    assert!(
        matches!(&missed, Err(IsolateError::WallsDown { observations }) if observations[0].wall == WriteXorExecute)
    );
    assert!(Scene::new().run(&["true"], &[]).observations.iter().all(|seen| seen.wall != WriteXorExecute));
}

#[test]
fn execution_of_inputs_and_of_what_was_written_is_a_right_of_its_own() {
    require_program!("python3");
    let asked = |path: &str| {
        let mut scene = Scene::new();
        let program = scene.host_file("program", 0o755, &std::fs::read("/usr/bin/true").unwrap());
        scene.inputs.push(Input { name: "program".into(), path: program });
        if !path.is_empty() {
            scene.keys = format!("[[rights]]\naccess = [\"EXECUTE\"]\npath = \"{path}\"");
        }
        scene
    };
    let run = |path: &str| {
        let copy = "import shutil, subprocess\n";
        match path {
            "/input/program" => format!("{copy}seen = attempt(lambda: subprocess.run(['{path}'], check=True))"),
            folder => format!(
                "{copy}shutil.copy('/usr/bin/true', '{folder}/own')\n\
                 seen = attempt(lambda: subprocess.run(['{folder}/own'], check=True))"
            ),
        }
    };
    for path in ["/input/program", "/output", "/scratch"] {
        asked("").stops(&run(path), EACCES, &[(NoExec, EACCES), (Landlock, EACCES)]);
        asked(path).allows(&run(path));
        for other in ["/input/program", "/output", "/scratch"].into_iter().filter(|other| *other != path) {
            assert_eq!(asked(path).seen(&run(other), &[]), EACCES, "{path} granted, {other} run");
        }
    }
}

/// A node of the device of zeroes below `/dev`, gone with this value.
struct Node(PathBuf);

impl Node {
    fn new(name: &str, mode: u32) -> Self {
        let path = Path::new("/dev").join(format!("hotcell-test-{name}-{}", std::process::id()));
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode.into(), rustix::fs::makedev(1, 5)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        Self(path)
    }

    fn granted(&self, access: &str) -> Scene {
        granted(&self.0, access)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn granted(node: &Path, access: &str) -> Scene {
    let mut scene = Scene::new();
    scene.keys = format!("[[rights]]\naccess = [{access}]\ndevice = \"{}\"", node.display());
    scene
}

#[test]
fn a_device_is_there_by_an_explicit_right_only_and_for_that_access_only() {
    require_root!();
    require_program!("python3");
    let node = Node::new("zero", 0o666);
    let open = |how: &str| format!("seen = attempt(lambda: os.close(os.open('{}', os.{how})))", node.0.display());
    assert_eq!(Scene::new().seen(&open("O_RDONLY"), &[]), ENOENT, "not granted");
    let both = node.granted("\"READ\", \"WRITE\"");
    both.allows(&open("O_RDWR"));
    both.allows(&format!("seen = len(os.read(os.open('{}', os.O_RDONLY), 5))", node.0.display()));
    let read = node.granted("\"READ\"");
    read.allows(&open("O_RDONLY"));
    read.stops(&open("O_WRONLY"), EACCES, &[(Landlock, EACCES)]);
    assert_eq!(read.seen(&open("O_RDWR"), &[]), EACCES);
    let ran = read.run(&["true"], &[]);
    assert!(
        ran.observations.iter().any(|seen| seen.tried.contains("for writing") && seen.holds),
        "{:?}",
        ran.observations
    );
    // Its neighbours stay away.
    let others =
        "seen = -len([name for name in os.listdir('/dev') if name.startswith(('hotcell', 'kmsg', 'mem', 'loop'))])";
    assert_eq!(both.seen(others, &[]), -1);
}

#[test]
fn a_device_that_cannot_be_granted_is_refused_and_nothing_is_made() {
    require_root!();
    let closed = Node::new("closed", 0o600);
    for (node, access, says) in [
        (closed.0.clone(), "\"READ\"", "not everyone may open it"),
        (PathBuf::from("/dev/hotcell-is-not-there"), "\"READ\"", "No such file"),
        (PathBuf::from("/dev/kmsg"), "\"READ\"", "the log of the kernel"),
        (PathBuf::from("/dev/tty"), "\"READ\", \"WRITE\"", "a terminal of the host"),
        (PathBuf::from("/dev/fd"), "\"READ\"", "no device"),
    ] {
        let scene = granted(&node, access);
        match scene.try_run(&["true"], &[], &[]) {
            Err(IsolateError::Device { why, .. }) => assert!(why.contains(says), "{}: {why}", node.display()),
            Err(error) => panic!("{}: {error}", node.display()),
            Ok(_) => panic!("{} was granted", node.display()),
        }
    }
}

#[test]
fn a_device_is_granted_by_nobody_who_may_not_open_it() {
    hotcell_testkit::require_ordinary_user!();
    let closed = |path: &PathBuf| rustix::fs::access(path, rustix::fs::Access::READ_OK).is_err();
    let nodes = ["/dev/fuse", "/dev/kvm", "/dev/hwrng", "/dev/loop-control"].map(PathBuf::from);
    let Some(node) = nodes.iter().find(|node| node.exists() && closed(node)) else {
        skip!("every device of this host may be opened by everyone")
    };
    let refused = granted(node, "\"READ\"").try_run(&["true"], &[], &[]);
    assert!(matches!(&refused, Err(IsolateError::Device { why, .. }) if why.contains("you may not open it")));
}

#[test]
fn what_a_grant_holds_no_right_over_is_not_shown() {
    let mut scene = Scene::new();
    let file = scene.host_file("secret", 0o644, b"x");
    scene.inputs.push(Input { name: "data".into(), path: file.clone() });
    scene.shown_without_right.push(Input { name: "more".into(), path: file });
    let refused = scene.try_run(&["true"], &[], &[]);
    assert!(matches!(&refused, Err(IsolateError::NotGranted { over }) if over.contains("/input/more")));
}
