//! The sources, with those of every foreign crate: what a machine without network needs to build Hotcell.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Release, files};
use crate::command::{Result, cargo, read, root, title};

/// What tells cargo to look in the folder and nowhere else.
pub(super) const CONFIG: &str = "
# The foreign crates lie in `vendor`; no network is needed.
[source.crates-io]
replace-with = \"vendored-sources\"

[source.vendored-sources]
directory = \"vendor\"

[net]
offline = true
";

/// Puts the bundle together.
pub(super) fn bundle(release: &Release, output: &Path) -> Result<PathBuf> {
    title("sources with their dependencies");
    let name = format!("hotcell-{}-vendored", release.version);
    let folder = release.stage.join(&name);
    own(&folder)?;
    read(cargo("vendor").args(["--quiet", "--versioned-dirs"]).arg(folder.join("vendor")))?;
    let config = folder.join(".cargo/config.toml");
    let text = fs::read_to_string(&config)?;
    fs::write(&config, format!("{text}{CONFIG}"))?;
    files::tar_gz(release, &release.stage, &name, &output.join(format!("{name}.tar.gz")))
}

/// Every file of ours that the repository holds.
pub(super) fn own(folder: &Path) -> Result {
    let listed = read(Command::new("git").current_dir(root()).args(["ls-files", "-z"]))?;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root().join(name), folder.join(name));
        if let Some(above) = to.parent() {
            fs::create_dir_all(above)?;
        }
        match fs::symlink_metadata(&from).map_err(|error| format!("{name}: {error}"))?.is_symlink() {
            true => symlink(fs::read_link(&from)?, &to)?,
            false => fs::copy(&from, &to).map(drop)?,
        }
    }
    Ok(())
}
