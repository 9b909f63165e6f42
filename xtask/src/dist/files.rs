//! Files of a release: fixed times, owners, modes and order, whoever makes them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::Release;
use crate::command::{Result, read, root, run};

/// The one time that all files of a release bear.
pub(super) struct Times(pub(super) u64);

impl Times {
    /// `SOURCE_DATE_EPOCH`, else the time of the commit.
    pub(super) fn of_commit() -> Result<Self> {
        let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(seconds) => seconds,
            Err(_) => read(git().args(["log", "-1", "--format=%ct"]))?,
        };
        let seconds = seconds.trim();
        Ok(Self(seconds.parse().map_err(|_| format!("SOURCE_DATE_EPOCH is `{seconds}`, not a number of seconds"))?))
    }

    /// The same in the form of RFC 3339.
    pub(super) fn rfc3339(&self) -> Result<String> {
        let at = format!("@{}", self.0);
        Ok(read(Command::new("date").args(["--utc", "--date", &at, "+%Y-%m-%dT%H:%M:%SZ"]))?.trim().to_owned())
    }

    /// Gives every file and folder below this one the time, and modes that do not depend on whose they were.
    pub(super) fn settle(&self, folder: &Path) -> Result {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(self.0);
        for path in below(folder)? {
            let kind = fs::symlink_metadata(&path)?;
            if kind.is_symlink() {
                continue;
            }
            let is_program = kind.is_dir() || kind.permissions().mode() & 0o100 != 0;
            fs::set_permissions(&path, fs::Permissions::from_mode(if is_program { 0o755 } else { 0o644 }))?;
            fs::File::open(&path)?.set_modified(time)?;
        }
        Ok(())
    }
}

/// Git in the checkout, whoever owns it: we only read.
pub(super) fn git() -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "safe.directory=*"]).current_dir(root());
    command
}

/// A folder and all that is in it, deepest first.
pub(super) fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if fs::symlink_metadata(&path)?.is_dir() {
            paths.append(&mut below(&path)?);
        } else {
            paths.push(path);
        }
    }
    paths.sort();
    paths.push(folder.to_owned());
    Ok(paths)
}

/// Copies a file to its place.
pub(super) fn place(from: &Path, to: &Path, mode: u32) -> Result {
    let bytes = fs::read(from).map_err(|error| format!("cannot read {}: {error}", from.display()))?;
    write(to, &bytes)?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

/// Writes a file, and makes its folder.
pub(super) fn write(to: &Path, bytes: &[u8]) -> Result {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, bytes).map_err(|error| format!("cannot write {}: {error}", to.display()).into())
}

/// Packs `name` of `folder`, the same way each time.
pub(super) fn tar_gz(release: &Release, folder: &Path, name: &str, to: &Path) -> Result<PathBuf> {
    release.times.settle(&folder.join(name))?;
    let mut tar = Command::new("tar");
    tar.args(["--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--mtime=@{}", release.times.0)).arg("--directory").arg(folder).arg(name);
    let mut tar = tar.stdout(Stdio::piped()).spawn().map_err(|error| format!("cannot start tar: {error}"))?;
    let from = tar.stdout.take().ok_or("tar gives no output")?;
    run(Command::new("gzip").args(["-6", "-n"]).stdin(from).stdout(fs::File::create(to)?))?;
    match tar.wait()?.success() {
        true => Ok(to.to_owned()),
        false => Err(format!("tar could not pack {name}").into()),
    }
}
