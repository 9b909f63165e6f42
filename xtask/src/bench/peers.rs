//! The peers of `bench start`, each set up to do as much of what Hotcell does as it can in one command.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::contest::Contender;
use crate::command::{Result, is_root, program};

/// The name that ratios refer to.
pub(crate) const BASE: &str = "bubblewrap";

/// The workload.
const WORKLOAD: &str = "/bin/true";

/// All peers that are installed, for the present user.
pub(crate) fn all(folder: &Path) -> Result<Vec<Contender>> {
    let bundle = bundle(folder)?;
    let mut peers = vec![plain()];
    peers.extend(program("bwrap").map(bubblewrap));
    peers.extend(program("crun").map(|path| oci("crun", path, &["--cgroup-manager=disabled"], &bundle, folder)));
    peers.extend(program("runc").map(|path| oci("runc", path, &[], &bundle, folder)));
    peers.extend(program("firejail").map(firejail));
    Ok(peers)
}

fn plain() -> Contender {
    Contender { name: "bare".into(), walls: "none".into(), command: Box::new(|_| Command::new(WORKLOAD)) }
}

fn bubblewrap(path: PathBuf) -> Contender {
    Contender {
        name: BASE.into(),
        walls: "namespaces, read-only view, capabilities; no seccomp, Landlock, limits, preflight, log".into(),
        command: Box::new(move |_| in_bubblewrap(&path, None, &[WORKLOAD])),
    }
}

/// All namespaces, the same read-only view of the system, empty capabilities, a clean environment; a folder at `/code`, where
/// the workload then starts.
pub(crate) fn in_bubblewrap(path: &Path, code: Option<&Path>, workload: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]);
    command.args(["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin"]);
    command.args(["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"]);
    command.args(["--ro-bind", "/etc/ld.so.cache", "/etc/ld.so.cache"]);
    command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/output"]);
    if let Some(code) = code {
        command.arg("--ro-bind").arg(code).args(["/code", "--chdir", "/code"]);
    }
    command.arg("--").args(workload);
    command
}

fn oci(name: &str, path: PathBuf, options: &'static [&'static str], bundle: &Path, folder: &Path) -> Contender {
    let (bundle, state) = (bundle.to_owned(), folder.join(format!("{name}-state")));
    let unique = format!("hotcell-bench-{name}-{}", std::process::id());
    let command = move |round| {
        let mut command = Command::new(&path);
        command.arg("--root").arg(&state).args(options).arg("run").arg("--bundle").arg(&bundle);
        command.arg(format!("{unique}-{round}"));
        command
    };
    Contender {
        name: name.into(),
        walls: "namespaces, read-only view, capabilities, no-new-privs; no seccomp, Landlock, limits, preflight, log"
            .into(),
        command: Box::new(command),
    }
}

fn firejail(path: PathBuf) -> Contender {
    let command = move |_| {
        let mut command = Command::new(&path);
        command.args(["--quiet", "--noprofile", "--net=none", "--private", "--private-dev", "--private-tmp"]);
        command.args(["--caps.drop=all", "--nonewprivs", "--seccomp", "--", WORKLOAD]);
        command
    };
    Contender {
        name: "firejail".into(),
        walls:
            "namespaces (no user), private home, capabilities, seccomp deny-list; no Landlock, limits, preflight, log"
                .into(),
        command: Box::new(command),
    }
}

/// A bundle as crun and runc take it: an empty root on which the system is bound read-only.
fn bundle(folder: &Path) -> Result<PathBuf> {
    let bundle = folder.join("bundle");
    let rootfs = bundle.join("rootfs");
    for name in ["usr", "proc", "dev", "tmp", "output", "etc"] {
        fs::create_dir_all(rootfs.join(name))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        let link = rootfs.join(name);
        if fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(format!("usr/{name}"), link)?;
        }
    }
    fs::set_permissions(&bundle, fs::Permissions::from_mode(0o755))?;
    fs::write(bundle.join("config.json"), serde_json::to_vec_pretty(&oci_config()?)?)?;
    Ok(bundle)
}

fn oci_config() -> Result<Value> {
    let mut namespaces = vec!["pid", "mount", "network", "ipc", "uts"];
    let mut linux = json!({});
    if !is_root() {
        namespaces.push("user");
        let (uid, gid) = ids()?;
        linux["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
        linux["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": 1}]);
    }
    linux["namespaces"] = namespaces.iter().map(|name| json!({"type": name})).collect();
    let tmpfs =
        |to: &str| json!({"destination": to, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]});
    Ok(json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": [WORKLOAD],
            "cwd": "/",
            "env": ["PATH=/usr/bin:/bin"],
            "noNewPrivileges": true,
            "capabilities": {},
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            tmpfs("/tmp"),
            tmpfs("/output"),
            {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro", "nosuid", "nodev"]},
        ],
        "linux": linux,
    }))
}

/// The present user and group.
fn ids() -> Result<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let own = fs::metadata("/proc/self")?;
    Ok((own.uid(), own.gid()))
}
