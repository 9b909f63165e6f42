//! Assets, walls, tests: every attack meets all walls, then each wall alone, then none.
//!
//! A wall that stands alone has to answer with its own error number, and an attack that no wall meets has to
//! succeed: otherwise the test would prove nothing. Where more than two walls guard an asset, each is tried
//! alone. Where the walls are limits, the one that is "off" is set so high that it is not met.

mod execution;
mod files;
mod image;
mod kernel;
mod limits;
mod network;
mod processes;
mod rights;
mod side_channels;
mod surroundings;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hotcell_isolate::{Io, IsolateError, ModelMount, Omitted, Sandbox, Spec};
use hotcell_policy::{Origin, Overlay, Profile};
use hotcell_types::Wall;
use syscalls::Sysno;

use crate::harness::{Ran, grant, run_with, spec};

pub(crate) const EPERM: i64 = -1;
pub(crate) const ENOENT: i64 = -2;
pub(crate) const ESRCH: i64 = -3;
pub(crate) const EAGAIN: i64 = -11;
pub(crate) const ENOMEM: i64 = -12;
pub(crate) const EACCES: i64 = -13;
pub(crate) const EINVAL: i64 = -22;
pub(crate) const EFBIG: i64 = -27;
pub(crate) const ENOSPC: i64 = -28;
pub(crate) const EROFS: i64 = -30;
pub(crate) const ENOSYS: i64 = -38;
pub(crate) const ENETUNREACH: i64 = -101;
pub(crate) const ECONNREFUSED: i64 = -111;

/// What every script begins with: `call` makes a system call by its name, `attempt` calls something that
/// may raise; both give the error number as its negative. The script leaves its result in `seen`.
const PRELUDE: &str = r#"
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(name, *arguments):
    ctypes.set_errno(0)
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    got = libc.syscall(ctypes.c_long(NUMBERS[name]), *words)
    return -ctypes.get_errno() if got < 0 else got
def attempt(action):
    try:
        action()
    except OSError as error:
        return -error.errno
    return 0
"#;

/// Calls that a script can name.
const CALLS: &[Sysno] = &[
    Sysno::add_key,
    Sysno::bpf,
    Sysno::chroot,
    Sysno::clone3,
    Sysno::fanotify_init,
    Sysno::fsopen,
    Sysno::io_uring_setup,
    Sysno::kcmp,
    Sysno::madvise,
    Sysno::mmap,
    Sysno::mprotect,
    Sysno::pkey_mprotect,
    Sysno::prctl,
    Sysno::sched_setaffinity,
    Sysno::keyctl,
    Sysno::memfd_create,
    Sysno::mknodat,
    Sysno::mount,
    Sysno::mq_open,
    Sysno::mq_unlink,
    Sysno::msgctl,
    Sysno::msgget,
    Sysno::name_to_handle_at,
    Sysno::open_tree,
    Sysno::perf_event_open,
    Sysno::personality,
    Sysno::pidfd_getfd,
    Sysno::pidfd_open,
    Sysno::process_vm_readv,
    Sysno::ptrace,
    Sysno::sethostname,
    Sysno::setns,
    Sysno::unshare,
    Sysno::userfaultfd,
];

/// Where an attack takes place.
pub(crate) struct Scene {
    state: tempfile::TempDir,
    pub(crate) inputs: Vec<hotcell_isolate::Input>,
    pub(crate) code: Option<PathBuf>,
    pub(crate) model: Option<ModelMount>,
    pub(crate) settings: Vec<String>,
    /// More keys of a profile file.
    pub(crate) keys: String,
    /// Inputs that the grant knows nothing of.
    pub(crate) shown_without_right: Vec<hotcell_isolate::Input>,
    /// Whether IPv4 and IPv6 sockets may be opened inside, as `strict` has it.
    pub(crate) loopback: bool,
}

impl Scene {
    /// A state folder that everyone may enter, away from `/tmp`, which is another folder inside.
    pub(crate) fn new() -> Self {
        let state = tempfile::tempdir_in(hotcell_testkit::data_dir()).unwrap();
        std::fs::set_permissions(state.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Self {
            state,
            inputs: Vec::new(),
            code: None,
            model: None,
            settings: Vec::new(),
            keys: String::new(),
            shown_without_right: Vec::new(),
            loopback: true,
        }
    }

    /// The state folder.
    pub(crate) fn state(&self) -> &std::path::Path {
        self.state.path()
    }

    /// With this limit in place of the profile's.
    pub(crate) fn limited(setting: &str) -> Self {
        let mut scene = Self::new();
        scene.settings.push(setting.to_owned());
        scene
    }

    /// A file of the host, in the state folder, with these access rights.
    pub(crate) fn host_file(&self, name: &str, mode: u32, content: &[u8]) -> PathBuf {
        let path = self.state.path().canonicalize().unwrap().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    /// A folder of the host, in the state folder, with these access rights.
    pub(crate) fn host_folder(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.state.path().canonicalize().unwrap().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    /// Runs a command without these walls.
    pub(crate) fn run(&self, command: &[&str], off: &[Wall]) -> Ran {
        let spec = self.spec(command, off);
        run_with(spec, self.profile(), off).unwrap_or_else(|error| panic!("without {off:?}: {error}: {error:?}"))
    }

    /// Tries to run a command without these walls, where those are given up by name.
    pub(crate) fn try_run(&self, command: &[&str], off: &[Wall], given_up: &[Wall]) -> Result<Ran, IsolateError> {
        let mut spec = self.spec(command, off);
        let grant = grant(&spec, self.profile(), given_up);
        spec.inputs.extend(self.shown_without_right.iter().cloned());
        crate::harness::run_granted(spec, &grant)
    }

    /// Runs a command under all walls and looks at the sandbox from outside, given its task's name, when the command
    /// has written something.
    pub(crate) fn watch(&self, command: &[&str], look: &mut dyn FnMut(&str)) {
        let spec = self.spec(command, &[]);
        let task = spec.task.to_string();
        let grant = grant(&spec, self.profile(), &[]);
        let running = Sandbox::build(&grant, spec, None).unwrap().lock(&grant).unwrap().start().unwrap();
        let mut seen = false;
        let mut stdout = |bytes: &[u8]| {
            if !bytes.is_empty() && !std::mem::replace(&mut seen, true) {
                look(&task);
            }
        };
        let io = &mut Io { stdout: &mut stdout, stderr: &mut |_| {}, onwards: [None, None], cancel: None };
        running.wait(io).unwrap().destroy().unwrap();
        assert!(seen, "the command said nothing");
    }

    fn profile(&self) -> Profile {
        let mut overlay = Overlay::parse(&self.keys, "keys").unwrap();
        overlay.network.loopback = Some(self.loopback);
        for setting in &self.settings {
            overlay.set_limit(setting).unwrap();
        }
        Profile::builtin("strict").unwrap().narrow(&overlay, &Origin::Flag("--limit".into())).unwrap()
    }

    fn spec(&self, command: &[&str], off: &[Wall]) -> Spec {
        Spec {
            inputs: self.inputs.clone(),
            code: self.code.clone(),
            model: self.model.clone(),
            omitted: Omitted::dangerous_without(off),
            ..spec(command, self.state.path())
        }
    }

    /// Runs a script without these walls; gives what it has seen.
    pub(crate) fn seen(&self, script: &str, off: &[Wall]) -> i64 {
        let ran = self.run(&["python3", "-c", &whole(script)], off);
        let seen = ran.stdout.lines().find_map(|line| line.strip_prefix("seen "));
        seen.and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("without {off:?}: {:?} {:?} {} {}", ran.exit, ran.cause, ran.stdout, ran.stderr))
    }

    /// The harmless program works under all walls.
    pub(crate) fn allows(&self, script: &str) {
        let seen = self.seen(script, &[]);
        assert!(seen >= 0, "a harmless program met error {}", -seen);
    }

    /// The attack meets `with_all` under all walls, each wall's own error where it stands alone, and succeeds
    /// where none of them stands.
    pub(crate) fn stops(&self, attack: &str, with_all: i64, alone: &[(Wall, i64)]) {
        assert_eq!(self.seen(attack, &[]), with_all, "with all walls");
        let walls: Vec<Wall> = alone.iter().map(|(wall, _)| *wall).collect();
        if let [_, _, ..] = alone {
            for (wall, errno) in alone {
                let off: Vec<Wall> = walls.iter().copied().filter(|other| other != wall).collect();
                assert_eq!(self.seen(attack, &off), *errno, "with {wall} alone, without {off:?}");
            }
        }
        let seen = self.seen(attack, &walls);
        assert!(seen >= 0, "without {walls:?} the attack still meets error {}: it proves nothing", -seen);
    }
}

/// A script with its prelude.
pub(crate) fn whole(script: &str) -> String {
    let numbers: Vec<String> = CALLS.iter().map(|call| format!("'{}': {}", call.name(), call.id())).collect();
    format!("NUMBERS = {{{}}}\n{PRELUDE}\n{script}\nprint('seen', seen)\n", numbers.join(", "))
}

/// Runs a script on the host, as the test's own user; gives what it has seen.
pub(crate) fn seen_outside(script: &str) -> i64 {
    let output = std::process::Command::new("python3").args(["-c", &whole(script)]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen = text.lines().find_map(|line| line.strip_prefix("seen ")).and_then(|number| number.parse().ok());
    seen.unwrap_or_else(|| panic!("{text} {}", String::from_utf8_lossy(&output.stderr)))
}
