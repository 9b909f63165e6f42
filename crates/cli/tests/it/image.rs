//! `hotcell run --image` and `hotcell image` as their users meet them.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hotcell_crypto::sha256;
use hotcell_testkit::require_program;
use hotcell_types::Digest;

use crate::hotcell::{Place, text};

/// A shell that needs no library, where this machine has one.
fn busybox() -> Option<PathBuf> {
    let path = ["/usr/bin/busybox", "/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.is_file())?;
    let told = Command::new("ldd").arg(&path).output().ok()?;
    text(&told.stderr).contains("not a dynamic").then_some(path)
}

/// An image as a layout: busybox, a user, files with set-id bits; `said` is its config.
fn layout(place: &Place, busybox: &Path, said: &str) -> Digest {
    let folder = place.path("layout");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        tar.append_data(&mut header, path, content).unwrap();
    };
    add("bin/busybox", 0o4755, &fs::read(busybox).unwrap());
    add("etc/passwd", 0o644, b"root:x:0:0::/root:/bin/sh\napp:x:10001:10001::/home/app:/bin/sh\n");
    add("srv/app/data", 0o600, b"of the image\n");
    for name in ["sh", "id", "cat", "ls", "env", "pwd", "touch", "sleep"] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{name}"), "busybox").unwrap();
    }
    let layer = tar.into_inner().unwrap();
    let put = |bytes: &[u8]| {
        let digest = sha256(bytes);
        fs::write(folder.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        digest
    };
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = format!(
        "{{\"os\":\"linux\",\"architecture\":\"{architecture}\",\"config\":{said},\
         \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{}\"]}}}}",
        sha256(&layer)
    );
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\
         \"application/vnd.oci.image.config.v1+json\",\"digest\":\"{}\",\"size\":{}}},\"layers\":[{{\"mediaType\":\
         \"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"{}\",\"size\":{}}}]}}",
        put(config.as_bytes()),
        config.len(),
        put(&layer),
        layer.len()
    );
    let digest = put(manifest.as_bytes());
    fs::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    let index = format!(
        "{{\"schemaVersion\":2,\"manifests\":[{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"digest\":\"{digest}\",\"size\":{}}}]}}",
        manifest.len()
    );
    fs::write(folder.join("index.json"), index).unwrap();
    digest
}

const SHELL: &str = "{\"Cmd\":[\"/bin/sh\"]}";

macro_rules! require_busybox {
    () => {
        match busybox() {
            Some(path) => path,
            None => hotcell_testkit::skip!("needs busybox without libraries (busybox-static)"),
        }
    };
}

#[test]
fn a_command_runs_in_an_image_and_leaves_its_output() {
    let busybox = require_busybox!();
    let place = Place::new();
    layout(&place, &busybox, SHELL);
    place.file("table.csv", "a\nb\n");
    let script =
        "ls / > /output/root; cat /input/data > /output/copy; cat /srv/app/data; touch /bin/x 2>&1; ls /usr 2>&1";
    let told = place.output(&[
        "run",
        "--image",
        "./layout",
        "--input",
        "data=table.csv",
        "--output",
        "out",
        "--",
        "/bin/sh",
        "-c",
        script,
    ]);
    let said = text(&told.stdout);
    assert_eq!(told.status.code(), Some(1), "{said} {}", text(&told.stderr));
    assert!(said.starts_with("of the image\n") && said.contains("Read-only file system"), "{said}");
    assert!(said.contains("/usr: No such file"), "nothing of the host's system is there: {said}");
    assert_eq!(fs::read_to_string(place.path("out/copy")).unwrap(), "a\nb\n");
    assert!(!fs::read_to_string(place.path("out/root")).unwrap().lines().any(|line| line == "usr"));
}

#[test]
fn entry_point_variables_folder_and_user_are_those_of_the_image() {
    let busybox = require_busybox!();
    let place = Place::new();
    layout(
        &place,
        &busybox,
        "{\"Entrypoint\":[\"/bin/sh\",\"-c\"],\"Cmd\":[\"pwd; env; id -u\"],\"WorkingDir\":\"/srv/app\",\
         \"Env\":[\"MODE=image\",\"PATH=/bin\",\"OVER=image\"],\"User\":\"app:app\"}",
    );
    let told = place.expect(0, &["run", "--image", "./layout", "--env", "OVER=task"]);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), ("/srv/app", "65534"), "{told}");
    for line in ["MODE=image", "PATH=/bin", "OVER=task", "USER=app", "HOME=/home/app", "TMPDIR=/scratch"] {
        assert!(lines.contains(&line), "{line} is not in {told}");
    }
    assert_eq!(place.expect(0, &["run", "--image", "./layout", "--", "cat", "data"]), "of the image\n");
}

#[test]
fn an_image_that_says_root_gets_no_right_of_the_host() {
    let busybox = require_busybox!();
    let place = Place::new();
    layout(&place, &busybox, "{\"User\":\"root\",\"Cmd\":[\"/bin/sh\"]}");
    let script = "id -u; cat /proc/self/status | while read name value rest; do case $name in Uid:|CapEff:|CapBnd:|NoNewPrivs:) \
                  echo $name $value;; esac; done; ls -l /bin/busybox";
    let told = place.expect(0, &["run", "--image", "./layout", "--", "/bin/sh", "-c", script]);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines[..5],
        ["65534", "Uid: 65534", "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1"],
        "{told}"
    );
    assert!(lines[5].starts_with("-r-xr-xr-x"), "no set-id bit is left: {told}");
}

#[test]
fn an_image_that_wishes_for_devices_volumes_and_privileges_gets_what_one_without_wishes_gets() {
    let busybox = require_busybox!();
    const WISHES: &str = "{\"Cmd\":[\"/bin/sh\"],\"Volumes\":{\"/data\":{},\"/dev/sda\":{},\"/host\":{}},\
        \"ExposedPorts\":{\"22/tcp\":{}},\"Labels\":{\"privileged\":\"true\",\"devices\":\"/dev/kmsg:/dev/kmsg:rwm\",\
        \"io.podman.annotations.privileged\":\"TRUE\"},\"Devices\":[\"/dev/kmsg\",\"/dev/fuse\"],\"CapAdd\":[\"ALL\"],\
        \"Privileged\":true,\"Binds\":[\"/:/host\"],\"NetworkMode\":\"host\",\"PidMode\":\"host\",\"HostConfig\":{\"Privileged\":\
        true,\"Devices\":[{\"PathOnHost\":\"/dev/kmsg\",\"PathInContainer\":\"/dev/kmsg\",\"CgroupPermissions\":\"rwm\"}],\
        \"CapAdd\":[\"ALL\"],\"Binds\":[\"/:/host\"],\"SecurityOpt\":[\"seccomp=unconfined\"]},\
        \"linux\":{\"devices\":[{\"path\":\"/dev/kmsg\",\"type\":\"c\",\"major\":1,\"minor\":11}],\"seccomp\":null}}";
    // What there is of devices, mounts, folders, rights, filters and networks.
    let script =
        "cd /; /bin/busybox find /dev | /bin/busybox sort; ls /; /bin/busybox cut -d' ' -f5,6 /proc/self/mountinfo
        /bin/busybox grep -E '^(Cap|NoNewPrivs|Seccomp|Uid)' /proc/self/status; /bin/busybox grep -c . /proc/net/dev
        for node in /dev/kmsg /dev/fuse /dev/sda /host /data; do cat $node 2>&1; done";
    let seen = |said: &str| {
        let place = Place::new();
        layout(&place, &busybox, said);
        let plan = place.json(0, &["run", "--json", "--dry-run", "--image", "./layout", "--", "/bin/sh"]);
        let ran = place.output(&["run", "--image", "./layout", "--", "/bin/sh", "-c", script]);
        (text(&ran.stdout), plan["rights"].clone(), text(&ran.stderr))
    };
    let (plain, wishing) = (seen(SHELL), seen(WISHES));
    assert!(plain.0.contains("/dev/null") && plain.0.contains("CapEff:\t0000000000000000"), "{} {}", plain.0, plain.2);
    assert_eq!(plain.0.matches("No such file or directory").count(), 5, "{}", plain.0);
    assert!(plain.1.as_array().is_some_and(|rights| !rights.is_empty()), "{}", plain.1);
    assert_eq!(wishing.0, plain.0);
    assert_eq!(wishing.1, plain.1);
}

#[test]
fn log_and_receipt_name_the_image_by_its_digest() {
    let busybox = require_busybox!();
    let place = Place::new();
    let digest = layout(&place, &busybox, "{\"User\":\"app\",\"Cmd\":[\"/bin/id\"]}");
    let report = place.json(0, &["--json", "run", "--image", "./layout", "--receipt", "receipt.json"]);
    assert_eq!(report["image"]["digest"], digest.to_string());
    assert_eq!(report["image"]["user"], "app");
    let key = place.state().join("keys/signing.key.pub");
    let told = place.expect(0, &["receipt", "verify", "receipt.json", "--trust", key.to_str().unwrap()]);
    assert!(told.contains(&digest.to_string()) && told.contains("made for user app"), "{told}");
    let log = place.expect(0, &["--json", "audit", "show"]);
    let submitted = log.split("task-submitted").nth(1).unwrap_or_default();
    assert!(log.contains(&digest.to_string()), "{submitted}");
    place.expect(0, &["audit", "verify"]);

    let dry = place.json(0, &["--json", "run", "--dry-run", "--image", "./layout"]);
    assert_eq!(dry["image"]["digest"], digest.to_string());
    assert_eq!(dry["workload"]["command"][0], "/bin/id");
    let told = place.expect(0, &["run", "--dry-run", "--image", "./layout"]);
    assert!(told.contains(&format!("image: ./layout ({digest})")), "{told}");
}

#[test]
fn a_dry_run_fetches_no_layer() {
    let busybox = require_busybox!();
    let place = Place::new();
    layout(&place, &busybox, SHELL);
    place.expect(0, &["run", "--dry-run", "--image", "./layout"]);
    assert_eq!(place.json(0, &["--json", "image", "list"]).as_array().unwrap().len(), 0);
}

#[test]
fn a_task_file_names_an_image_beside_it() {
    let busybox = require_busybox!();
    let place = Place::new();
    layout(&place, &busybox, "{\"Cmd\":[\"/bin/cat\",\"/srv/app/data\"]}");
    place.file("task.toml", "image = \"./layout\"\n");
    fs::create_dir(place.path("elsewhere")).unwrap();
    let mut command = place.command(&["run", "--task", "../task.toml"]);
    let told = command.current_dir(place.path("elsewhere")).output().unwrap();
    assert_eq!(text(&told.stdout), "of the image\n", "{}", text(&told.stderr));
    place.file("both.toml", "image = \"./layout\"\n[runner]\n");
    let told = place.output(&["run", "--task", "both.toml"]);
    assert_eq!(told.status.code(), Some(2));
    assert!(text(&told.stderr).contains("exclude each other"), "{}", text(&told.stderr));
}

#[test]
fn images_are_listed_and_removed() {
    let busybox = require_busybox!();
    let place = Place::new();
    let digest = layout(&place, &busybox, SHELL);
    let told = place.expect(0, &["image", "pull", "./layout"]);
    assert_eq!(told, format!("./layout@{digest}\n"));
    let listed = place.json(0, &["--json", "image", "list"]);
    assert_eq!(listed[0]["digest"], digest.to_string());
    let mut running = place.start(&["run", "--image", "./layout", "--", "/bin/sh", "-c", "echo ready; sleep 60"]);
    let mut line = [0u8; 6];
    std::io::Read::read_exact(running.stdout.as_mut().unwrap(), &mut line).unwrap();
    let told = place.output(&["image", "rm", &digest.hex()[..8]]);
    assert_eq!(told.status.code(), Some(1));
    assert!(text(&told.stderr).contains("in use"), "{}", text(&told.stderr));
    running.kill().unwrap();
    running.wait().unwrap();
    place.expect(0, &["image", "rm", &digest.hex()[..8]]);
    assert_eq!(place.json(0, &["--json", "image", "list"]).as_array().unwrap().len(), 0);
    place.expect(1, &["image", "rm", &digest.to_string()]);
}

#[test]
fn wrong_images_are_named_with_code_and_remedy_and_leave_nothing() {
    let busybox = require_busybox!();
    let place = Place::new();
    let digest = layout(&place, &busybox, "null");
    let other = sha256(b"other");
    let wrong = format!("./layout@{other}");
    let tag = "registry.invalid/team/tool:v1";
    for (arguments, status, words) in [
        (&["run", "--image", "./missing", "--", "true"][..], 125, &["OCI-010", "./missing"][..]),
        (&["run", "--image", &wrong, "--", "true"], 125, &["OCI-010"]),
        (&["run", "--image", tag, "--", "true"], 2, &["OCI-003", "hotcell image pull registry.invalid/team/tool:v1"]),
        (&["run", "--image", "tool", "--", "true"], 2, &["OCI-002", "short_names", "images.toml"]),
        (&["run", "--image", "No Image", "--", "true"], 2, &["OCI-001"]),
        (&["run", "--image", "./layout"], 2, &["OCI-041", "after `--`"]),
        (&["run", "--image", "./layout", "--", "/bin/no-such"], 127, &["/bin/no-such"]),
    ] {
        let told = place.output(arguments);
        let said = text(&told.stderr);
        assert_eq!(told.status.code(), Some(status), "{arguments:?}: {said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{arguments:?}: {said}"));
    }
    let blob = place.path("layout/blobs/sha256").join(digest.hex());
    let mut bytes = fs::read(&blob).unwrap();
    bytes[3] ^= 1;
    fs::write(&blob, bytes).unwrap();
    place.expect(0, &["image", "rm", &digest.to_string()]);
    let told = place.output(&["run", "--image", "./layout", "--", "true"]);
    assert_eq!(told.status.code(), Some(123), "{}", text(&told.stderr));
    assert!(text(&told.stderr).contains("OCI-020"), "{}", text(&told.stderr));
    let left: Vec<_> =
        fs::read_dir(place.state().join("images")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".lock")), "{left:?}");
}

#[test]
fn settings_that_cannot_be_meant_are_an_error() {
    let place = Place::new();
    fs::create_dir_all(place.path(".config/hotcell")).unwrap();
    place.file(".config/hotcell/images.toml", "short_name = \"x.org/a\"\n");
    let mut command = place.command(&["run", "--image", "tool@sha256:", "--", "true"]);
    let told = command.env_remove("XDG_CONFIG_HOME").output().unwrap();
    assert_eq!(told.status.code(), Some(2));
    assert!(text(&told.stderr).contains("OCI-004"), "{}", text(&told.stderr));
}

/// A registry, gone at the end.
struct Registry(Child);

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_short_name_is_pulled_from_a_real_registry_and_run_by_its_digest() {
    require_program!("docker-registry");
    require_program!("skopeo");
    let busybox = require_busybox!();
    let place = Place::new();
    layout(&place, &busybox, "{\"Cmd\":[\"/bin/cat\",\"/srv/app/data\"]}");
    let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let data = place.path("data");
    let config = place.file(
        "registry.yml",
        &format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
            data.display()
        ),
    );
    let mut registry = Command::new("docker-registry");
    registry.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _registry = Registry(registry.spawn().unwrap());
    let begin = Instant::now();
    while TcpStream::connect(&host).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(120), "the registry does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (from, to) = (format!("oci:{}", place.path("layout").display()), format!("docker://{host}/library/tool:v1"));
    let mut push = Command::new("skopeo");
    push.args(["--insecure-policy", "copy", "--dest-tls-verify=false", &from, &to]).env("HOME", place.path("."));
    let pushed = push.output().unwrap();
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));

    fs::create_dir_all(place.path(".config/hotcell")).unwrap();
    place.file(".config/hotcell/images.toml", &format!("short_names = \"{host}/library\"\n"));
    let mut pull = place.command(&["image", "pull", "tool:v1"]);
    let told = pull.env_remove("XDG_CONFIG_HOME").output().unwrap();
    let exact = text(&told.stdout).trim().to_owned();
    // The client compressed the layer, so that the digest is another one than the layout's.
    let digest = exact.strip_prefix(&format!("{host}/library/tool@")).unwrap_or_else(|| panic!("{told:?}"));
    assert_eq!(place.expect(0, &["run", "--image", &exact]), "of the image\n");
    place.expect(0, &["image", "rm", digest]);
    assert_eq!(place.expect(0, &["run", "--image", &exact]), "of the image\n", "fetched anew by its digest");
}

/// Builds `examples/image` with a real builder. Its base is made here: a shell; the compiler is the host's, seen by the
/// one step that runs.
#[test]
fn the_example_builds_in_stages_and_runs_by_digest() {
    hotcell_testkit::require_root!();
    require_program!("buildah");
    require_program!("gcc");
    let busybox = require_busybox!();
    let place = Place::new();
    let path = |name: &str| place.path(name).to_string_lossy().into_owned();
    let run = |program: &str, arguments: &[&str]| {
        let told = Command::new(program).args(arguments).current_dir(place.path(".")).output().unwrap();
        assert!(told.status.success(), "{program} {arguments:?}: {}{}", text(&told.stdout), text(&told.stderr));
    };
    fs::create_dir_all(place.path("bin")).unwrap();
    fs::create_dir_all(place.path("tmp")).unwrap();
    fs::copy(busybox, place.path("bin/sh")).unwrap();

    let (store, running) = (path("store"), path("running"));
    let own = ["--root", &store, "--runroot", &running, "--storage-driver", "vfs"];
    let example = hotcell_testkit::workspace().join("examples/image").to_string_lossy().into_owned();
    for step in [
        &["from", "--name", "base-in-the-making", "scratch"][..],
        &["copy", "base-in-the-making", "bin", "/bin"],
        &["copy", "base-in-the-making", "tmp", "/tmp"],
        &["commit", "base-in-the-making", "base"],
    ] {
        run("buildah", &[&own[..], step].concat());
    }
    let mut build = vec!["bud", "--isolation", "chroot", "--build-arg", "BUILD_BASE=localhost/base", "-t", "count"];
    let volumes: Vec<_> = ["/usr", "/lib", "/lib64"].iter().map(|folder| format!("{folder}:{folder}:ro")).collect();
    volumes.iter().for_each(|volume| build.extend(["-v", volume]));
    build.push(&example);
    run("buildah", &[&own[..], &build].concat());
    run("buildah", &[&own[..], &["push", "count", &format!("oci-archive:{}", path("count.tar"))]].concat());

    let exact = place.expect(0, &["image", "pull", "./count.tar"]);
    place.file("table.csv", "a\nb\nc\n");
    let arguments = ["run", "--image", exact.trim(), "--input", "data=table.csv", "--output", "counted"];
    place.expect(0, &arguments);
    assert_eq!(fs::read_to_string(place.path("counted/lines")).unwrap(), "3\n");
    let report = place.json(0, &[&["--json"], &arguments[..]].concat());
    assert_eq!(report["image"]["user"], "10001:10001");
    // The final stage is the program and nothing else.
    let shell = place.output(&["run", "--image", exact.trim(), "--", "/bin/sh"]);
    assert_eq!(shell.status.code(), Some(127), "{}", text(&shell.stderr));
    let _ = Command::new("buildah").args(own).args(["rm", "--all"]).output();
}
