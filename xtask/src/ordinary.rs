//! Running a program as an ordinary user when we are root: tests and benchmarks count for both.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Result, is_root, root};

/// The ordinary user: `nobody`, who exists everywhere and owns nothing.
const ID: u32 = 65534;

/// The search path of an ordinary user, who cannot enter root's folders.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// Shows the checkout below a folder that the ordinary user cannot enter: in a mount namespace of
/// its own, an empty folder covers that one and holds the checkout at its usual place.
const REVEAL: &str = r#"
set -e
checkout=$1 closed=$2
shift 2
carried=$(mktemp -d)
mount --rbind "$checkout" "$carried"
mount -t tmpfs -o mode=0755 tmpfs "$closed"
mkdir -p "$checkout"
mount --move "$carried" "$checkout"
rmdir "$carried"
exec "$@"
"#;

/// An ordinary user with a folder of its own.
pub(crate) struct Ordinary {
    home: PathBuf,
    closed: Option<PathBuf>,
}

impl Ordinary {
    /// Makes the user's folder below the build folder.
    pub(crate) fn new(home: PathBuf) -> Result<Self> {
        if !is_root() {
            return Err("only root can become an ordinary user".into());
        }
        fs::create_dir_all(&home)?;
        chown(&home, Some(ID), Some(ID))?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755))?;
        Ok(Self { home, closed: closed_above(root())? })
    }

    /// A command that will run as the user, with an environment made from nothing.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = match &self.closed {
            Some(closed) => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "private", "sh", "-c", REVEAL, "sh"]);
                command.arg(root()).arg(closed).arg("setpriv");
                command
            }
            None => Command::new("setpriv"),
        };
        command.args([&format!("--reuid={ID}"), &format!("--regid={ID}"), "--clear-groups", "--inh-caps=-all", "--"]);
        command.arg(program);
        command.env_clear().env("PATH", PATH).env("HOME", &self.home).env("USER", "nobody").env("LANG", "C.UTF-8");
        command
    }

    /// The user's folder.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }
}

/// The topmost folder above `path` that others may not enter.
fn closed_above(path: &Path) -> Result<Option<PathBuf>> {
    let above: Vec<&Path> = path.ancestors().skip(1).collect();
    for folder in above.into_iter().rev() {
        if fs::metadata(folder)?.mode() & 0o001 == 0 {
            return Ok(Some(folder.to_owned()));
        }
    }
    Ok(None)
}
