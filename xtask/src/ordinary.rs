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
/// its own, an empty folder covers that one and holds the checkout at its usual place. And the device of FUSE is open
/// to everybody there, as udev makes it on most hosts.
const REVEAL: &str = r#"
set -e
home=$1 checkout=$2 closed=$3
shift 3
if [ -n "$closed" ]; then
    carried=$(mktemp -d)
    mount --rbind "$checkout" "$carried"
    mount -t tmpfs -o mode=0755 tmpfs "$closed"
    mkdir -p "$checkout"
    mount --move "$carried" "$checkout"
    rmdir "$carried"
fi
if [ -c /dev/fuse ]; then
    mkdir -p "$home/device"
    mount -t tmpfs -o mode=0755 tmpfs "$home/device"
    mknod -m 0666 "$home/device/fuse" c 10 229
    mount --bind "$home/device/fuse" /dev/fuse
fi
exec "$@"
"#;

/// An ordinary user with a folder of its own.
pub(crate) struct Ordinary {
    home: PathBuf,
    checkout: PathBuf,
    closed: Option<PathBuf>,
}

impl Ordinary {
    /// Makes the user's folder.
    pub(crate) fn new(home: PathBuf) -> Result<Self> {
        Self::with_checkout(home, root().to_owned())
    }

    fn with_checkout(home: PathBuf, checkout: PathBuf) -> Result<Self> {
        if !is_root() {
            return Err("only root can become an ordinary user".into());
        }
        fs::create_dir_all(&home)?;
        chown(&home, Some(ID), Some(ID))?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755))?;
        let closed = closed_above(&checkout)?;
        Ok(Self { home, checkout, closed })
    }

    /// A command that will run as the user, with an environment made from nothing.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", REVEAL, "sh"]);
        let closed = self.closed.as_deref().unwrap_or(Path::new(""));
        command.arg(&self.home).arg(&self.checkout).arg(closed).arg("setpriv");
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

#[cfg(test)]
mod tests {
    use super::*;
    use hotcell_testkit::{data_dir, require_program, require_root};

    fn said(mut command: Command) -> String {
        let output = command.output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    #[test]
    fn an_ordinary_user_has_no_rights_and_a_clean_environment() {
        require_root!();
        require_program!("setpriv");
        let user = Ordinary::new(data_dir().join("ordinary-plain")).unwrap();
        let mut command = user.command(Path::new("/bin/sh"));
        command.args(["-c", "id -u; id -G; grep CapEff /proc/self/status; env | grep -c CARGO; touch $HOME/mine"]);
        assert_eq!(said(command), "65534\n65534\nCapEff:\t0000000000000000\n0\n");
        assert!(user.home().join("mine").is_file());
        fs::remove_dir_all(user.home()).unwrap();
    }

    #[test]
    fn a_checkout_below_a_closed_folder_is_shown_at_its_place() {
        require_root!();
        require_program!("unshare");
        let closed = data_dir().join("ordinary-closed");
        let checkout = closed.join("deep/checkout");
        fs::create_dir_all(&checkout).unwrap();
        fs::write(checkout.join("file"), b"seen\n").unwrap();
        fs::write(closed.join("secret"), b"secret\n").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();

        let user = Ordinary::with_checkout(checkout.join("home"), checkout.clone()).unwrap();
        let mut command = user.command(Path::new("/bin/cat"));
        command.arg(checkout.join("file")).arg(closed.join("secret"));
        let said = said(command);
        fs::remove_dir_all(&closed).unwrap();

        assert!(said.starts_with("seen\n") && said.contains("No such file"), "{said}");
    }
}
