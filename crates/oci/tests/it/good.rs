//! Honest images, in every form that they come in.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hotcell_oci::OciError;
use hotcell_testkit::require_program;
use hotcell_types::Explain;

use crate::image::{Packed, Place, write_index};
use crate::layer::Layer;

fn read(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join(name)).unwrap()
}

/// Three layers: files, changes of them, removals.
fn layers() -> Vec<Vec<u8>> {
    let lowest = Layer::new()
        .folder("./")
        .folder("./etc/")
        .file("./etc/passwd", b"root:x:0:0::/root:/bin/sh\napp:x:10001:10001::/home/app:/bin/sh\n")
        .file_of_mode("bin/tool", 0o755, b"tool")
        .symlink("sbin", "bin")
        .hard_link("bin/same", "bin/tool")
        .file("data/old", b"old")
        .file("data/kept", b"kept")
        .file("gone/deep/a", b"a")
        .file("cleared/a", b"a")
        .file("cleared/sub/b", b"b")
        .file("was-file", b"x")
        .file("was-folder/x", b"x");
    let middle = Layer::new()
        .file("data/old", b"new")
        .file(".wh.gone", b"")
        .file("cleared/sub/c", b"c")
        .file("cleared/.wh..wh..opq", b"")
        .file("data/.wh.never-there", b"")
        .folder("was-file/")
        .file("was-folder", b"now a file");
    let top = Layer::new().file("data/.wh.new", b"").file("data/new", b"made by the same layer").file("a/b/c/d", b"d");
    [lowest, middle, top].map(Layer::done).to_vec()
}

fn check(root: &Path) {
    assert_eq!(read(root, "data/old"), "new");
    assert_eq!(read(root, "data/kept"), "kept");
    assert_eq!(read(root, "data/new"), "made by the same layer");
    assert_eq!(read(root, "a/b/c/d"), "d");
    assert_eq!(read(root, "bin/same"), "tool");
    assert_eq!(read(root, "was-folder"), "now a file");
    assert!(root.join("was-file").is_dir());
    assert!(!root.join("gone").exists());
    assert_eq!(fs::read_dir(root.join("cleared")).unwrap().count(), 1);
    assert_eq!(read(root, "cleared/sub/c"), "c");
    assert!(!root.join("cleared/sub/b").exists());
    assert_eq!(fs::read_link(root.join("sbin")).unwrap(), Path::new("bin"));
    let marks = Command::new("find").arg(root).args(["-name", ".wh.*"]).output().unwrap();
    assert_eq!(marks.stdout, b"");
}

#[test]
fn layers_lie_over_each_other_in_every_compression() {
    for packed in [Packed::Plain, Packed::Gzip, Packed::Zstd] {
        let place = Place::new();
        let made = place.layout(&layers(), packed, "{\"User\":\"app\",\"WorkingDir\":\"/srv/app\",\"Cmd\":[\"tool\"]}");
        let image = place.fetch(made.layout.to_str().unwrap()).unwrap();
        assert_eq!(image.digest(), made.manifest);
        assert_eq!(image.config_digest(), made.config);
        check(&image.root());
        assert!(image.root().join("srv/app").is_dir(), "the working directory is made");
        let user = image.user().unwrap();
        assert_eq!((user.name.as_deref(), user.home.as_deref()), (Some("app"), Some("/home/app")));
        assert_eq!(image.config().default_command().unwrap(), ["tool"]);
        assert_eq!(place.left().len(), 1, "{:?}", place.left());
    }
}

#[test]
fn owners_set_id_bits_and_write_rights_are_dropped_and_times_kept() {
    let place = Place::new();
    let layer = Layer::new()
        .pax(&[("SCHILY.xattr.security.capability", b"\x01\x00\x00\x02\n=\x00"), ("uid", b"0")])
        .file_of_mode("usr/bin/su", 0o6755, b"su")
        .file_of_mode("secret", 0o600, b"of the image's root")
        .folder_of_mode("closed", 0o1700)
        .file_of_mode("closed/world", 0o777, b"w")
        .done();
    let made = place.layout(&[layer], Packed::Gzip, "null");
    let root = place.fetch(made.layout.to_str().unwrap()).unwrap().root();
    let me = fs::metadata(&root).unwrap().uid();
    for (name, mode) in [("usr/bin/su", 0o555), ("secret", 0o444), ("closed", 0o755), ("closed/world", 0o555)] {
        let found = fs::symlink_metadata(root.join(name)).unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid()), (mode, me), "{name}");
    }
    assert_eq!(fs::metadata(root.join("secret")).unwrap().mtime(), 1_700_000_000);
    let state = fs::metadata(place.path("images")).unwrap().permissions().mode() & 0o777;
    assert_eq!(state, 0o700, "nobody else comes in by the path");
}

#[test]
fn devices_and_pipes_are_left_out_and_counted() {
    let place = Place::new();
    let layer =
        Layer::new().special(b'3', "dev/null").special(b'4', "dev/sda").special(b'6', "run/pipe").file("a", b"a");
    let made = place.layout(&[layer.done()], Packed::Plain, "null");
    let image = place.fetch(made.layout.to_str().unwrap()).unwrap();
    assert_eq!(image.left_out(), 3);
    assert!(!image.root().join("dev/null").exists() && !image.root().join("run/pipe").exists());
    assert_eq!(read(&image.root(), "a"), "a");
}

#[test]
fn long_names_of_gnu_and_posix_are_read() {
    let place = Place::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let other = format!("{}/{}", "e".repeat(120), "g".repeat(200));
    let layer = Layer::new()
        .long(b'L', &[long.as_bytes(), b"\0"].concat())
        .file(&long[..100], b"gnu")
        .pax(&[("path", other.as_bytes()), ("mtime", b"1600000000.5"), ("size", b"5")])
        .file("short", b"posix")
        .long(b'K', &[b"x".repeat(300).as_slice(), b"\0"].concat())
        .symlink("link", "x");
    let made = place.layout(&[layer.done()], Packed::Gzip, "null");
    let root = place.fetch(made.layout.to_str().unwrap()).unwrap().root();
    assert_eq!((read(&root, &long), read(&root, &other)), ("gnu".into(), "posix".into()));
    assert_eq!(fs::metadata(root.join(&other)).unwrap().mtime(), 1_600_000_000);
    assert_eq!(fs::read_link(root.join("link")).unwrap().as_os_str().len(), 300);
}

#[test]
fn a_tar_of_a_layout_and_an_archive_by_docker_are_images_too() {
    require_program!("tar");
    require_program!("skopeo");
    let place = Place::new();
    let made = place.layout(&layers(), Packed::Gzip, "{\"Cmd\":[\"tool\"]}");
    let tar = place.path("image.tar");
    let packed = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&made.layout).arg(".").status().unwrap();
    assert!(packed.success());
    let image = place.fetch(tar.to_str().unwrap()).unwrap();
    assert_eq!(image.digest(), made.manifest);
    check(&image.root());
    drop(image);

    let docker = place.path("docker.tar");
    let to = format!("docker-archive:{}:tool:v1", docker.display());
    let output = Command::new("skopeo")
        .args(["--insecure-policy", "copy", &format!("oci:{}", made.layout.display()), &to])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let image = place.fetch(docker.to_str().unwrap()).unwrap();
    check(&image.root());
    let digest = image.digest();
    drop(image);
    // The child of another test holds our locks too, from its fork to its `execve`.
    let until = Instant::now() + Duration::from_secs(30);
    while let Err(error) = place.store().remove(&digest.to_string()) {
        assert!(matches!(error, OciError::InUse { .. }) && Instant::now() < until, "{error}");
        std::thread::yield_now();
    }
    let by_digest = format!("{}@{digest}", docker.display());
    assert_eq!(place.fetch(&by_digest).unwrap().digest(), digest, "its digest is the same each time");
    let wrong = place.fetch(&format!("{}@{}", docker.display(), made.config)).unwrap_err();
    assert_eq!(wrong.code(), "OCI-010", "{wrong}");
}

#[test]
fn of_several_images_one_has_to_be_named() {
    let place = Place::new();
    let one = place.layout(&layers(), Packed::Gzip, "null");
    write_index(&one.layout, &[(one.manifest, 100, Some("v1")), (one.manifest, 100, Some("v2"))]);
    let error = place.fetch(one.layout.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, OciError::Ambiguous { .. }), "{error}");
    assert!(error.to_string().contains("v2") && error.remedy().contains("@DIGEST"), "{error}");
    let named = format!("{}@{}", one.layout.display(), one.manifest);
    assert_eq!(place.fetch(&named).unwrap().digest(), one.manifest);
}

#[test]
fn what_is_kept_is_not_looked_for_again() {
    let place = Place::new();
    let made = place.layout(&layers(), Packed::Gzip, "null");
    let name = format!("{}@{}", made.layout.display(), made.manifest);
    place.fetch(&name).unwrap();
    fs::remove_dir_all(&made.layout).unwrap();
    check(&place.fetch(&name).unwrap().root());
}
