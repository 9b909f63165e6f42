//! An image in place of the host's system.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hotcell_isolate::{Exit, Image, Omitted, Spec};
use hotcell_types::Wall::{self, Landlock, ReadOnly};

use super::Scene;
use crate::harness::{Ran, run_with, spec};

/// An image that everyone may write to, so that walls alone are in the way: a shell, and a folder.
fn image(scene: &Scene) -> Option<PathBuf> {
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| std::path::Path::new(path).is_file())?;
    let root = scene.host_folder("image", 0o755);
    scene.host_folder("image/bin", 0o755);
    scene.host_folder("image/opt", 0o777);
    scene.host_file("image/opt/data", 0o666, b"data");
    scene.host_folder("image/sys", 0o755);
    scene.host_folder("image/sys/kernel", 0o755);
    scene.host_folder("image/scratch", 0o777);
    std::os::unix::fs::symlink("/", root.join("top")).unwrap();
    std::os::unix::fs::symlink("/proc/1/root/etc", root.join("etc")).unwrap();
    std::os::unix::fs::symlink("../../../..", root.join("up")).unwrap();
    std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
    std::fs::set_permissions(root.join("bin/busybox"), PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).unwrap();
    Some(root)
}

fn run(scene: &Scene, root: &std::path::Path, script: &str, off: &[Wall]) -> Ran {
    let made = spec(&["/bin/sh", "-c", script], scene.state());
    let image = Some(Image { root: root.to_owned(), working_dir: None });
    let made = Spec { image, omitted: Omitted::dangerous_without(off), ..made };
    let profile = hotcell_policy::Profile::builtin("strict").unwrap();
    run_with(made, profile, off).unwrap_or_else(|error| panic!("without {off:?}: {error}"))
}

#[test]
fn a_program_of_an_image_runs_and_sees_nothing_of_the_hosts_system() {
    let scene = Scene::new();
    let Some(root) = image(&scene) else { hotcell_testkit::skip!("busybox is not installed") };
    let ran = run(&scene, &root, "busybox ls -a /; busybox pwd; busybox id -u; busybox cat /opt/data", &[]);
    if ran.exit == Exit::Code(127) {
        hotcell_testkit::skip!("busybox is not static");
    }
    let lines: Vec<_> = ran.stdout.lines().collect();
    for absent in ["usr", "lib", "lib64", "home"] {
        assert!(!lines.contains(&absent), "{absent} in {lines:?}");
    }
    for there in ["bin", "opt", "input", "output", "scratch", "proc", "dev", "tmp"] {
        assert!(lines.contains(&there), "{there} not in {lines:?}");
    }
    assert!(!lines.contains(&"sys"), "what an image has in the place of ours is not shown");
    assert_eq!(lines[lines.len() - 3..], ["/", "65534", "data"], "{}", ran.stderr);
    for observation in &ran.observations {
        assert!(observation.holds, "{observation:?}");
    }
    assert!(
        ran.observations.iter().any(|seen| seen.tried == "utimensat(/bin): EROFS" || seen.tried == "utimensat(/bin)")
    );
}

#[test]
fn an_image_is_read_only_by_its_mounts_and_by_landlock() {
    let scene = Scene::new();
    let Some(root) = image(&scene) else { hotcell_testkit::skip!("busybox is not installed") };
    if run(&scene, &root, "true", &[]).exit != Exit::Code(0) {
        hotcell_testkit::skip!("busybox is not static");
    }
    let (read_only, denied) = ("Read-only file system", "Permission denied");
    for attack in ["echo changed > /opt/data", "busybox mkdir /opt/made", "busybox rm /opt/data"] {
        for (off, word) in [(&[][..], read_only), (&[Landlock], read_only), (&[ReadOnly], denied)] {
            let ran = run(&scene, &root, attack, off);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(ran.exit != Exit::Code(0) && said.contains(word), "{attack} without {off:?}: {said}");
        }
        let ran = run(&scene, &root, attack, &[ReadOnly, Landlock]);
        assert_eq!(ran.exit, Exit::Code(0), "{attack} proves nothing: {}", ran.stderr);
    }
    assert!(
        root.join("opt/made").is_dir() && !root.join("opt/data").exists(),
        "the attacks without walls came through"
    );
}

#[test]
fn links_at_an_images_root_lead_nowhere_but_inside() {
    let scene = Scene::new();
    let Some(root) = image(&scene) else { hotcell_testkit::skip!("busybox is not installed") };
    // Both links lead to the sandbox's own root: its names, and no host file behind them.
    let script =
        "busybox ls /top /up | busybox sort -u | busybox tr '\\n' ' '; busybox cat /top/etc/shadow /up/etc/shadow";
    let ran = run(&scene, &root, script, &[]);
    if ran.exit == Exit::Code(127) {
        hotcell_testkit::skip!("busybox is not static");
    }
    assert!(ran.stdout.contains("bin") && !ran.stdout.contains("home"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("root:"), "{}", ran.stdout);
    assert!(ran.stderr.contains("No such file"), "{}", ran.stderr);
    // Nor do they widen what Landlock lets through.
    let ran = run(&scene, &root, "busybox cat /top/.hotcell /up/.hotcell /.hotcell", &[]);
    assert_eq!(ran.stderr.matches("Permission denied").count(), 3, "{}", ran.stderr);
    // Where a folder is ours, no link takes its place.
    let ran = run(&scene, &root, "busybox cat /etc/hostname", &[]);
    assert_eq!(ran.stdout, "hotcell\n", "{}", ran.stderr);
}
