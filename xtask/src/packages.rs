//! Debian packages that tests and benchmarks use, installed when we are root and they are missing.

use std::path::Path;
use std::process::Command;

use crate::command::{Result, is_root, title};

/// A program and the package that brings it.
pub(crate) type Package = (&'static str, &'static str);

/// What tests use: `age` opens what we sealed, `strace` and the languages and tools are workloads,
/// `docker-registry`, `skopeo`, `umoci` and `buildah` are a real registry, its clients and a builder, `busybox` is what
/// images hold, `ip` and `openssl` make a small internet for `curl` and `wget`, `capsh` and `setpriv` look at rights, `bwrap` and `unshare` build surroundings, `chromium` prints a page,
/// `apparmor_parser` reads the profile that is shipped, `python3-cryptography` serves another reader of the audit log, `python3-sklearn` is what the example trains with, and
/// `nats-server` takes its events.
pub(crate) const TESTS: &[Package] = &[
    ("age", "age"),
    ("strace", "strace"),
    ("python3", "python3-minimal"),
    ("/usr/share/doc/python3-venv", "python3-venv"),
    ("/usr/lib/python3/dist-packages/cryptography", "python3-cryptography"),
    ("/usr/lib/python3/dist-packages/sklearn", "python3-sklearn"),
    ("nats-server", "nats-server"),
    ("node", "nodejs"),
    ("gcc", "gcc"),
    ("make", "make"),
    ("git", "git"),
    ("curl", "curl"),
    ("wget", "wget"),
    ("openssl", "openssl"),
    ("ip", "iproute2"),
    ("sqlite3", "sqlite3"),
    ("perl", "perl"),
    ("gosu", "gosu"),
    ("less", "less"),
    ("vim.tiny", "vim-tiny"),
    ("tmux", "tmux"),
    ("chromium", "chromium"),
    ("pdfinfo", "poppler-utils"),
    ("bwrap", "bubblewrap"),
    ("capsh", "libcap2-bin"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("apparmor_parser", "apparmor"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("buildah", "buildah"),
    ("busybox", "busybox-static"),
    ("mkfs.ext4", "e2fsprogs"),
    ("minisign", "minisign"),
    ("dpkg-deb", "dpkg"),
    ("git", "git"),
    ("script", "bsdutils"),
];

/// What the long tests use besides: they boot other kernels.
pub(crate) const LONG: &[Package] =
    &[("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static"), ("strip", "binutils")];

/// The peers of `bench start`.
pub(crate) const PEERS: &[Package] =
    &[("bwrap", "bubblewrap"), ("crun", "crun"), ("runc", "runc"), ("firejail", "firejail")];

/// The peer of `bench scratch`, and what its work runs on.
pub(crate) const SCRATCH: &[Package] =
    &[("gocryptfs", "gocryptfs"), ("fusermount3", "fuse3"), ("python3", "python3-minimal")];

/// The peers of `bench seal`.
pub(crate) const SEALERS: &[Package] = &[("age", "age")];

/// Installs what is missing. Not being able to is said, and no error: whoever needs the program says so again.
pub(crate) fn provide(packages: &[Package]) {
    let missing = missing(packages);
    if missing.is_empty() {
        return;
    }
    let list = missing.join(" ");
    if !is_root() {
        eprintln!("not installed: {list} (not root; `apt-get install {list}` brings them)");
        return;
    }
    title(&format!("installing {list}"));
    // The package lists of a fresh machine may be absent or old: the second try is after an update.
    let installed = install(&missing).or_else(|_| apt(&["update"]).and_then(|()| install(&missing)));
    if let Err(error) = installed {
        eprintln!("not installed: {list} ({error})");
    }
}

/// What is not in the system's own folders, where sandboxes and other users see it too.
fn missing(packages: &[Package]) -> Vec<&'static str> {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(Path::new);
    // A name that is a path stands for itself: of packages that bring no program.
    let absent = packages.iter().filter(|(name, _)| !folders.iter().any(|folder| folder.join(name).exists()));
    let mut names: Vec<&str> = absent.map(|(_, package)| *package).collect();
    names.dedup();
    names
}

fn install(packages: &[&str]) -> Result {
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat())
}

fn apt(args: &[&str]) -> Result {
    let output = Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("apt-get failed without a word").to_owned().into())
}
