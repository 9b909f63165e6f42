//! What `doctor --fix` may do: nothing that opens the host to others than Hotcell, or only what its makers ship open.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The AppArmor profile, as it is shipped in `crates/isolate/apparmor`.
pub const APPARMOR_PROFILE: &str = include_str!("../../apparmor/hotcell");

/// A change of the host that root can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// Sets a kernel setting, now and at each start.
    Setting {
        /// As `sysctl` names it.
        name: &'static str,
        /// The value.
        value: &'static str,
    },
    /// Installs [`APPARMOR_PROFILE`] and loads it.
    AppArmorProfile,
}

impl Fix {
    /// What it would do, as a question's first half.
    pub fn what(&self) -> String {
        match self {
            Self::Setting { name, value } => {
                format!("set {name} = {value}, now and in /{} for each start", self.file().display())
            }
            Self::AppArmorProfile => format!("write /{} and load it with apparmor_parser", self.file().display()),
        }
    }

    /// The file that it makes, relative to the root.
    pub fn file(&self) -> PathBuf {
        match self {
            Self::Setting { name, .. } => {
                PathBuf::from(format!("etc/sysctl.d/60-hotcell-{}.conf", name.replace('.', "-")))
            }
            Self::AppArmorProfile => PathBuf::from("etc/apparmor.d/hotcell"),
        }
    }

    /// Does it on the host whose files lie below `root`; says what was done.
    ///
    /// # Errors
    /// What the system says. A file of that name which somebody else wrote is left alone.
    pub fn apply(&self, root: &Path) -> io::Result<Vec<String>> {
        let file = root.join(self.file());
        let mut done = Vec::new();
        match self {
            Self::Setting { name, value } => {
                let now = root.join("proc/sys").join(name.replace('.', "/"));
                fs::write(&now, value)?;
                done.push(format!("set {name} = {value}"));
                let text = format!("# Written by `hotcell doctor --fix`: lets sandboxes be made.\n{name} = {value}\n");
                place(&file, &text)?;
                done.push(format!("wrote {}", file.display()));
            }
            Self::AppArmorProfile => {
                place(&file, APPARMOR_PROFILE)?;
                done.push(format!("wrote {}", file.display()));
                load(&file)?;
                done.push("loaded it into the kernel".to_owned());
            }
        }
        Ok(done)
    }
}

/// Writes a new file, or leaves one that has this content.
fn place(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o644).open(path) {
        Ok(mut file) => io::Write::write_all(&mut file, text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::read_to_string(path)? == text => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

fn load(profile: &Path) -> io::Result<()> {
    let output = Command::new("apparmor_parser").arg("--replace").arg(profile).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("apparmor_parser: {}", said.lines().last().unwrap_or("failed without a word"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: Fix = Fix::Setting { name: "user.max_user_namespaces", value: "15000" };

    #[test]
    fn a_setting_is_made_now_and_for_each_start_and_overwrites_nothing() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/sys/user")).unwrap();
        fs::create_dir_all(root.path().join("etc/sysctl.d")).unwrap();
        let now = root.path().join("proc/sys/user/max_user_namespaces");
        fs::write(&now, "0\n").unwrap();
        for _ in 0..2 {
            let done = SETTING.apply(root.path()).unwrap();
            assert_eq!(done.len(), 2, "{done:?}");
        }
        assert_eq!(fs::read_to_string(&now).unwrap(), "15000");
        let file = root.path().join("etc/sysctl.d/60-hotcell-user-max_user_namespaces.conf");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.ends_with("\nuser.max_user_namespaces = 15000\n"), "{text}");
        fs::write(&file, "mine").unwrap();
        let error = SETTING.apply(root.path()).unwrap_err();
        assert!(error.kind() == io::ErrorKind::AlreadyExists && error.to_string().contains("60-hotcell"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }

    #[test]
    fn the_apparmor_profile_is_one_that_the_parser_takes() {
        hotcell_testkit::require_program!("apparmor_parser");
        let version = Command::new("apparmor_parser").arg("--version").output().unwrap();
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let major = version.split(|c: char| !c.is_ascii_digit()).find_map(|number| number.parse::<u32>().ok()).unwrap();
        // The rule itself came with version 4; an older parser is given all the rest.
        let text = match major {
            0..4 => APPARMOR_PROFILE.replace("abi <abi/4.0>", "abi <abi/3.0>").replace("  userns,\n", ""),
            _ => APPARMOR_PROFILE.to_owned(),
        };
        let place = tempfile::tempdir().unwrap();
        let check = |text: &str| {
            fs::write(place.path().join("hotcell"), text).unwrap();
            let arguments = ["--skip-kernel-load", "--skip-cache"];
            Command::new("apparmor_parser").args(arguments).arg(place.path().join("hotcell")).output().unwrap()
        };
        let output = check(&text);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!check(&text.replace("profile hotcell", "profle hotcell")).status.success(), "it takes anything");
    }
}
