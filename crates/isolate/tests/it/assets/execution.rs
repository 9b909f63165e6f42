//! Execution of what a workload wrote, and gain of rights by executing.

use std::os::unix::fs::{PermissionsExt, chown};

use hotcell_testkit::{require_program, require_root};
use hotcell_types::Wall::{self, Capabilities, Landlock, MountNamespace, NoExec, NoNewPrivs, Seccomp, UserNamespace};

use super::{EACCES, EPERM, Scene};

/// Makes a program of its own at a path and runs it; negative is the error of `execve`.
const RUN_OWN: &str = "
import shutil, subprocess
def run_own(path):
    shutil.copy('/usr/bin/true', path)
    os.chmod(path, 0o755)
    return attempt(lambda: subprocess.run([path], check=True))
";

#[test]
fn written_files_are_not_executed_by_their_mounts_and_by_landlock() {
    require_program!("python3");
    let scene = Scene::new();
    scene.allows("import subprocess\nseen = attempt(lambda: subprocess.run(['/usr/bin/true'], check=True))");
    for folder in ["/scratch", "/output", "/tmp", "/dev/shm"] {
        let attack = format!("{RUN_OWN}\nseen = run_own('{folder}/own')");
        scene.stops(&attack, EACCES, &[(NoExec, EACCES), (Landlock, EACCES)]);
    }
}

#[test]
fn written_files_are_not_mapped_as_programs_by_their_mounts_alone() {
    require_program!("python3");
    let attack = "import mmap\nopen('/scratch/own', 'wb').write(bytes(4096))\nown = open('/scratch/own', 'rb')\n\
                  seen = attempt(lambda: mmap.mmap(own.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC, \
                  flags=mmap.MAP_PRIVATE))";
    Scene::new().stops(attack, EPERM, &[(NoExec, EPERM)]);
}

#[test]
fn programs_in_memory_are_refused_by_the_filter_alone() {
    require_program!("python3");
    let attack = "import subprocess\nfd = call('memfd_create', ctypes.c_char_p(b'own'), 0)\n\
                  if fd >= 0:\n    os.write(fd, open('/usr/bin/true', 'rb').read())\n\
                  run = lambda: subprocess.run([f'/proc/self/fd/{fd}'], pass_fds=[fd], check=True)\n\
                  seen = fd if fd < 0 else attempt(run)";
    Scene::new().stops(attack, EPERM, &[(Seccomp, EPERM)]);
}

/// A user of the host that is neither root nor the sandbox's.
const SOMEBODY: u32 = 54321;

#[test]
fn a_set_user_id_program_gives_no_rights_by_any_of_three_walls() {
    // Only root can make a program of another user, and a sandbox in which that user exists.
    require_root!();
    require_program!("id");
    // The user id that the program runs under. The host's own mount, which lets programs change it, is in sight
    // where `MountNamespace` is off; the folder of code is shown by a mount that does not.
    let in_sight = Scene::new();
    let program = in_sight.host_file("id", 0o755, &std::fs::read("/usr/bin/id").unwrap());
    chown(&program, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).unwrap();
    let program = program.to_str().unwrap();
    let runs_as = |off: &[Wall]| in_sight.run(&[program, "-u"], off).stdout.trim().to_owned();
    let open = [MountNamespace, Landlock, Capabilities, Seccomp];
    assert_eq!(runs_as(&[&open[..], &[UserNamespace]].concat()), "0", "no-new-privs alone");
    assert_eq!(runs_as(&[&open[..], &[NoNewPrivs]].concat()), "65534", "own users alone");
    assert_eq!(runs_as(&[&open[..], &[UserNamespace, NoNewPrivs]].concat()), SOMEBODY.to_string(), "none");

    let mut shown = Scene::new();
    shown.code = Some(shown.host_folder("code", 0o755));
    let program = shown.host_file("code/id", 0o755, &std::fs::read("/usr/bin/id").unwrap());
    chown(&program, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).unwrap();
    let runs_as = |off: &[Wall]| shown.run(&["/code/id", "-u"], off).stdout.trim().to_owned();
    assert_eq!(runs_as(&[]), "65534", "all walls");
    let open = [Landlock, Capabilities, Seccomp, UserNamespace, NoNewPrivs];
    assert_eq!(runs_as(&open), "0", "nosuid mounts alone");
}
