//! Files of the host, and what is shown read-only.

use hotcell_isolate::{Input, ModelMount};
use hotcell_testkit::require_program;
use hotcell_types::Wall::{Landlock, MountNamespace, PidNamespace, ReadOnly, UserNamespace};

use super::{EACCES, ENOENT, EROFS, Scene};
use crate::harness::OPENED;

#[test]
fn host_files_that_were_not_granted_are_behind_the_fresh_root_and_landlock() {
    require_program!("python3");
    let scene = Scene::new();
    let secret = scene.host_file("secret", 0o644, b"of the host");
    scene.allows("seen = len(open('/etc/passwd').read())");
    let read = format!("seen = attempt(lambda: open({secret:?}).read())");
    scene.stops(&read, ENOENT, &[(MountNamespace, ENOENT), (Landlock, EACCES)]);
}

#[test]
fn host_files_cannot_be_written_behind_the_fresh_root_and_landlock() {
    require_program!("python3");
    let scene = Scene::new();
    let open_to_all = scene.host_file("open-to-all", 0o666, b"");
    scene.allows("seen = attempt(lambda: open('/scratch/own', 'w').write('mine'))");
    let write = format!("seen = attempt(lambda: open({open_to_all:?}, 'r+').write('changed'))");
    scene.stops(&write, ENOENT, &[(MountNamespace, ENOENT), (Landlock, EACCES)]);
    assert_eq!(std::fs::read(&open_to_all).unwrap(), b"changed", "the attack without walls came through");
}

#[test]
fn inputs_are_read_only_by_their_mounts_and_by_landlock() {
    require_program!("python3");
    let mut scene = Scene::new();
    let folder = scene.host_folder("data", 0o777);
    let file = scene.host_file("data/table", 0o666, b"1,2\n");
    scene.inputs.push(Input { name: "data".into(), path: folder.clone() });
    scene.allows("seen = len(open('/input/data/table').read())");
    for attack in [
        "seen = attempt(lambda: open('/input/data/table', 'a').write('more'))",
        "seen = attempt(lambda: os.mkdir('/input/data/made') or os.rmdir('/input/data/made'))",
        "seen = attempt(lambda: os.rename('/input/data/table', '/input/data/moved') or \
         os.rename('/input/data/moved', '/input/data/table'))",
        "seen = attempt(lambda: os.truncate('/input/data/table', 0))",
    ] {
        scene.stops(attack, EROFS, &[(ReadOnly, EROFS), (Landlock, EACCES)]);
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"", "the attack without walls came through");
}

#[test]
fn modes_and_times_of_inputs_are_guarded_by_the_read_only_mount_alone() {
    require_program!("python3");
    let mut scene = Scene::new();
    let folder = scene.host_folder("data", 0o777);
    scene.host_file("data/table", 0o666, b"1,2\n");
    scene.inputs.push(Input { name: "data".into(), path: folder });
    let attack = "seen = attempt(lambda: os.chmod('/input/data/table', 0o644))";
    scene.stops(attack, EROFS, &[(ReadOnly, EROFS)]);
    assert_eq!(scene.seen(attack, &[Landlock]), EROFS);
}

#[test]
fn the_code_folder_is_read_only_by_its_mount_and_by_landlock() {
    require_program!("python3");
    let mut scene = Scene::new();
    scene.code = Some(scene.host_folder("code", 0o777));
    scene.host_file("code/main.py", 0o666, b"pass\n");
    scene.allows("seen = len(open('main.py').read())");
    let attack = "seen = attempt(lambda: open('main.py', 'a').write('# more'))";
    scene.stops(attack, EROFS, &[(ReadOnly, EROFS), (Landlock, EACCES)]);
}

#[test]
fn a_plain_model_is_read_only_by_its_mount_and_by_landlock() {
    require_program!("python3");
    let mut scene = Scene::new();
    scene.model = Some(ModelMount::Plain { path: scene.host_file("weights", 0o666, b"1234") });
    scene.allows("seen = len(open('/model/weights').read())");
    let attack = "seen = attempt(lambda: open('/model/weights', 'r+').write('4'))";
    scene.stops(attack, EROFS, &[(ReadOnly, EROFS), (Landlock, EACCES)]);
}

#[test]
fn a_model_that_is_opened_inside_is_read_only_by_its_mount_and_by_landlock() {
    require_program!("python3");
    let mut scene = Scene::new();
    scene.model = Some(ModelMount::Opened { name: "weights".into(), bytes: OPENED.len() as u64 });
    scene.allows("seen = len(open('/model/weights').read()) - 4");
    // The file is the sandbox's own: its mode holds up nobody.
    let write = "def write():\n    os.chmod('/model/weights', 0o600)\n    open('/model/weights', 'r+').write('4')\n\
                 seen = attempt(write)";
    scene.stops(write, EROFS, &[(ReadOnly, EROFS), (Landlock, EACCES)]);
    let put_away = "seen = attempt(lambda: os.rename('/model/weights', '/model/other'))";
    scene.stops(put_away, EROFS, &[(ReadOnly, EROFS), (Landlock, EACCES)]);
    let put_beside = "seen = attempt(lambda: open('/model/more', 'w'))";
    scene.stops(put_beside, EROFS, &[(ReadOnly, EROFS), (Landlock, EACCES)]);
}

#[test]
fn the_root_is_read_only_by_its_mount_and_by_landlock() {
    require_program!("python3");
    let attack = "seen = attempt(lambda: os.mkdir('/made'))";
    Scene::new().stops(attack, EROFS, &[(ReadOnly, EROFS), (Landlock, EACCES)]);
}

#[test]
fn a_path_socket_of_the_host_is_behind_the_fresh_root_alone() {
    require_program!("python3");
    let scene = Scene::new();
    let path = scene.host_folder("run", 0o755).join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    scene.allows("import socket\na, b = socket.socketpair()\nseen = a.send(b'x')");
    let attack = format!("seen = attempt(lambda: socket.socket(socket.AF_UNIX).connect({path:?}))");
    scene.stops(&attack, ENOENT, &[(MountNamespace, ENOENT)]);
}

#[test]
fn kernel_settings_are_out_of_sight_and_not_writable() {
    require_program!("python3");
    hotcell_testkit::require_root!();
    // Opened and nothing written: where the attack succeeds, it changes nothing.
    let attack = "seen = attempt(lambda: open('/proc/sys/kernel/core_pattern', 'r+'))";
    let scene = Scene::new();
    scene.allows("seen = len(open('/proc/self/status').read())");
    scene.stops(attack, ENOENT, &[(PidNamespace, ENOENT), (Landlock, EACCES), (UserNamespace, EACCES)]);
}
